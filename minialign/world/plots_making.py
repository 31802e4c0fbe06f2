"""Plots in which something is mended, made, learned or waited for."""

from minialign.world.plots_base import MADE_BY, MENDING, SKILLS, SOUNDING, plot

PLOTS = (
    plot(
        "mending",
        "quiet",
        """
        {When}, {hero} found that {his} {full} had {damage}.
        {When}, {hero} saw that {his} {full} had {damage}.
        {Hero} had an old {thing} with {damage}.
        {When}, {hero} dropped {his} {full}, and then it had {damage}.
        {When}, {hero} picked up {his} {full} and saw that it had {damage}.

        "It is too old," people said, "so throw it away."
        "We will buy another one," said {his} mother.
        {He} was sad, for {he} had always loved it.
        {He} could not {use_it} any more.
        Nobody thought that it could be saved.

        But {hero} did not want to throw the {thing} away.
        "I want to mend it," said {hero}.
        {Hero} shook {his} head and carried the {thing} home.
        {Hero} wanted to try.
        "Old things have stories," said {hero}, and kept the {thing}.

        First {he} tried it alone, and that made it worse.
        {His} first try did not hold for a minute.
        {He} worked all morning, and it broke again.
        {He} did not know how to begin.
        {He} tried twice, and twice it went wrong.

        "Let me show you how," said {pal}.
        Then {pal} brought {tool}.
        "You need {tool}," said {pal}, "and time."
        {Pal} knew a better way and came with {tool}.
        "Slow hands do good work," said {pal}, and sat down to help.

        They took {tool} and worked without hurry.
        With {tool} and a lot of care, the work went well.
        Bit by bit, with {tool}, they put it right.
        {Hero} held the {thing} still, and {pal} used {tool}.
        They used {tool} and did not stop until it was done.

        In the evening the {thing} was whole again.
        When the sun went down, {hero} could {use} again.
        You could still see the place, but the {thing} was strong.
        Now the {thing} was better than before.
        At last the {thing} was mended, and {hero} smiled.

        {Hero} liked it even more than when it was new.
        "Now it is twice mine," said {hero}.
        After that, {hero} helped others mend their things.
        {Hero} was quiet and happy all evening.
        "It only needed a little care," said {hero}.
        """,
        ["0246", "0256", "0346", "02467"],
        """
        {Someone} mended {his} broken {thing} with {tool}.
        {Someone} did not throw the broken {thing} away but mended it.
        The {thing} had {damage}, and {someone} learned to mend it.
        {Someone} mended an old {thing} and liked it more than ever.
        With some help, {someone} made the broken {thing} whole again.
        """,
        things=tuple(MENDING),
    ),
    plot(
        "learning a skill",
        "happy",
        """
        {When}, {hero} got {a_thing} and wanted to learn to {use_it}.
        {Hero} had {a_thing} but did not know how to {use_it}.
        {When}, {hero} tried to {use_his} for the first time.
        {When}, {hero} saw how well {pal} could {use_one}.
        {Hero} wanted to learn to {use_one}, and {he} wanted it very much.

        The first time, everything went wrong.
        It looked so easy, but it was not.
        The first day was hard, and the second was harder.
        {He} tried ten times and failed ten times.
        Everybody who saw it had to laugh.

        "I will never learn it," {he} said, and threw the {thing} on the grass.
        {He} was so cross that {he} kicked a stone.
        {He} wanted to give up and go home.
        {He} sat down {at} with {his} {thing} and cried.
        Tears came to {his} eyes.

        "I was bad at it too," said {pal}, "for a whole year."
        {Pal} smiled and said, "Once more, but slowly."
        "Do only the first part today," said {pal}.
        {Pal} sat down beside {him} and showed {him} how.
        "Nobody can do it at first," said {pal} kindly.

        So {he} practised a little every day.
        {He} practised in the morning, and {he} practised at night.
        Day after day {he} went to {place} and tried again.
        Each day it went a tiny bit better.
        {He} began again, with one small step at a time.

        After seven days it worked.
        Then, one evening, {he} could do it.
        And suddenly it was easy.
        After three weeks {he} made no more mistakes.
        One day {he} did it right from the first to the last step.

        {Hero} laughed, for now {he} knew how to {use}.
        "I can do it," shouted {hero}, and the {thing} was like a friend.
        Now {hero} shows the little ones how to {use_one}.
        {Pal} clapped, and {hero} bowed with {his} {thing}.
        Soon {hero} could {use}, even with closed eyes.
        """,
        ["0146", "0136", "0246", "01456"],
        """
        {Someone} learned to {use_one} by trying again and again.
        {Someone} wanted to give up but learned to {use_one} at last.
        It took many days, but {someone} learned to {use_one}.
        {Someone} practised with {his} {thing} until {he} could do it.
        With a little help, {someone} learned to {use_one}.
        """,
        things=SKILLS,
    ),
    plot(
        "patience",
        "quiet",
        """
        {When}, {hero} asked an old {maker} for {a_thing}.
        {Hero} wanted {a_thing}, and an old {maker} said that {he} would have it.
        {When}, {hero} went to the {maker} to ask for {a_thing}.
        {When}, {hero} saw how the {maker} began to make {a_thing} for {him}.
        {Hero} had saved for a year to buy {a_thing} from the {maker}.

        "Come back in seven days," said the {maker}.
        "Good things need time," said the {maker}.
        "It will be ready when it is ready," said the {maker}.
        The {maker} worked slowly and looked at every part twice.
        The {maker} promised it for the first day of the month.

        Every day was as long as a year.
        {Hero} came back the very next morning and asked, "Is it done?"
        {Hero} could think of nothing else.
        {Hero} counted the hours on the tower clock.
        {Hero} asked every day, and every day it was not done.

        "Look at the pear tree," said {pal}, "for it does not hurry either."
        "Find something to do," said {pal}.
        {Pal} said, "Come and help me in the garden."
        {Pal} told {him} a long story each evening.
        "You cannot make a flower grow faster," {pal} said.

        So {hero} helped in the garden and saw the flowers grow.
        {Hero} helped at home and almost forgot to wait.
        {Hero} learned to sit still and listen to the birds.
        And so the days went by, one after the other.
        {Hero} watched a snail cross the whole path.

        At last the day came, and the {thing} was ready.
        On the last day the {maker} smiled and held out the {thing}.
        Then the {maker} brought the {thing} to the door.
        When {hero} came again, the {thing} was there.
        And then, one bright morning, the {thing} was done.

        It was {look}, and {hero} was glad of every day.
        {Hero} took it home and showed it to everyone.
        "I am glad that you did not hurry," {hero} told the {maker}.
        {Hero} had never seen such a fine {thing}.
        It was a better {thing} because {hero} had waited for it.
        """,
        ["0156", "0256", "01256", "0356"],
        """
        {Someone} waited for {a_thing}, and it was worth it.
        {Someone} learned to wait until the {thing} was ready.
        The {maker} took a long time, but {someone} got a very fine {thing}.
        {Someone} could hardly wait for the {thing} but had patience in the end.
        After many days, {someone} got the {thing} at last.
        """,
        things=tuple(MADE_BY),
    ),
    plot(
        "a shy player",
        "exciting",
        """
        {When}, {hero} was asked to come to the feast with {his} {full}.
        {Hero} made lovely music with {his} {full}, but only when nobody was there.
        {When}, {hero} was going to {use_his} before the whole village.
        {Hero} had {a_thing} and made music with it every evening in the barn.
        {When}, {hero} heard that the feast {at} needed someone with {one}.

        {He} practised behind the barn where nobody could hear.
        {He} loved to {use}, but {he} was very shy.
        {He} knew the tune so well that {he} dreamed of it.
        {He} had never done it in front of others.
        Only the stars had ever heard {him}.

        On the day of the feast {his} knees shook.
        So many people came that {he} wanted to hide.
        {He} looked at them all and forgot the first note.
        When {his} turn came, {he} stood as still as a post.
        {He} opened {his} eyes wide and could not move.

        "Just look at me," whispered {pal}.
        {Pal} smiled at {him} from the first row.
        "Close your eyes," said {pal}, "and think of the barn."
        {Pal} began to sing the tune, very softly.
        "I will stand beside you," said {pal}.

        So {hero} took a deep breath and began to {use}.
        {Hero} lifted the {thing} and began.
        The first note was weak, and the second was strong.
        {Hero} shut {his} eyes and started to {use}.
        Then the {thing} could be heard far away.

        People began to move their feet.
        Soon everybody danced, even the old miller.
        The whole place grew quiet and listened.
        The little ones came closer and closer.
        The tune went right up to the sky.

        When it was over, all of them clapped, and {hero} held up the {thing}.
        "More," they shouted, and {hero} was not shy any more.
        {Hero} bowed and held the {thing} with a red face.
        Now no feast is held without {hero} and the {thing}.
        "That was me," thought {hero}, and looked at the {thing} with wonder.
        """,
        ["0246", "0346", "0236", "02456"],
        """
        {Someone} was shy but made music with {his} {thing} before everybody.
        {Someone} found the courage to {use_one} at the feast.
        {Someone} was shy at first and then made everybody dance with {one}.
        {Someone} was afraid, but in the end all clapped for the {thing}.
        At the feast, {someone} forgot {his} fear and began to {use_his}.
        """,
        things=SOUNDING,
        places=("square", "market", "harbour", "meadow", "mill", "inn"),
    ),
)  # fmt: skip
