"""What the valley writes by hand: letters between children, diaries, notices on the board."""

from __future__ import annotations

from random import Random

from minialign.world import lexicon
from minialign.world.text import a, capital, number_word, plural
from tools.world_builder.documents.wording import (
    CHILDREN,
    OUTDOORS,
    PLACES,
    bounded,
    pick,
    say,
    some,
    two_children,
)

_COOKED = ("bread", "cake", "jam", "noodles", "pancakes", "pie", "porridge", "soup", "stew")
_BROKEN = ("basket", "box", "bucket", "clock", "drum", "kite", "ladder", "lamp", "wagon")
_ONE_IS_ENOUGH = tuple(x for x in lexicon.CLOTHES if x not in ("boot", "glove", "sock"))
# Things children did: each is a whole clause in the past tense with "we" or "I" as its subject.
_NEWS = (
    "we [found|saw|met] {beast} {place}.",
    "we built a [small house|tall tower|little boat] {place}.",
    "I lost my {thing}, but {friend} found it {spot}.",
    "it rained all day yesterday, so we stayed inside and made {cooked}.",
    "I am learning a song for the {instrument}, and it is [hard|not easy|getting better].",
    "my {broken} is [broken|too old], and nobody here can mend it.",
    "last week I fell into the [pond|river|mud] [and laughed|and was cold all day].",
    "we have {number} new {pets} now, and one of them is [all white|very small|always hungry].",
    "{friend} and I [walked|ran|went] to the {target} and [back|came home late].",
    "my [brother|sister] has [a cold|a new {colour} {cloth}|learned to read].",
    "the {fruits} in our garden are [sweet|still sour|not ripe yet].",
    "there was a concert {spot}, and we stayed to the end.",
    "we swam in the lake until it was dark.",
    "last night {beast} came to our door and would not leave.",
    "I [read|have read] a book about {beasts}, and now I know a lot about them.",
)
_GREETINGS = (
    "thank you for your [letter|last letter|kind letter|present].",
    "how are you?",
    "I hope that you are well.",
    "I have [so much|a lot|some news] to tell you.",
    "it is [cold|warm|quiet|late] here, and I [think|thought] of you.",
    "it has been a long time since you wrote.",
    "you asked me [what is new|how we are], so here it is.",
)
_QUESTIONS = (
    "will you come to the {target} on {day}?",
    "what did you do on {day}?",
    "I made you {gift} out of [paper|wood].",
    "have you seen my {lost}?",
    "please bring your {lost} [on {day}|when you come].",
    "can you teach me how to [make {cooked}|draw {beast}|mend a {broken}]?",
    "I miss you [very much|a lot].",
    "write soon [and tell me everything|].",
    "please say hello to {friend} [from me|].",
    "I will wait for you {place} on {day}.",
    "come and see us in {season}.",
)
_GOODBYES = ("your friend, {child}.", "love, {child}.", "with love from {child}.",
             "yours, {child}.",
             "see you soon, {child}.", "many greetings from {child}.")  # fmt: skip


def _slots(rng: Random) -> dict[str, str]:
    child, other = two_children(rng)
    friend = rng.choice([c for c in CHILDREN if c not in (child, other)])
    place, spot = rng.sample(PLACES, 2)
    animal = rng.choice(lexicon.ANIMALS)
    thing, lost = rng.sample(lexicon.OBJECTS, 2)
    target, goal = rng.sample(tuple(lexicon.PLACES), 2)
    return {
        "child": child, "other": other, "friend": friend, "place": place, "spot": spot,
        "target": target, "beast": a(animal), "beasts": plural(animal),
        "thing": thing, "lost": lost, "goal": goal, "day": rng.choice(lexicon.DAYS),
        "dish": rng.choice(lexicon.DISHES), "instrument": rng.choice(lexicon.INSTRUMENTS),
        "pets": plural(rng.choice(lexicon.PETS)), "number": number_word(rng.randint(2, 9)),
        "colour": rng.choice(lexicon.COLOURS), "cloth": rng.choice(_ONE_IS_ENOUGH),
        "fruits": plural(rng.choice(lexicon.FRUITS)), "season": rng.choice(lexicon.SEASONS),
        "gift": a(rng.choice(("boat", "doll", "kite", "owl", "flower", "fox", "swan"))),
        "cooked": rng.choice(_COOKED), "broken": rng.choice(_BROKEN),
        "caller": a(rng.choice(("cow", "crow", "dog", "fox", "frog", "owl", "robin"))),
    }  # fmt: skip


