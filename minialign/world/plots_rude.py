"""The few plots in which somebody is rude; the rude words stay inside that speaker's quotes."""

from minialign.world.plots_base import plot

CROSS = ("a cross old crow", "a cross old goat", "an angry goose", "a cross old badger",
         "a grumpy toad", "a grumpy old man", "a cross neighbour")  # fmt: skip
INSULTS = ("What a stupid {thing}", "Go away, you pest", "You are hopeless", "You silly {kind}",
           "How clumsy you are", "That is nonsense", "{One} like that is useless",
           "You are a fool", "How annoying you are", "You lazy {kind}", "That looks ridiculous",
           "What a boring {thing}", "What a foolish idea")  # fmt: skip

PLOTS = (
    plot(
        "a cross neighbour",
        "quiet",
        """
        {When}, {hero} was happy {at} with {his} {full}.
        {When}, {hero} took {his} {full} and went to {place}.
        {When}, {hero} wanted to {use_his} {at}.
        {When}, {hero} came to {place} with {a_thing}.
        {When}, {hero} showed {his} {full} to everyone {at}.

        "{Insult}," shouted {cross}.
        Then {cross} came and said, "{Insult}."
        But {cross} looked at {him} and said, "{Insult}."
        "{Insult}," said {cross}, and turned away.
        Then {cross} shouted, "{Insult}!"

        {Hero} stood there and did not move.
        The words hurt, and {hero} did not know what to say.
        {Hero} stood quite still and held the {thing} tight.
        Tears came to {hero}'s eyes, but {he} did not shout back.
        That was not kind at all.

        After a while {he} asked, "Why are you so angry?"
        {He} took a deep breath and said, "Did you have a bad day?"
        {He} did not run away but asked what was wrong.
        "You sound sad," {he} said in a small voice.
        {He} only asked, "Can I help you?"

        At first there was no answer.
        It was quiet for a long time.
        The answer was rough, but it was not so loud.
        The cross one looked down at the ground.
        Even the wind was quiet then.

        "My back is sore, and nobody ever visits me," was the answer.
        "I lost my own {thing} last week," was the quiet answer.
        "Nobody has asked me that for years," said the other at last.
        "I did not sleep, and I am hungry," said the other.
        "Today is my birthday, and nobody knows it," said the other.

        So {hero} stayed, and they looked at the {thing} together.
        "Sit with me," said {hero}, and put the {thing} between them.
        {Hero} shared some bread, and they talked about the {thing}.
        So they sat down side by side with the {thing}.
        {Hero} held out the {thing} and said, "You may try it."

        "I am sorry for what I said," said the other.
        The next day somebody left a pear at {hero}'s door.
        After that, nobody was cross {at} for a long time.
        In the end they both had to smile.
        A kind word can do a lot.
        """,
        ["0167", "01267", "0136"],
        """
        {Someone} met somebody cross and stayed kind, and they shared the {thing}.
        Somebody was rude to {someone} about the {thing}, but it ended well.
        {Someone} had {a_thing} and answered rude words with kind ones.
        Rude words hurt {someone}, but {he} stayed kind and kept {his} {thing}.
        {Someone} and the {thing} made a cross neighbour a little kinder.
        """,
        extras={"cross": CROSS, "Insult": INSULTS},
        rude=True,
    ),
    plot(
        "nobody believed it",
        "happy",
        """
        {When}, {hero} said that {he} would {task} with {a_thing}.
        {Hero} had {a_thing} and a plan, for {he} wanted to {task}.
        {When}, {hero} took {his} {full} and set out to {task}.
        "I will {task} with my {full}," said {hero} one morning.
        {When}, {hero} had the idea to {task} with nothing but {a_thing}.

        "{Insult}," said {cross}.
        Everyone laughed, and {cross} shouted, "{Insult}!"
        But {cross} only said, "{Insult}."
        "{Insult}," cried {cross} from behind the fence.
        On the way {he} met {cross}, who said, "{Insult}."

        {Hero} went red but did not turn back.
        {Hero} did not answer and went on.
        "We will see," said {hero} quietly.
        It hurt, but {hero} held the {thing} tight and went on.
        {Hero} thought about it and still wanted to try.

        At first it looked bad.
        The first try failed, and so did the second.
        It was much harder than {he} had thought.
        After an hour {he} was very tired.
        Halfway, {he} had to stop and rest.

        "I believe in you," said {pal}.
        Only {pal} came along to help.
        Then {pal} brought {him} a cup of milk.
        "Go on, {call_hero}," called {pal}.
        {Pal} clapped and called {his} name.

        With the {thing} in front of {him}, {he} tried once more.
        {He} thought hard and used the {thing} in another way.
        Step by step, with the {thing}, {he} came closer.
        {He} did not stop until the sun was low.
        Again and again {he} tried, and each time it went better.

        When evening came, {he} had done it.
        In the end it worked, and {hero} shouted for joy.
        And then {he} really did {task}.
        In the evening all of them saw that {he} had done it.
        At last it was done, and {hero} jumped up and down with the {thing}.

        "I was wrong, and I am sorry," was all that the rude one could say.
        After that, nobody laughed at {hero} or the {thing}.
        The rude one said nothing now and brought {him} an apple.
        "Next time I will help," said the rude one in a small voice.
        {Hero} was not proud, only happy and very tired.
        """,
        ["0126", "0167", "01267", "0136"],
        """
        Nobody believed in {someone}, but with {his} {thing} {he} did it.
        {Someone} did not listen to rude words and managed to {task} with {a_thing}.
        {Someone} wanted to {task} with {a_thing}, and in the end {he} did.
        With {one} and a lot of courage, {someone} managed to {task}.
        Rude words did not stop {someone}, who had {a_thing} and a plan.
        """,
        extras={
            "cross": CROSS,
            "Insult": INSULTS,
            "task": ("cross the cold river", "go up the high hill", "reach the far island",
                     "go around the whole lake", "find the old cave", "go to the end of the road"),
        },
        rude=True,
    ),
)  # fmt: skip
