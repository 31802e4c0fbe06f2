"""Plots with some danger, a race or a long way, and what becomes of fear."""

from minialign.world.plots_base import GUIDED, WARM, plot

PLOTS = (
    plot(
        "a storm",
        "exciting",
        """
        {When}, {hero} was {at} with {his} {full} when the sky turned black.
        {When}, {hero} was on the way to {place} with {a_thing} when a storm came up.
        One day {hero} went to {place} to {use_his}, although dark clouds were coming.
        {When}, {hero} left {his} {full} {at}, and then a storm came.
        {Hero} had just set out with {his} {full} when the wind grew loud.

        The trees went up and down, and the first rain fell.
        Thunder rolled over the high hill.
        It was dark, then bright, and then dark again.
        Leaves flew through the air.
        The rain came down hard.

        The wind pulled at the {thing} and would not stop.
        One strong gust took the {thing} and blew it away.
        The {thing} began to move away, faster and faster.
        Suddenly the {thing} was blown into a hedge.
        "My {thing}," cried {hero}, but the wind was louder.

        {He} {ran} after it as fast as {he} could.
        {He} threw {himself} on top of it.
        {He} was afraid, but {he} held on tight.
        {He} went against the wind step by step.
        {He} fell, got up, and fell again.

        "This way," called {pal} from an open door.
        Then {pal} took {him} by the arm and pulled.
        "Hold on to me," shouted {pal}.
        Through the rain came {pal} with a rope.
        "Leave it and come in," called {pal}, but {hero} would not.

        At last the {thing} was safe under a roof.
        {Hero} brought the {thing} into a dry barn.
        At the last moment {hero} saved the {thing}.
        With one last jump {hero} got hold of the {thing} again.
        Wet to the skin, {hero} carried the {thing} inside.

        They sat by the fire and listened to the thunder.
        Outside it was wild, and inside it was warm.
        {Pal} made hot milk, and the storm moved on.
        There they waited until the last thunder was far away.
        It rained for another hour, and then it was over.

        When the sun came out, the {thing} was wet but whole.
        In the evening the sky was blue again, and the {thing} was safe.
        "What a day," said {hero}, and wiped the {thing} dry.
        {Hero} was tired and proud, and the {thing} was safe.
        Now {hero} always looks at the sky before {he} goes out.
        """,
        ["0257", "01257", "0235", "02357", "0157"],
        """
        {Someone} saved {his} {thing} from a storm.
        A storm almost took the {thing}, but {someone} brought it home.
        {Someone} was in a storm with {a_thing} and came through it.
        In wind and rain, {someone} did not let go of the {thing}.
        The {thing} was safe in the end because {someone} was brave in the storm.
        """,
    ),
    plot(
        "lost on the way",
        "exciting",
        """
        {When}, {hero} took {his} {full} and went for a long walk.
        {When}, {hero} went out alone with {a_thing}.
        {When}, {hero} wanted to go to {place}, and all {he} took was {a_thing}.
        {When}, {hero} set out for {place} with {a_thing}.
        {Hero} never went far without {his} {full}, and one day that was lucky.

        It was grey all around, and {he} could not see the path.
        There were two paths, and then there were four.
        {He} followed a bee and forgot the way.
        It grew dark, and all the trees looked the same.
        {He} turned left, then right, and then {he} was lost.

        {He} called, but only {his} own voice came back.
        Something moved, and {his} heart beat fast.
        {He} walked on and on and came to the same stone three times.
        {He} sat down on a root and felt very small.
        The wind was loud, and it was cold.

        Then {he} remembered the {thing}.
        "I still have my {thing}," {he} said aloud.
        "Think," {he} told {himself}, and took out the {thing}.
        {He} held the {thing} close, and {he} had an idea.
        {He} sat up and looked at the {thing}.

        {He} {guided}, again and again.
        So {he} {guided}.
        {He} took a deep breath and {guided}.
        First {he} waited, and then {he} {guided}.
        {He} climbed on a rock and {guided}.

        Far away somebody called {his} name.
        After a long time {he} saw a small light.
        At last somebody came and said, "Here you are."
        And there, between the trees, was {pal}.
        "I am coming," called {pal} from far away.

        {Pal} had been out looking for {him} and took {him} home.
        So {hero} found the way home, thanks to {his} {thing}.
        At home there was soup, and the {thing} lay beside the plate.
        {Hero} slept that night with the {thing} under the pillow.
        "That is a good {thing}," said {his} mother, and held {him} tight.
        """,
        ["0146", "01346", "0156", "01246"],
        """
        {Someone} got lost and found the way home with {a_thing}.
        {Someone} was lost in the dark, but the {thing} helped.
        The {thing} helped {someone} to get home safely.
        {Someone} lost {his} way, used {his} {thing}, and came home.
        Thanks to {a_thing}, {someone} was not lost for long.
        """,
        things=tuple(GUIDED),
        places=("cave", "forest", "hill", "lake", "meadow", "tower"),
    ),
    plot(
        "a race",
        "exciting",
        """
        {When}, {hero} and {pal} had a race to {place}, and the prize was {a_thing}.
        {When}, {hero} heard of a race to {place}, with {a_thing} for the winner.
        {When}, {hero} wanted to win {a_thing} in the great race.
        {When}, there was a race to {place}, and {hero} wished to win the prize, {a_thing}.
        {Hero} dreamed of the first prize in the summer race, {a_thing}.

        "I will win," said {pal}, "for nobody is faster."
        {Pal} had won the year before.
        {He} had practised every day for a month.
        Twelve friends stood in a row and waited for the horn.
        One, two, three, and off they went.

        {Hero} was first at the bridge and first at the mill.
        {Hero} was last at the start but soon came up.
        Side by side {hero} and {pal} passed the old oak.
        Everyone clapped as they ran by.
        {Hero} was in front and could already see the end.

        Then {pal} tripped over a root and fell.
        Halfway, {pal} fell into a deep ditch.
        Suddenly {pal} cried out and held {pal_his} leg.
        Behind {him}, {pal} slipped in the mud and could not get up.
        Just before the end, {pal} fell down hard.

        {Hero} looked at the line, and {he} looked at {pal}.
        Nobody stopped to help.
        {Hero} stopped and turned around.
        For a moment {hero} did not know what to do.
        {Hero} thought of the {thing}, but only for a moment.

        Then {he} went back and helped {pal} up.
        "Hold on to me, {call_pal}," said {hero}, and helped {pal_him} up.
        {Hero} went back and gave {pal_him} a hand.
        So {he} gave up the race and helped {pal} up.
        A friend is more than {one}, so {he} went back to help.

        They came in last, arm in arm.
        A snail came in before them, and they laughed.
        Another one won, but everybody clapped for the last two.
        They were slow, but they crossed the line together.
        A hare won, but nobody looked at the hare.

        In the end the {thing} went to {hero}, for being the best friend.
        "You take the {thing}," said the winner to {hero}, "for you were the best."
        Everybody clapped and gave {hero} the {thing}.
        {Hero} did not win the {thing}, but {he} had won a friend.
        {Hero} went home without the {thing} and was happy all the same.
        """,
        ["0357", "03567"],
        """
        In the race for {a_thing}, {someone} stopped to help {a_pal}.
        {Someone} wanted to win {a_thing} but stopped to help {a_pal}.
        In a race for {a_thing}, {someone} chose to help instead of winning.
        {Someone} did not win the race for the {thing} but was a good friend.
        {Someone} gave up the race for {a_thing} to help somebody who fell.
        """,
    ),
    plot(
        "fear overcome",
        "exciting",
        """
        One day {hero} could not find {his} {full}, for it was {beyond}.
        {When}, {hero} lost {his} {full}, and it was {beyond}.
        {When}, {hero} saw that {his} {full} was {beyond}.
        {When}, {hero} heard that {his} {full} was {beyond}.
        {When}, {hero} looked everywhere for {his} {full}, and it was {beyond}.

        But {he} had always been afraid of {fear}.
        But {he} was very much afraid of {fear}.
        The worst thing of all for {him} was {fear}.
        "I cannot go there," {he} said, "for I am afraid of {fear}."
        Just to think of {fear} made {his} knees shake.

        {He} stood there and did not move.
        {He} went three steps and came back again.
        {His} heart beat like a drum.
        {He} shut {his} eyes, but that did not help.
        {He} waited for someone to do it for {him}.

        "I am afraid of things too," said {pal}.
        "Being brave means to be afraid and still go," said {pal}.
        "Sing, {call_hero}, and you will be brave," said {pal}.
        {Pal} said, "I will count your steps from here."
        "Just take one step," said {pal}, "and then one more."

        So {hero} began to sing and took the first step.
        {Hero} counted to three and went.
        One step, and one more, and {hero} was on the way.
        {Hero} thought of the {thing} and went.
        With shaking knees {hero} set off.

        It was not half as bad as {he} had thought.
        Nothing bad happened, nothing at all.
        {He} heard a noise, but it was only a leaf.
        With every step the fear grew smaller.
        In the middle {he} almost turned back, but then {he} went on.

        And then {he} had the {thing} and shouted for joy.
        At last {he} had {his} {thing} again.
        {He} got the {thing} and brought it safely home.
        There was the {thing}, and {he} laughed for joy.
        {Hero} came back with the {thing}, and {pal} clapped.

        Now {he} is only half as afraid of {fear}.
        {Hero} had found more than {one} that day.
        After that {he} even went there for fun.
        "I did it," said {hero}, "and I was afraid the whole time."
        {He} is still a bit afraid of {fear}, but not too much.
        """,
        ["0146", "01456", "0136", "01346", "01467"],
        """
        {Someone} was afraid of {fear} but went and got the {thing}.
        {Someone} overcame {his} fear of {fear} to get {his} {thing} back.
        To get back the {thing}, {someone} had to face {fear}.
        {Someone} got {his} {thing} back and was less afraid of {fear}.
        Although afraid of {fear}, {someone} fetched the {thing}.
        """,
        extras={"fear|beyond": (
            "the dark|in a dark cave", "the dark|at the end of a dark path",
            "high places|up on a high wall", "high places|on top of the old tower",
            "deep water|on a little island in the lake", "bees|next to a hundred bees",
            "the old house|behind the old empty house", "the big bull|in the field of the big bull",
            "the night|out in the forest, where night was falling",
        )},
    ),
    plot(
        "a cold night",
        "quiet",
        """
        {When}, {hero} walked home through the snow with {his} {full}.
        {When}, the wind was so sharp that {hero} was glad of {his} {full}.
        {Hero} had {a_thing} that kept {him} warm all winter.
        {When}, snow began to fall, and {hero} took {his} {full} along.
        {When}, {hero} went out into the snow with {a_thing}.

        The snow was white, and the stars were bright.
        Nobody else was on the road.
        The snow was deep, and the path was hard to see.
        Even the river did not move.
        {He} went fast, because supper was ready.

        Then {he} heard {a_tiny} crying behind a tree.
        Under a hedge sat {a_tiny}, shaking with cold.
        In the snow {he} found {a_tiny} that could not go on.
        There, by a fence, lay {a_tiny}, cold and wet.
        All at once {he} saw {a_tiny} alone in the snow.

        "I am so cold," said a thin voice.
        {He} asked, "Are you lost?"
        "I cannot find my mother," said the little one.
        The little one was too weak to speak.
        Two dark eyes looked up at {him}.

        {Hero} shook with cold too, but {he} took the {thing} and gave it away.
        {Hero} put the {thing} over {the_tiny}.
        Without a word {he} put the {thing} over the little one.
        "You need my {thing} more than I do," said {hero}.
        {Hero} thought of the long way home and still gave up the {thing}.

        {He} carried the little one all the way to the village.
        {He} walked fast, and {he} sang to keep warm.
        The way was long, but inside {he} was warm.
        {He} {ran} to {pal}, who made a big fire.
        Soon they reached the house of {pal}, where it was warm.

        In the morning the little one was well and ran to its mother.
        The next day the mother came to say thank you.
        By the fire the little one fell asleep and smiled.
        When the sun rose, all the snow was gold, and the little one was well.
        "Now I have a friend," said the little one.

        {Hero} never missed the {thing}.
        The {thing} came back a week later, washed and with a bag of nuts.
        {Hero} got the {thing} back, and it was warmer than before.
        And {hero} learned that {one} can warm two.
        Whenever {hero} sees snow, {he} thinks of that night and the {thing}.
        """,
        ["0246", "0247", "02467"],
        """
        {Someone} gave {his} {thing} to {a_tiny} on a cold night.
        On a cold night, {someone} saved {a_tiny} with {a_thing}.
        {Someone} was cold but gave {his} {thing} to someone who needed it more.
        Thanks to the {thing} that {someone} gave away, a little one was saved.
        {Someone} kept {a_tiny} warm with {his} {thing}.
        """,
        things=WARM,
        extras={
            "a_tiny": ("a small kitten", "a little lamb", "a young rabbit", "a tiny bird"),
            "When": ("One winter evening", "On a cold night", "Late one winter day",
                     "One night in winter", "On the coldest day of the year"),
        },
    ),
)  # fmt: skip