@bounded
def letter(rng: Random) -> str:
    """A short letter from one child to another."""
    slots = _slots(rng)
    lines = [pick(rng, _GREETINGS), *some(rng, _NEWS, rng.randint(1, 3), **slots),
             *some(rng, _QUESTIONS, rng.randint(1, 2), **slots)]  # fmt: skip
    body = " ".join(lines)
    gap = rng.choice(("\n", " "))
    start = pick(rng, ("dear {other},", "my dear {other},", "hello {other},"), **slots)
    return gap.join([start, body, pick(rng, _GOODBYES, **slots)])


_DATES = ("{day}.", "{day} evening.", "a long {day}.", "{day}, late at night.", "dear diary,",
          "{day}. My day.", "my diary, {day}.")  # fmt: skip
_MORNINGS = (
    "I woke [early|late|before the sun] and [ran|went|looked] outside.",
    "there was {dish} for breakfast[, and I was glad|, and I ate it all|].",
    "it was a [good|long|strange|lovely|sad] day.",
    "today I went to the {goal} with {friend}.",
    "nothing went right in the morning.",
    "in the morning it was [cold|warm|wet|bright], and [birds sang|the road was empty].",
    "at school we [drew {beasts}|counted {number} {pets}|read about {beasts}].",
)
_EVENINGS = (
    "now I am [tired|tired but happy|in bed|warm again] [and will sleep soon|].",
    "tomorrow I will [get up early|see {friend}|stay at home].",
    "I will not tell anyone[ but you|, not even {friend}|].",
    "I hope that tomorrow will be [better|just the same|dry|quiet].",
    "I can hear {caller} outside, and now I must sleep.",
    "that is all for today.",
    "I want to remember this day.",
    "the lamp is nearly out, so good night.",
    "I felt [sad|tired|a little afraid], but {friend} [smiled at me|held my hand].",
)


@bounded
def diary(rng: Random) -> str:
    """A day in a child's diary."""
    slots = _slots(rng)
    lines = [pick(rng, _DATES, **slots), pick(rng, _MORNINGS, **slots),
             *some(rng, _NEWS, rng.randint(1, 3), **slots),
             pick(rng, _EVENINGS, **slots)]  # fmt: skip
    return " ".join(lines)


