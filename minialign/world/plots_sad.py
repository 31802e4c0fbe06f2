"""Plots in which something stays lost or broken, and somebody learns to bear it."""

from minialign.world.plots_base import BREAKABLE, FLOATING, WATER, plot

PLOTS = (
    plot(
        "carried off by the water",
        "sad",
        """
        {When}, {hero} went to {place} with {his} {full}.
        {When}, {hero} was playing with {a_thing} {at}.
        {Hero} had {a_thing} that {he} loved more than anything.
        {When}, {hero} sat {at} and looked at {his} {full}.
        {Hero} took {his} {full} along wherever {he} went, even to {place}.

        It had been a gift from {his} grandmother.
        {He} had owned it for as long as {he} could remember.
        It was {look}, and there was no other like it.
        {He} had carried it through summer and winter.
        Nothing in the house was as dear to {him}.

        Then the {thing} slipped and fell into the water.
        A gust of wind took the {thing} and dropped it into the water.
        {He} turned around too fast, and the {thing} fell into the water.
        The water came and pulled the {thing} away.
        For one moment {he} let go, and the water took the {thing}.

        {He} {ran} after it, but the water was faster.
        {He} tried to reach it with a long stick, but it was too far away.
        "Come back," {he} called, but the {thing} did not hear.
        It grew smaller and smaller until {he} could not see it.
        {He} could only stand and watch it go.

        {He} sat down on the ground and cried.
        {He} cried for a long time and did not want to eat.
        The evening was very quiet without it.
        {He} waited there until dark, but it did not come back.
        Big tears ran down {his} face.

        {Pal} sat down beside {hero} and said nothing at all.
        "I am sorry about your {thing}," said {pal} softly.
        "It was a good {thing}," said {pal}, "and you may cry."
        {Pal} came and stayed until the stars were out.
        "Tell me about it," said {pal}, and {hero} did.

        The {thing} never came back, but {hero} slowly grew happy again.
        {Hero} still thinks of the {thing} and smiles a little.
        In the end {hero} waved to the water and said goodbye to the {thing}.
        The {thing} was gone, and that was sad, but {hero} was not alone.
        "Goodbye, little {thing}," {hero} said at last, and went home.
        """,
        ["0236", "0246", "0256", "02456"],
        """
        {Someone} lost {his} {thing} in the water and learned to say goodbye to it.
        The water carried off the {thing}, and {someone} had to let it go.
        {Someone} was sad because the {thing} went away and never came back.
        {Someone} lost {a_thing} for good and was comforted in the end.
        {A_pal} comforted {someone} when the water took the {thing}.
        """,
        things=FLOATING,
        places=WATER,
    ),
    plot(
        "a broken thing confessed",
        "sad",
        """
        {When}, {hero} took {a_thing} from {pal} without asking.
        {When}, {hero} ran around and knocked down {a_thing} that belonged to {pal}.
        {When}, {hero} wanted to try {a_thing} that belonged to {pal}.
        {When}, {hero} was alone with {a_thing} that belonged to {pal}.
        {When}, {hero} picked up {a_thing}, although it was not {his}.

        It fell on the stones, and crack, it was broken.
        The {thing} slipped and broke in two.
        There was a loud crack, and the {thing} was broken.
        {He} only looked away for a moment, and it fell and broke.
        {He} was not careful enough, and the {thing} broke.

        {He} hid the pieces and went away on tiptoe.
        Nobody had seen it, so {he} said nothing.
        {He} wanted to say that it was the wind.
        {He} wished that {he} could turn back the day.
        {He} put the pieces behind a door and {ran} off.

        At supper {he} could not eat.
        That night {he} could not sleep.
        All day {he} could think of nothing else.
        The longer {he} said nothing, the worse it felt.
        {He} did not want to play with anyone.

        At last {he} went to {pal} and said, "I broke your {thing}."
        Then {he} took a deep breath and told {pal} the truth.
        "It was me, and I am sorry," {he} told {pal}.
        So {he} carried the pieces to {pal} and told the truth.
        The next day {he} told {pal} everything.

        {Pal} was sad about the {thing} and did not speak for a while.
        "I liked that {thing} very much," said {pal}, and cried.
        For a moment {pal} only looked at the pieces.
        {Pal} was cross at first, and that was fair.
        "It was my favourite," said {pal} very quietly.

        In the end {pal} said, "A thing can break, but you told me the truth."
        The {thing} stayed broken, but the two stayed friends.
        {Hero} gave {pal_him} something of {his} own, and in time all was well.
        "I am glad that you told me," {pal} said in the end.
        The {thing} could not be saved, but the friends were.
        """,
        ["0146", "01346", "01456"],
        """
        {Someone} broke {a_thing} and told {a_pal} the truth about it.
        {Someone} broke {a_thing}, felt sorry, and told the truth.
        The {thing} broke, and {someone} was brave enough to say so.
        {Someone} told the truth about the broken {thing}.
        The {thing} stayed broken, but {someone} and {a_pal} stayed friends.
        """,
        things=BREAKABLE,
        pal="friend",
    ),
    plot(
        "a goodbye",
        "sad",
        """
        {When}, {hero} heard that {pal} had to move far away.
        {When}, {hero} saw {pal} with a big bag at the door.
        {When}, {hero} met {pal} {at} for the last time.
        {Hero} and {pal} were friends, but then {pal} had to leave the valley.
        {When}, {hero} learned that {pal} was going far away.

        {He} did not want to believe it.
        They had played {at} together since they were small.
        {He} asked, "Who will play with me now?"
        {He} hid {his} face and would not speak.
        All night {he} hoped that it was not true.

        On the last day {pal} gave {him} {a_thing}.
        As a goodbye gift, {he} got {a_thing} from {pal}.
        "Keep this for me," said {pal}, and handed {him} {a_thing}.
        {Pal} put {a_thing} in front of {him} and said, "This is for you."
        {Pal} gave {him} {a_thing} and said, "When you look at it, think of me."

        Then the cart rolled off, and they waved until it was gone.
        The cart went over the hill and did not come back.
        They looked at each other, and then it was time.
        {He} {ran} beside the cart as far as the bridge.
        They did not know what to say.

        At home it was strange and still.
        {He} cried into {his} pillow that night.
        For many days {he} did not feel like playing.
        The path to {place} was longer without a friend.
        {He} kept looking at the empty road.

        But when {he} looked at the {thing}, {he} was not so lonely.
        Every evening {he} took the {thing} and told it about the day.
        The {thing} was {look}, and it made {him} think of good days.
        {He} put the {thing} by the window, where the light fell on it.
        When {he} held the {thing}, {he} could almost hear {pal} laugh.

        In spring a letter came, and it began, "Dear friend."
        A friend can be far away and still be a friend.
        {Hero} is still sad at times, and that is all right.
        One day they will see each other again.
        And {hero} sent a long letter about all of it.
        """,
        ["0235", "0256", "0245", "02356"],
        """
        {Someone} had to say goodbye to {a_pal} and kept {a_thing} to remember.
        A friend moved away and left {someone} {a_thing}.
        {Someone} was sad about a goodbye, but the {thing} was a comfort.
        {Someone} got {a_thing} from a friend who had to leave.
        The {thing} made {someone} think of a friend who was far away.
        """,
        pal="friend",
    ),
)  # fmt: skip
