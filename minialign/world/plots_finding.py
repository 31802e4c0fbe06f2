"""Plots in which a thing is lost, found or hidden."""

from minialign.world.plots_base import plot

PLOTS = (
    plot(
        "lost and found",
        "happy",
        """
        {When}, {hero} went to {place} with {a_thing}.
        {When}, {hero} took {his} {full} to {place}.
        {Hero} loved {his} {full} and took it along to {place}.
        {When}, {hero} set out for {place} to {use_his}.
        {When}, {hero} carried {a_thing} all the way to {place}.

        {He} played there until the bells rang for supper.
        {He} stopped on the way to watch the clouds.
        {He} put it down for a moment to pick some flowers.
        There was so much to see that {he} soon forgot about it.
        {He} met a snail and looked at it for a long time.

        Then {he} looked around, and the {thing} was gone.
        When {he} came home, {he} did not have the {thing} any more.
        All at once {he} saw that the {thing} was missing.
        When {he} wanted to {use_it}, {he} could not find it.
        Suddenly {he} cried, "Where is my {thing}?"

        {He} looked behind the gate and under the bench.
        {He} went back along the path, step by step.
        {He} looked high and low, but it was not there.
        {He} asked everyone, but nobody had seen it.
        {He} looked until {his} feet were tired.

        "Think of where you had it last," said {pal}.
        "Two can look better than one," said {pal}.
        Then {pal} came by and offered to help.
        "Do not give up yet," said {pal}, who had heard it all.
        Luckily {pal} had good eyes and came to help.

        So they went back together and looked {spot}.
        Side by side they looked again, slowly this time.
        {Pal} took the left side, and {hero} took the right.
        Together they turned over every leaf.
        They walked the whole way once more.

        There was the {thing}, {spot}.
        The {thing} lay {spot} and was not even wet.
        At last {hero} found the {thing} {spot}.
        And there it was, {spot}, just waiting for {him}.
        {Spot} lay the {thing}, safe and sound.

        {Hero} held the {thing} and laughed out loud.
        From then on {hero} always knew where the {thing} was.
        {Hero} danced all the way home with {his} {thing}.
        "I will never leave you behind again," {hero} told the {thing}.
        {Hero} was so glad that {he} sang the whole evening.
        """,
        ["0267", "026", "0246", "02367"],
        """
        {Someone} lost {his} {thing} and found it again {spot}.
        {Someone} lost {a_thing}, looked everywhere, and got it back.
        The {thing} was lost, but {someone} found it in the end.
        After a long search, {someone} found the lost {thing} {spot}.
        {Someone} and {a_pal} looked for a lost {thing} and found it.
        """,
        extras={
            "spot": (
                "behind an old wall", "in the tall grass", "beside the path", "under a big tree",
                "next to a fallen log", "behind a bush", "among the yellow leaves",
                "near a grey stone", "by the garden gate",
            )
        },
    ),
    plot(
        "a discovery",
        "exciting",
        """
        {When}, {hero} made a hole in the ground {at}.
        {When}, {hero} saw something strange {at}.
        {When}, {hero} looked at everything {at}.
        {Hero} liked to look for treasure, so {he} went to {place}.
        {When}, {hero} followed a strange path to {place}.

        {He} hoped to find something fine.
        For a long time {he} found only roots and mud.
        Nobody had been in that corner for years.
        {He} looked under every stone and every leaf.
        {He} did not know yet what {he} would find.

        There, half under the ground, lay {a_thing}.
        Behind some old wood {he} found {a_thing}.
        {He} pushed the leaves away, and there was {a_thing}.
        "A treasure," {he} whispered, and pulled out {a_thing}.
        Deep in a hole {he} found {a_thing}.

        {He} cleaned it, and it was {look}.
        {He} wiped the mud off with a wet leaf.
        {His} heart beat fast with joy.
        {He} wanted to keep it, but it had to belong to somebody.
        {He} turned it around and saw a name on it.

        {He} {ran} to show it to {pal}.
        {He} asked {pal} about it.
        "Look what I found," {he} called to {pal}.
        {He} hid it under some grass and {ran} to {pal}.
        {He} could not wait to tell {pal}.

        "I lost that {thing} when I was small," said {pal}.
        "My {thing}," cried {pal}, "I thought it was gone for ever."
        {Pal} looked at the {thing} and could hardly speak for joy.
        "My grandmother gave me that {thing}," said {pal} with a big smile.
        {Pal} knew the {thing} at once, for it was {pal_his} own.

        {Hero} gave the {thing} back, and that felt even better than finding it.
        So {hero} gave the {thing} back, and both were happy.
        So the {thing} came home, and {hero} was proud.
        {Pal} took the {thing} home and let {hero} visit it every day.
        {Hero} gave it back, and {pal} made a cake for {him}.
        """,
        ["0256", "02456", "02356"],
        """
        {Someone} found {a_thing} and gave it back to its owner.
        {Someone} discovered {a_thing} that {a_pal} had lost long before.
        The {thing} that {someone} found went back to {a_pal}.
        {Someone} found an old {thing} and was glad to give it back.
        Instead of keeping the {thing}, {someone} gave it back.
        """,
    ),
    plot(
        "a secret",
        "quiet",
        """
        {When}, {hero} hid {a_thing} {spot}.
        {Hero} had a secret, and the secret was {a_thing}.
        {When}, {hero} made {a_thing} ready and told nobody about it.
        {When}, {hero} took {a_thing} and hid it {spot}.
        {Hero} kept {a_thing} {spot}, where nobody looked.

        Every day {he} went there when nobody was watching.
        {He} whispered to it in the evening.
        "Nobody must know," {he} said to {himself}.
        {He} never said a word about it, not even at supper.
        It was fine to have a secret, but also a little lonely.

        Then {pal} asked, "Where do you go every day?"
        One day {pal} followed {him} without a sound.
        {Pal} saw that something was going on and was sad.
        {Pal} thought that {hero} did not like {pal_him} any more.
        But {pal} saw {him} and looked very sad.

        {Hero} looked at the ground and did not know what to say.
        {Hero} thought about it for a whole night.
        A secret is heavy, thought {hero}.
        {Hero} wanted to tell the truth.
        It made {hero} sad to see {pal} so sad.

        So {he} took {pal} by the arm and showed {pal_him} the {thing}.
        "The {thing} is for your birthday," said {hero}.
        "Close your eyes," said {hero}, and brought the {thing}.
        At last {hero} told {pal} all about the {thing}.
        "The {thing} was going to be a gift for you," said {hero}.

        {Pal} laughed and cried at the same time.
        "It is lovely," said {pal}, "and I was so sad."
        {Pal} looked at the {thing} for a long time and smiled.
        "I was afraid that you were cross," said {pal}, and gave {him} a hug.
        "Thank you for telling me," said {pal} quietly.

        Now the two of them shared the secret, and it was not so heavy.
        From that day they kept their secrets together.
        A secret for two was much better than a secret for one.
        They sat beside the {thing} until the moon came up.
        The {thing} was no secret any more, and {hero} was glad.
        """,
        ["0246", "0245", "02456", "01246"],
        """
        {Someone} hid {a_thing} and at last showed it to {a_pal}.
        {Someone} kept the {thing} secret and was glad to share the secret.
        The secret {thing} made {a_pal} sad until {someone} told the truth.
        {Someone} had a secret {thing} and told {a_pal} about it in the end.
        In the end {someone} did not keep the {thing} a secret.
        """,
        extras={
            "spot": ("under the stairs", "in the hay", "behind the old shed", "in an empty barn",
                     "under a pile of wood", "behind the big oak")
        },
        pal="friend",
    ),
)  # fmt: skip
