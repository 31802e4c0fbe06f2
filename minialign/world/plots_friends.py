"""Plots between two friends: sharing, quarrels, gifts, thanks and borrowed things."""

from minialign.world.plots_base import plot

PLOTS = (
    plot(
        "sharing",
        "happy",
        """
        {When}, {hero} and {pal} both wanted to {use_one} {at}.
        {When}, {hero} and {pal} found {a_thing} {at} at the same time.
        {When}, {hero} was happy with {his} {full} when {pal} came by.
        {Hero} had {a_thing}, and {pal} had none.
        {When}, {hero} did not want to share {his} {full} with {pal}.

        "It is mine," said {hero}, and held on to it.
        "Me first," cried {hero}, and would not let go.
        {Hero} turned away and kept the {thing} close.
        {Hero} said no, and then {he} said no again.
        "You may look at it from over there," said {hero}.

        {Pal} said nothing and walked off and did not look back.
        {Pal} sat down under a tree, all alone.
        {Pal} went away to count clouds.
        {Pal} looked so sad that the birds were quiet.
        So {pal} kicked a small stone and went off.

        Now {hero} had the {thing} alone, but it was no fun.
        It was quiet, and nobody was there to laugh with.
        {Hero} tried to {use}, but something was missing.
        Nothing is fun for long when you are alone.
        After a while {hero} did not like it any more.

        {He} thought about it, and {he} was a little ashamed.
        {He} remembered how often {pal} had helped {him}.
        What use is {one} without a friend, {he} thought.
        {He} counted to ten and got up.
        {He} looked up and saw {pal} all alone.

        "Come here, {call_pal}, and we will take turns," {he} called.
        Then {he} held out the {thing} and said, "Now it is your turn."
        So {he} went to {pal} and put the {thing} between them.
        {He} went over and asked, "Do you want to {use_it} now?"
        {He} brought the {thing} over and said, "Let us share it."

        They shared the {thing} until the sun went down.
        From then on the {thing} belonged to both of them.
        With two, it was twice as much fun to {use}.
        {Hero} and {pal} laughed so loud that the whole valley heard it.
        They took turns with the {thing}, and nobody was sad any more.
        """,
        ["0156", "0256", "02356", "01356"],
        """
        {Someone} learned to share {his} {thing} with {a_pal}.
        {Someone} did not want to share the {thing} but did so in the end.
        At last {someone} and {a_pal} took turns with the {thing}.
        Sharing {his} {thing} with {a_pal} made {someone} happy.
        {Someone} found that {one} is more fun with a friend.
        """,
        pal="friend",
    ),
    plot(
        "a quarrel made up",
        "quiet",
        """
        {When}, {hero} and {pal} quarrelled about {a_thing}.
        {When}, {hero} had a fight with {pal}, and it was about {a_thing}.
        {When}, {hero} said that {pal} had taken {his} {full}.
        {When}, {hero} was cross with {pal} because of {a_thing}.
        {When}, {hero} and {pal} were cross because of {a_thing}.

        Loud words flew back and forth.
        One said this, the other said that, and both were angry.
        They shouted until the hens ran away.
        "I do not want to see you any more," said {hero}.
        "Then I will go," said {pal}, and went.

        All day they did not speak to each other.
        They sat back to back and looked at the ground.
        {Hero} went left, and {pal} went right.
        Three days went by without a word.
        They passed each other on the bridge and looked away.

        {Hero} went home, but supper was not good.
        It was very quiet without {pal}.
        {Hero} looked at the {thing} and did not even like it now.
        In the night {hero} heard the rain and felt alone.
        Nobody laughed with {hero} any more.

        {One} is only {one}, thought {hero}.
        {Hero} asked {himself}, "What was it about?"
        {Hero} wanted {his} friend back more than anything.
        Somebody has to go first, thought {hero}.
        {Hero} remembered how they had played together.

        So {he} knocked at the door and said, "I am sorry."
        {He} went to {pal} and said, "I was wrong."
        "Please be my friend again, {call_pal}," said {hero}.
        {He} waited for {pal} by the gate and said, "I am sorry."
        {He} brought the {thing} to {pal} and said, "You may have it."

        "I am sorry too," said {pal}, and gave {him} a hug.
        {Pal} smiled and made room on the bench.
        Then {pal} laughed, and so did {hero}.
        "I was sad without you," said {pal}.
        {Pal} was just on the way to say the same.

        After that the {thing} belonged to both of them.
        They put the {thing} away and had tea.
        The {thing} was soon forgotten, but not the friend.
        They walked home together, and the {thing} came along.
        In the evening they sat by the {thing} as if nothing had happened.
        """,
        ["0257", "0256", "0357", "02567", "0157"],
        """
        {Someone} and {a_pal} quarrelled about {a_thing} and made up.
        {Someone} had a quarrel about {a_thing} and said sorry in the end.
        A quarrel about {a_thing} ended when {someone} said sorry.
        {Someone} fought about {a_thing} with {a_pal}, but they became friends again.
        After a fight about the {thing}, {someone} and {a_pal} were friends again.
        """,
        pal="friend",
    ),
    plot(
        "a gift for a sick friend",
        "quiet",
        """
        {When}, {hero} heard that {pal} was ill.
        {When}, {hero} learned that {pal} had to stay in bed.
        {When}, {hero} waited {at}, but {pal} did not come because {pal_he} was ill.
        {When}, {hero} wanted to cheer up {pal}, who was ill.
        {When}, {hero} went to see {pal}, who had a bad cold.

        {He} had only one fine thing, and that was {a_thing}.
        {He} looked at {his} {full} for a long time.
        {He} thought of {his} {full}, which {he} loved very much.
        {He} wished to bring a gift, but {he} owned nothing but {a_thing}.
        In {his} house {he} had one good thing, {a_thing}.

        It was hard to give it away.
        {He} picked it up, put it down, and picked it up again.
        Nobody had told {him} to do it.
        {He} stopped at the door and almost turned back.
        It rained on the way, but {he} kept it dry.

        "This {thing} is for you," {he} said, and put it by the bed.
        Then {he} gave {pal} the {thing} and wished {pal_him} well.
        "I brought you my {thing}," {he} told {pal}.
        {He} put the {thing} by the bed without a sound.
        "Here is {one} to keep by your bed," {he} said.

        {Pal} sat up for the first time in days.
        {Pal} smiled, and the room grew bright.
        {Pal} asked, "Is your own {thing} really for me?"
        {Pal} held the {thing} and laughed.
        {Pal} could not say a word for joy.

        {Hero} told {pal} all about the village.
        They talked until it was dark.
        {Hero} stayed and made some hot soup.
        They had tea and listened to the rain.
        {Hero} read {pal} a story about a brave snail.

        A week later {pal} was well and came to say thank you.
        Soon {pal} was well, and they went out to {use} together.
        {Hero} went home with empty arms and a full heart.
        Giving the {thing} away made {hero} happier than having it.
        The {thing} had helped to make {pal} well.
        """,
        ["0136", "0134", "01346", "01236"],
        """
        {Someone} gave {his} {thing} to {a_pal}, who was ill.
        {Someone} cheered up a sick friend with {a_thing}.
        {Someone} gave away {his} {thing} to make {a_pal} smile.
        The {thing} that {someone} gave away made a sick friend happy.
        A sick friend got {a_thing} from {someone}.
        """,
        pal="friend",
    ),
    plot(
        "a thank-you",
        "happy",
        """
        {When}, {hero} fell into a ditch {at}, and {pal} pulled {him} out.
        {When}, {hero} was hungry, and {pal} shared {pal_his} lunch with {him}.
        {When}, {hero} hurt {his} foot, and {pal} helped {him} home.
        One day {hero} was out in the rain, and {pal} let {him} in.
        {When}, {hero} was stuck in a fence {at}, and {pal} set {him} free.

        Everything happened so fast that {he} forgot to say thank you.
        Before {he} could say a word, {pal} was gone.
        "It was nothing," said {pal}, and went away.
        That night {hero} lay awake and thought about it.
        {He} wanted to say thank you, but {he} was too shy.

        So {he} took {a_thing} and tied a flower to it.
        {He} wished to give something back, and chose {a_thing}.
        The next day {he} worked for hours to get {a_thing}.
        Then {he} saw {a_thing} and knew what to do.
        {He} picked out {a_thing} for {pal}, the best that {he} had.

        In the morning {he} left the {thing} at the door.
        {He} carried the {thing} to {pal} on tiptoe.
        {He} put the {thing} on the step, knocked, and hid.
        {He} walked for an hour, put the {thing} on the step, and hid.
        {He} left the {thing} on the step with a note.

        {Pal} opened the door and saw the {thing}.
        {Pal} looked around and asked, "Who brought this?"
        {Pal} almost fell over the {thing}.
        {Pal} turned the {thing} around and around in wonder.
        {Pal} had never been given {one} before.

        Then a voice behind the fence said, "Thank you."
        {Hero} came out from behind a tree and said, "Thank you for helping me."
        "It is from me," said {hero}, "because you were so kind."
        There was a note that said, "You helped me, and I have not forgotten."
        {Hero} came out and said what {he} had wanted to say.

        After that, {hero} and {pal} had breakfast together.
        And so one kind act came back as another.
        From that day the {thing} stood by the window.
        A thank-you is never too late.
        {Pal} took good care of the {thing}, and {hero} came to see it every week.
        """,
        ["0236", "0235", "02356", "01236"],
        """
        {Someone} said thank you with {a_thing}.
        {Someone} gave {a_pal} {a_thing} to say thank you.
        {Someone} was helped and gave {a_thing} as a thank-you.
        {A_pal} was kind to {someone} and got {a_thing} for it.
        With {a_thing}, {someone} gave thanks for kind help.
        """,
    ),
    plot(
        "borrowed and forgotten",
        "quiet",
        """
        {When}, {hero} borrowed {a_thing} from {pal}.
        {When}, {hero} asked {pal} for {a_thing}, just for one day.
        {Hero} wanted to {use_one}, so {he} borrowed one from {pal}.
        {When}, {hero} got {a_thing} from {pal} and promised to bring it back.
        {When}, {hero} needed {a_thing}, and {pal} was glad to lend one.

        "I will bring it back tomorrow," said {hero}.
        "Keep it until Sunday," said {pal}.
        {Hero} promised to take good care of it.
        {Pal} wanted nothing for it.
        "You will have it back tonight," {he} said.

        But the days went by, and {he} forgot.
        The next day came, and {he} thought of other things.
        {He} put it in a corner, and there it stayed.
        A week went by, and then a month.
        So much happened that {he} did not think of it again.

        One evening {he} saw {pal} looking for something {at}.
        Then {he} heard that {pal} could not work without the {thing}.
        One morning {he} opened a door, and there was the {thing}.
        {Pal} asked a neighbour, "Have you seen my {thing}?"
        Then {he} dreamed that the {thing} wanted to go home.

        {His} face grew hot, for {he} had broken {his} word.
        {He} was so ashamed that {he} wanted to hide.
        {He} thought of leaving it at the door and running away.
        "How could I forget," said {hero}, and jumped up.
        {He} did not like to think of what {pal} would say.

        {He} cleaned the {thing} and took it back at once.
        {He} {ran} through the rain to bring the {thing} back.
        So {he} took the {thing} to {pal} and said, "I forgot, and I am sorry."
        With the {thing} and some flowers {he} went to {pal}.
        That same hour {he} brought the {thing} back to its owner.

        "Late is better than never," said {pal}.
        "I knew that you would bring it," said {pal} kindly.
        {Pal} was not angry, and they had some pie.
        Since that day {hero} has never kept a thing too long.
        {Hero} never forgot a promise again, or hardly ever.
        """,
        ["0256", "0245", "02356", "0125"],
        """
        {Someone} borrowed {a_thing}, forgot it, and brought it back at last.
        {Someone} was late, but {he} brought the {thing} back and said sorry.
        {Someone} forgot to bring back {a_thing} but put it right in the end.
        {Someone} kept a borrowed {thing} too long and then took it back.
        The borrowed {thing} came back late, but {someone} was forgiven.
        """,
        pal="friend",
    ),
)  # fmt: skip
