"""Plots that end in laughter: wrong guesses, mishaps and a little pride."""

from minialign.world.plots_base import BIG, NEST, NOISY, plot

PLOTS = (
    plot(
        "a wrong guess",
        "funny",
        """
        {When}, {hero} heard a strange noise {at}.
        {When}, {hero} stopped {at} because something went bump.
        {When}, {hero} passed {place} and heard a strange sound.
        {Hero} did not dare to go to {place}, for something knocked and knocked there.
        {When}, {hero} heard something move {at}.

        Bump, bump, bump, it went, and then it was quiet.
        It knocked three times and stopped.
        The noise came again, louder than before.
        Nobody else was near.
        It was not a door, and it was not a bird.

        "It is a {monster}," {he} whispered.
        {He} was sure that it was a {monster}.
        "Only a {monster} sounds like that," thought {hero}.
        {He} thought of a {monster} and began to shake.
        {He} hid behind a tree, because it had to be a {monster}.

        {He} {ran} to {pal} and told {pal_him} everything.
        {He} told {pal}, and {pal} was afraid too.
        {He} called {pal}, who brought a big stick.
        "Come with me," {he} begged {pal}, "I am afraid."
        {He} asked {pal} to come and see.

        Step by step they went closer.
        They held their breath and looked around the corner.
        On three they both jumped out and shouted.
        They went along the wall without a sound.
        First they shook, then they looked.

        It was only {a_thing} that moved in the wind.
        There stood {a_thing}, and the wind knocked it against a wall.
        What {hero} saw was only {a_thing} in the wind.
        The {monster} was nothing but {a_thing}.
        There was no {monster} at all, only {a_thing} and the wind.

        {Hero} laughed until {he} had to sit down.
        "Good evening, {monster}," said {hero} to the {thing}.
        {Hero} took the {thing} home and named it {Monster}.
        They still say that {hero} was afraid of {one}.
        {Hero} turned red and laughed at {himself}.
        """,
        ["0256", "02356", "02345"],
        """
        {Someone} was afraid of a {monster}, but it was only {one}.
        {Someone} heard a strange noise that came from {one}.
        {One} in the wind made {someone} think of a {monster}.
        {Someone} guessed wrong, for the {monster} was just {one}.
        The {monster} that {someone} feared turned out to be {one}.
        """,
        things=NOISY,
        extras={"monster": ("ghost", "giant", "dragon", "monster", "troll")},
    ),
    plot(
        "the goose on the nest",
        "funny",
        """
        {When}, {hero} left {his} {full} in the grass {at}.
        {When}, {hero} put {his} {full} down in the straw.
        {Hero} wanted to {use_his}, but first {he} put it down and picked some flowers.
        {When}, {hero} dropped {a_thing} {at} and did not see it.
        {Hero} had {a_thing}, and {he} left it in the sun to dry.

        When {he} came back, a white goose was sitting on it.
        Along came a fat old goose and sat down on the {thing}.
        A goose saw the {thing} and thought that it was an egg.
        Then a goose came by and made a nest around it.
        {He} turned around, and a goose had sat down on the {thing}.

        "Please get up," said {hero}, but the goose only looked.
        "That is no egg," said {hero}, but the goose would not listen.
        {He} begged and {he} clapped, but the goose did not move.
        {He} pulled at the goose, and the goose pulled at {him}.
        "Go away," cried {hero}, but the goose did not hear.

        {Hero} brought corn, and the goose ate it without getting up.
        {Hero} sang a song, and the goose fell asleep.
        {Hero} offered bread, but the goose wanted to be a mother.
        {Hero} danced, and the goose just looked the other way.
        {Hero} blew a horn, and the goose liked it.

        "Give her a real egg," said {pal}, who was laughing very hard.
        Then {pal} came with a warm brown egg.
        "I know geese," said {pal}, and put a fresh egg beside the goose.
        {Pal} had an idea and fetched an egg.
        "Try a trade," said {pal}, holding up an egg.

        The goose looked at both and moved over to the egg.
        At once the goose chose the egg and gave up the {thing}.
        The goose took the egg and pushed the {thing} away.
        Very slowly the goose got up and changed places.
        That was fair, thought the goose, and took the egg.

        {Hero} got the {thing} back, and it was very warm.
        So {hero} had {his} {thing} again, with two feathers on it.
        "Thank you for keeping it warm," {hero} told the goose.
        The {thing} was saved, and the goose was happy too.
        Now {hero} never leaves the {thing} near a goose.
        """,
        ["0146", "01456"],
        """
        A goose sat on the {thing} until {someone} got it back for an egg.
        {Someone} had to get {his} {thing} back from a goose.
        A goose took the {thing} for an egg, and {someone} had to trade for it.
        {Someone} left {a_thing} in the grass, and a goose sat down on it.
        {Someone} got the {thing} back with the help of a real egg.
        """,
        things=NEST,
    ),
    plot(
        "stuck in the mud",
        "funny",
        """
        {When}, {hero} pulled {a_thing} along the road to {place}, and it got stuck in the mud.
        {When}, {hero} found {his} {full} deep in the mud.
        {When}, {hero} was on the way to {place} when {his} {full} sank into the mud.
        {When}, {hero} tripped, and {his} {full} landed in the mud.
        {When}, {hero} dropped {a_thing} right into the biggest puddle of all.

        {He} pulled and pulled, but it did not move.
        {He} pulled as well as {he} could, but the mud held on.
        "Come out," {he} shouted, but the mud only said plop.
        {He} pushed from one side and pulled from the other.
        {He} pulled again and again, and it sank.

        Then {pal} came and pulled {hero}, who pulled the {thing}.
        {Pal} took hold of {hero}, and they pulled together.
        "I am strong," said {pal}, but that was not enough either.
        {Pal} pulled too, and lost a boot in the mud.
        "One, two, three," called {pal}, but nothing happened.

        A cow came by and pulled as well.
        Then a goat and two hens joined them.
        Soon there was a long row of helpers, from a horse to a hen.
        A pig, a dog, and a tired old sheep came to help.
        The whole village came and stood in a line.

        But the {thing} still did not move at all.
        They pulled until they were all red.
        Everybody shouted, and nobody knew what to do.
        Still the mud was too strong.
        They all sat down to rest.

        Last of all came {a_tiny}, who said, "Let me try."
        {A_tiny} stood last in line and asked, "May I help too?"
        Then {a_tiny} joined the end of the line.
        Even {a_tiny} came and gave a tiny pull.
        Only {a_tiny} had not helped yet, and now it did.

        Plop went the mud, the {thing} was free, and everybody fell over.
        With one more pull the {thing} flew out, and they all sat in the mud.
        Out came the {thing}, and down fell all the helpers.
        The {thing} flew out of the mud, and they all fell down.
        Plop, and they lay in the mud with the {thing} on top.

        That was a great day for everyone.
        They had to laugh, for they were all brown from head to toe.
        That night, {hero} washed the {thing} and then {himself}.
        After that they had soup together, for pulling makes you hungry.
        Nobody in the village was clean that day, but {hero} had {his} {thing}.
        """,
        ["0126", "0136", "0236", "01356"],
        """
        {Someone} got {a_thing} out of the mud with many helpers.
        The {thing} was stuck in the mud until everybody helped {someone} to pull.
        {Someone} pulled and pulled until the {thing} came out of the mud.
        It took all the helpers to free the {thing} that {someone} had in the mud.
        {Someone} and the others pulled the {thing} out and fell over.
        """,
        things=BIG,
        extras={"a_tiny": ("a little mouse", "a tiny ant", "a small beetle", "a baby frog")},
    ),
    plot(
        "a trade",
        "funny",
        """
        {When}, {hero} saw that {pal} had {a_thing}, and {he} wanted it.
        {When}, {hero} went to {place} to trade {own} for {a_thing}.
        {Hero} had {own}, but what {he} wanted was {a_thing}.
        {When}, {hero} offered {pal} {own} for {a_thing}.
        {When}, {hero} wished to get {a_thing}, but {he} had only {own}.

        "I do not need {goods}," said {pal}, "but I would like {swap}."
        "Bring me {swap}," said {pal}, "and it is yours."
        {Pal} shook {pal_his} head and asked for {swap}.
        "For {swap} you can have it," said {pal}.
        "What I need is {swap}," said {pal}.

        So {he} went to the {maker}, who wanted {price} for {swap}.
        "You can have {swap} for {price}," said the {maker}.
        The {maker} had {swap} but asked for {price}.
        {He} asked the {maker}, who would trade {swap} only for {price}.
        {He} went on to the {maker}, and the {maker} asked for {price}.

        The farmer had {price} and was glad to take the {goods}.
        "I have {price}," said a farmer, "and I love {goods}."
        Luckily the farmer gave {him} {price} for the {goods}.
        Another farmer took the {goods} and gave {him} {price}.
        Then {he} met a farmer who gave {price} for the {goods}.

        {He} {ran} back and forth all day long.
        {His} feet were tired from all that walking.
        {He} almost forgot what {he} had wanted at first.
        By then the sun was already low.
        {He} crossed the bridge so often that it knew {him}.

        At last {he} stood before {pal} with {swap}.
        In the evening {he} brought {pal} {swap}.
        {He} came back to {pal} with {swap} and a red face.
        "Here is your wish," {he} said to {pal}, quite out of breath.
        {Pal} got {swap}, and everybody was pleased.

        Then the {thing} was {his}, and {he} fell asleep beside it.
        {Hero} got the {thing}, and the whole village had got something too.
        "Next time," said {hero} to the {thing}, "I will make one."
        {Pal} handed over the {thing} and said, "That was quick."
        So {hero} went home with the {thing} and very tired feet.
        """,
        ["0156", "01456"],
        """
        {Someone} traded all day and got {a_thing} in the end.
        {Someone} wanted {a_thing} and got it after many trades.
        It took a long day of trading, but {someone} got the {thing}.
        With many trades {someone} turned {own} into {one}.
        {Someone} had only {own} and still got the {thing}.
        """,
        extras={
            "own|goods": ("three eggs|eggs", "six plums|plums", "four pears|pears", "ten nuts|nuts",
                          "two melons|melons", "five onions|onions"),
            "swap|maker": ("a jar of jam|cook", "a loaf of bread|baker", "a honey cake|beekeeper",
                           "a pair of socks|shepherd", "a pot of soup|cook", "a warm pie|baker",
                           "a loaf of bread|miller"),
            "price": ("some butter", "some flour", "some wool", "some milk", "some corn"),
        },
    ),
    plot(
        "too proud",
        "funny",
        """
        {When}, {hero} got {a_thing} and showed it to everyone {at}.
        {Hero} had {a_thing} and was much too proud of it.
        {When}, {hero} came to {place} with {his} {full} and looked at nobody.
        {When}, {hero} walked up and down {at} with {a_thing}.
        {Hero} thought that nobody had {one} as fine as {his} {full}.

        "Look at me," {he} called to one and all.
        "Mine is the best in the whole valley," {he} said.
        {He} held {his} head so high that {he} could see only the sky.
        "Do not come close," {he} told the others.
        {He} made everybody wait and watch.

        "Look at the puddle," called {pal}.
        {Pal} saw the big puddle and called {his} name.
        "Please look where you are going, {call_hero}," said {pal}.
        {Pal} said, "There is a puddle in front of you."
        "Be careful," said {pal}, "for it rained last night."

        "I can see," said {hero}, and went on.
        But {he} did not listen to anyone.
        {He} only laughed and walked on.
        But a proud nose sees no puddle.
        "I know that," said {hero}, but {he} did not look.

        Splash, and there {he} sat in the puddle with {his} {thing}.
        The next moment {he} lay in the mud with the {thing} on top.
        One step more, and {hero} and the {thing} fell into the puddle.
        {He} slipped, and the {thing} landed on {his} head.
        Splash went {hero}, and splash went the {thing}.

        It was quiet for a moment, and then everybody laughed.
        A frog jumped off {his} head.
        {He} was brown from top to toe.
        Even the cows looked over the fence.
        Mud ran down {his} face.

        {He} was angry at first, but soon {he} had to laugh too.
        {Pal} did not laugh but helped {him} out.
        {Pal} brought a bucket of water.
        {He} wanted to cry, but it was just too funny.
        "I think it is raining," said {hero}, and now all of them laughed.

        After that, {hero} let everybody try the {thing}.
        {Hero} washed the {thing} and was not so proud any more.
        "It is only {one}," said {hero}, "and I am only a muddy {kind}."
        Now {hero} looks where {he} goes.
        The {thing} was soon clean again, and {hero} was kinder.
        """,
        ["0147", "02347", "01457", "0247"],
        """
        {Someone} was too proud of {his} {thing} and fell into a puddle.
        {Someone} showed off {a_thing} and landed in the mud.
        {Someone} was proud of {a_thing} and did not look where {he} went.
        {Someone} was proud of the {thing} until {he} sat in the mud with it.
        After a fall into a puddle, {someone} was less proud of the {thing}.
        """,
    ),
)  # fmt: skip