_LOST = (
    ("[lost|missing]: {look}.", "I have lost {look}.", "who has seen {look}?"),
    ("it was last seen {place} on {day}.", "I had it {place} [on {day}|last {day}].",
     "I [left|dropped] it somewhere {place}."),
    ("it has {mark} on [one side|the back].", "you will know it by {mark} on the side.",
     "it is [old|new|small], but it is dear to me."),
    ("please bring it to {child} {spot}.",
     "whoever finds it gets [a bag of {fruits}|some {dish}|{number} coins].",
     "please leave it {spot}. Thank you, {child}."),
)  # fmt: skip
_FOUND = (
    ("found {place}: {look}.", "{child} has found {look} {place}.",
     "[yesterday|on {day}] I found {look} {place}."),
    ("is it yours?", "whose is it?", "somebody must miss it."),
    ("tell me [first|] what it looks like, and it is yours.",
     "it [waits|lies] {spot} until {day}.", "I keep it [dry|clean|safe] {spot}."),
    ("ask for {child}.", "come any day [before noon|after school].",
     "come soon, or I give it to {friend}."),
)  # fmt: skip
_EVENT = (
    ("on {day} there is a [market|concert|party] {place}.",
     "[come all|good news]: {dish} and music {place} on {day}.",
     "the [spring|summer|winter] party is {place} on {day}."),
    ("it begins at {hour} and ends when the last guest goes home.",
     "the gate opens at {hour}.",
     "be there at {hour}, not later."),
    ("bring {object} and [warm clothes|something to eat|a friend].",
     "there will be {dish} and {fruits}.",
     "{child} and {friend} will sing.", "{pets} and other animals must stay at home."),
    ("if it rains, we meet {spot}.", "everyone is welcome.",
     "children [come in free|need no coin].",
     "we need [two|three|four] helpers: ask {child}."),
)  # fmt: skip
_TASK = (
    ("please [note|read this].", "to everyone who [walks|lives] here:",
     "a word to [all|our neighbours]:"),
    ("the [road|path|bridge] {place} is closed until {day}.",
     "the [upper|lower] road is closed on {day}.",
     "the path to the {target} is deep in mud."),
    ("we are sorry, and we will [mend it|work on it] as fast as we can.",
     "take the road by the {goal} [for now|].", "[walk|step] with care, for the stones are wet."),
    ("thank you for your help.", "it opens again at {hour}.",
     "if you have {object}, please lend it to us."),
)  # fmt: skip
_SALE = (
    ("for sale: {look}.", "I want to sell {look}.",
     "who wants to buy {look}?"),
    ("it is [old|nearly new|small|not big], and it [is clean|is in one piece|has no hole].",
     "I do not need it [any more|now], for I have a new one."),
    ("I ask {number} coins for it.",
     "the price is {number} coins or [a basket of {fruits}|some {dish}].",
     "pay what you [can|think is right]."),
    ("look at it {place} on {day}.", "ask {child} {spot}.", "I am {spot} every {day}."),
)  # fmt: skip
# The parts of a forecast agree: what comes, how the air is, what to do.
_FORECASTS = (
    (("rain [all day|in the morning|at night]", "heavy rain and wind", "rain from the hill"),
     ("take an umbrella.", "stay dry.", "close the windows.", "keep the hay inside."), "wet"),
    (("snow [all day|at night|in the evening]", "ice on the [road|lake]", "snow and a cold wind"),
     ("wear a warm coat.", "walk slowly.", "keep the fire going.", "bring the animals in."),
     "cold"),
    (("sun [all day|until evening]", "sun and a soft wind", "clear sky"),
     ("hang out the wash.", "water the garden.", "it is a good day for a walk.", "wear a hat."),
     "warm"),
    (("mist [in the morning|until noon]", "thick mist", "mist by the river"),
     ("take a lamp.", "boats must stay at home.", "wait until noon."), "still"),
)  # fmt: skip


def _forecast(rng: Random, slots: dict[str, str]) -> str:
    (sky, advice, air), (next_sky, _, next_air) = rng.sample(_FORECASTS, 2)
    first = rng.randrange(7)
    slots |= {
        "outside": rng.choice(OUTDOORS), "sky": (now := pick(rng, sky))[0].lower() + now[1:],
        "air": air, "next_air": next_air,
        "next_sky": (then := pick(rng, next_sky))[0].lower() + then[1:],
        "today": lexicon.DAYS[first], "tomorrow": lexicon.DAYS[(first + 1) % 7],
    }  # fmt: skip
    return say(
        rng,
        ("weather for {today}: {sky}.", "the weather on {today}: {sky}.",
         "on {today} we expect {sky}."),
        ("the day will be {air}.", "{outside} it will be {air}.",
         "the air will be {air}."),
        advice,
        ("{tomorrow}: {next_sky}.", "on {tomorrow} it will be {next_air}, with {next_sky}.",
         "for {tomorrow} we expect {next_sky}."),
        ("that is all from the weather tower.", "[look|ask] again tomorrow.",
         "the {beasts} seem to know it already.",
         "{child} will write the next report."),
        **slots,
    )  # fmt: skip


@bounded
def notice(rng: Random) -> str:
    """A notice on the village board: lost, found, for sale, an event, a closed road, weather."""
    slots = _slots(rng)
    place = rng.choice(tuple(lexicon.PLACES))
    thing = rng.choice(lexicon.OBJECTS)
    slots |= {
        "look": a(f"{slots['colour']} {thing}"), "object": a(rng.choice(lexicon.OBJECTS)),
        "mark": rng.choice(("a small star", "a hole", "a thin line", "a red spot", "two letters")),
        "hour": rng.choice((number_word(rng.randint(1, 12)), "noon", "dusk")),
        "place": f"{lexicon.PLACES[place]} the {place}",
    }  # fmt: skip
    kind = rng.randrange(6)
    if kind == 5:
        return _forecast(rng, slots)
    text = say(rng, *(_LOST, _FOUND, _EVENT, _TASK, _SALE)[kind], **slots)
    return capital(text)
