"""Plots about wishes and about meeting somebody for the first time."""

from minialign.world.plots_base import plot

PLOTS = (
    plot(
        "helping a stranger",
        "happy",
        """
        {When}, {hero} met {stranger} {at}.
        {When}, {stranger} came to {place}, and only {hero} said hello.
        {When}, {hero} saw {stranger} sitting {at}.
        {When}, {hero} was on the way to {place} and met {stranger}.
        {When}, {hero} heard {stranger} call for help {at}.

        "I have come far, and I am thirsty," said the stranger.
        The stranger asked, "Can you show me the way?"
        The stranger looked tired and had wet feet.
        "My cart is broken," said the stranger.
        The stranger had no food and no friends here.

        The others went by and did not look.
        {Hero} was in a hurry but stopped.
        {Hero} was a little shy but went closer.
        Nobody else had time.
        Friends were waiting for {hero}, but that could not be helped.

        {Hero} shared {his} bread and showed the way.
        {Hero} fetched water and sat down beside the stranger.
        So {hero} helped as well as {he} could.
        {Hero} helped for an hour and asked for nothing.
        "Come with me," said {hero}, "and we will find help."

        "You have a good heart," said the stranger.
        The stranger smiled and opened an old bag.
        "I do not have much," said the stranger, "but wait."
        The stranger thanked {hero} three times.
        Before they went on, the stranger looked for something in a bag.

        Then the stranger gave {hero} {a_thing}.
        "Take this," said the stranger, and held out {a_thing}.
        Out of the bag came {a_thing}, and it was for {hero}.
        As a thank-you, {hero} got {a_thing}.
        "This will make you happy," said the stranger, and gave {him} {a_thing}.

        {Hero} turned to say thank you, but the road was empty.
        It was {look}, and {he} had never had one like it.
        {Hero} looked at it all the way home.
        A moment later the stranger was already far away.
        {Hero} did not know what to say.

        {Hero} never gave the {thing} away.
        Nobody ever saw the stranger again, but {hero} still has the {thing}.
        When {hero} came home with the {thing}, {pal} asked, "Who was that?"
        {Hero} shared the {thing} with all the others.
        Whenever {hero} sees the {thing}, {he} thinks of that day.
        """,
        ["0135", "0357", "01357", "0235"],
        """
        {Someone} helped a stranger and got {a_thing} for it.
        {Someone} was kind to a stranger, who gave {him} {a_thing}.
        A stranger gave {someone} {a_thing} for {his} help.
        {Someone} got {a_thing} because {he} had stopped to help.
        For helping a tired stranger, {someone} was given {a_thing}.
        """,
        extras={"stranger": ("an old traveller", "a tired stranger", "an old woman with a cane",
                             "a stranger in a long coat", "a young sailor with a big bag")},
    ),
    plot(
        "a wish",
        "funny",
        """
        {When}, {hero} wished for {a_thing} as big as a house.
        {Hero} had {a_thing} but wished for a bigger one.
        {When}, {hero} told {his} {full}, "I wish you were big."
        {When}, {hero} saw a bright star and wished for a very big {thing}.
        {Hero} was not happy with {his} {full}, because it was so small.

        "Bigger is better," {he} thought.
        {He} could think of nothing else all day.
        {He} said the wish aloud three times.
        "Be careful what you wish for," said {his} grandmother.
        An old frog heard the wish and smiled.

        The next morning the {thing} was as big as a barn.
        When {he} woke up, the {thing} was bigger than the house.
        Then there stood {one} as tall as a tree.
        At night the {thing} began to grow, and it grew all night.
        In the morning a giant {thing} lay in the garden.

        {He} clapped and danced around it.
        At first {he} was very happy with it.
        "Now they will all come and look," {he} said.
        The neighbours came and could not believe their eyes.
        {He} was very proud.

        But it was so big that nobody could do anything with it.
        {He} pushed and pulled, but {he} could not move it at all.
        But there was no room left for {him} to sleep.
        It kept out the sun, and all the flowers were sad.
        The hens could not find their house any more.

        {Pal} asked, "What will you do with it now?"
        {Pal} shook {pal_his} head and laughed.
        "I liked the small one better," said {pal}.
        "Well," said {pal}, "that is a lot of {thing}."
        {Pal} climbed up to the top and saw the sea.

        So {he} wished it small again, and it was.
        {He} waited for the next star and took the wish back.
        "Please be small again," {he} whispered, and it was.
        {He} asked for just one more wish, and the {thing} grew small.
        In the evening {he} wished that all was as before, and it was.

        Now the {thing} is small, and {hero} likes it that way.
        {Hero} was glad to {use_his} again.
        "You are just right," {hero} told the little {thing}.
        The small {thing} was the best one after all.
        After that {hero} wished only for a good night's sleep.
        """,
        ["0246", "02346", "02467", "01246"],
        """
        {Someone} wished for a giant {thing} and then wished it small again.
        {Someone} found that a very big {thing} is no fun.
        The big {thing} that {someone} wished for was a lot of trouble.
        {Someone} got a giant {thing} and was glad when it was small again.
        A wish gave {someone} a huge {thing}, but the small one was better.
        """,
    ),
    plot(
        "a new neighbour",
        "happy",
        """
        {When}, {pal} moved into the empty house, and {hero} saw it.
        {When}, {hero} saw {pal} alone {at}.
        {When}, {hero} met {pal}, who was new in the village.
        {When}, {hero} heard that {pal} had moved to the village.
        {When}, {hero} wanted to meet {pal}, who had no friends yet.

        {Hero} was shy, and {pal} was shy too.
        They did not know what to say.
        Everyone only looked, and no one said hello.
        {Pal} sat on a box and looked at the ground.
        "Somebody should say hello," thought {hero}.

        So {hero} brought {his} {full} and put it down.
        The next day {hero} came with {a_thing}.
        Then {hero} had an idea and fetched {his} {full}.
        {Hero} held up {a_thing} and asked, "Do you like this?"
        {Hero} came closer and showed {pal_him} {a_thing}.

        "I have never seen such {one}," said {pal}.
        {Pal} looked up, and {pal_his} eyes grew wide.
        {Pal} came one step closer, and then another.
        {Pal} asked, "What is that for?"
        "At home I had {one} like that," said {pal} softly.

        {Hero} showed {pal_him} how to {use_it}.
        "Come, and I will show you," said {hero}.
        They tried it together, and both of them laughed.
        First it was {hero}'s turn, and then it was {pal}'s.
        They looked at it from all sides and began to talk.

        Soon they laughed as if they were old friends.
        They found that both of them loved pancakes.
        They talked about songs and stories.
        They talked about the old home and the new one.
        Soon nobody was shy any more.

        When evening came, the {thing} had made two friends.
        With the {thing} between them, {pal} asked, "Will you come back tomorrow?"
        From that day {hero}, {pal}, and the {thing} were always together.
        So {hero} had {one} and a friend, and the friend was better.
        {Pal} was not lonely any more, and it all began with {one}.
        """,
        ["0126", "0236", "0246", "01236"],
        """
        {Someone} made friends with {a_pal} with the help of {a_thing}.
        {Someone} used {a_thing} to say hello to somebody new.
        Thanks to {a_thing}, {someone} and {a_pal} became friends.
        {Someone} showed a new neighbour {a_thing}, and they became friends.
        {One} helped {someone} to make a new friend.
        """,
        pal="new",
    ),
)  # fmt: skip
