"""Pages about nature: the animals, trees, flowers, weather and seasons of the valley."""

from __future__ import annotations

import re
from random import Random

from minialign.world import lexicon
from minialign.world.facts import ANIMAL_TABLE
from minialign.world.text import a, number_word, plural
from tools.world_builder.documents.animals import base
from tools.world_builder.documents.wording import OUTDOORS, bounded, fill, pick, say, some

_IT = re.compile(r"\b[Ii]ts?\b")
_ANIMAL_OPENINGS = (
    "{one} is an animal of [the|our] valley.",
    "there are many {many} in [the|our] valley.",
    "look at the {name} [{place}|in this picture|over there].",
    "do you know the {name}?",
    "this page is about the {name}.",
    "[today|this week|this morning] we [saw|met|found|watched] {one} {place}.",
    "people [often|sometimes] ask about {many}.",
    "here is what we [know|learned] about {many}.",
    "{many} are [not hard|easy] to tell from other animals.",
    "the {name} is [known|loved] by every child in the valley.",
    "who lives here? [It is|We think it is] {one}.",
)
# Each row is one fact; a page states some of them, in any order.
_ANIMAL_FACTS: dict[str, tuple[str, ...]] = {
    "eats": (
        "it eats {eats}.",
        "{one} eats {eats}.",
        "{many} eat {eats}.",
        "its food is {eats}.",
        "when it is hungry, it looks for {eats}.",
        "give {one} some {eats} and it will be [happy|glad].",
        "what does it eat? It eats {eats}.",
        "[most of the time|for supper|on most days] it eats {eats}.",
    ),
    "home": (
        "it sleeps in {home}.",
        "its home is {home}.",
        "{one} sleeps in {home}.",
        "when it is tired, it [rests|sleeps] in {home}.",
        "where does it sleep? It sleeps in {home}.",
        "{many} rest in {home} [when it is cold|when they are tired|after a long day].",
    ),
    "sound": (
        "{one} {sound}.",
        "{many} {sounds}.",
        "listen [well|closely]: {one} {sound}.",
        "a dog barks, but {one} {sound}.",
        "how do you know it by ear? It {sound}.",
    ),
    "moves": (
        "{one} {moves}.",
        "it {moves} well.",
        "{many} {move} well.",
        "it {moves} [for much of its life|when it looks for food].",
        "how does it get about? It {moves}.",
    ),
    "cover": (
        "it is covered in {cover}.",
        "{many} are covered in {cover}.",
        "its body is covered in {cover}.",
        "what is it covered in? It is covered in {cover}.",
        "touch one and you [will feel|feel] {cover}.",
    ),
    "legs": (
        "it has {legs} legs.",
        "{one} has {legs} legs.",
        "{many} have {legs} legs.",
        "count its legs: there are {legs}.",
    ),
}
_ANIMAL_ENDINGS = (
    "sit [very|] still and you may see one {spot}.",
    "we saw [two|three|four] of them {spot} [last week|yesterday|this morning].",
    "look for it {spot}, but do not [scare|chase|wake] it.",
    "children [like|love] to watch {many}.",
    "that is [all|what] we know about the {name}.",
    "be [kind|gentle] to every {name} you meet.",
    "on a walk you may find one {spot}.",
    "now you know the {name} [better|a little better|well].",
    "I [hope|wish] to see one [soon|again|tomorrow].",
    "draw one, and do not forget the {cover}.",
)


def _slots(rng: Random, name: str) -> dict[str, str]:
    facts = ANIMAL_TABLE[name]
    return {
        "name": name, "one": a(name), "many": plural(name), "eats": facts.eats,
        "home": a(facts.home), "sound": facts.sound, "sounds": base(facts.sound),
        "moves": facts.moves, "move": base(facts.moves), "cover": facts.cover,
        "legs": "no" if facts.legs == 0 else number_word(facts.legs),
        "place": rng.choice(OUTDOORS), "spot": rng.choice(OUTDOORS),
    }  # fmt: skip


def _animal(rng: Random) -> str:
    name = rng.choice(lexicon.ANIMALS)
    slots = _slots(rng, name)
    kinds = rng.sample(tuple(_ANIMAL_FACTS), rng.randint(3, 5))
    tables = (_ANIMAL_OPENINGS, *(_ANIMAL_FACTS[kind] for kind in kinds), _ANIMAL_ENDINGS)
    lines: list[str] = []
    plural_before = False
    for table in tables:
        template = rng.choice(table)
        # "it" must stand for something, and a dog is not told from a dog
        while (plural_before and _IT.search(template)) or template.startswith(f"a {name} "):
            template = rng.choice(table)
        plural_before = "{many}" in template
        lines.append(fill(rng, template, **slots))
    return " ".join(lines)


_PAIRS = (
    ("eats", "{one} eats {eats}, [but|and] {other} eats {other_eats}."),
    ("eats", "give {eats} to {one} and {other_eats} to {other}."),
    ("home", "{one} sleeps in {home}, [but|and] {other} sleeps in {other_home}."),
    ("sound", "{one} {sound}, [but|and] {other} {other_sound}."),
    ("moves", "{one} {moves}, [but|and] {other} {other_moves}."),
    ("cover", "{one} is covered in {cover}, [but|and] {other} is covered in {other_cover}."),
    ("legs", "{one} has {legs} legs, [but|and] {other} has {other_legs} legs."),
)
_PAIR_OPENINGS = (
    "how can you tell {one} from {other}?",
    "{many} and {other_many} are not the same.",
    "[today|this week] we [saw|met|drew] {one} and {other} {place}.",
    "here are two animals: {one} and {other}.",
    "{one} and {other} met {place}.",
)


def _two_animals(rng: Random) -> str:
    """Two animals side by side, in what tells them apart."""
    first, second = rng.sample(lexicon.ANIMALS, 2)
    slots, others = _slots(rng, first), _slots(rng, second)
    slots |= {f"other_{key}": value for key, value in others.items()} | {"other": others["one"]}
    unused = rng.choice(_PAIRS[:2])  # one of the two about food
    apart = [line for key, line in _PAIRS
             if slots[key] != slots[f"other_{key}"] and line != unused[1]]  # fmt: skip
    lines = some(rng, apart, min(3, len(apart)), **slots)
    ending = ("now you can tell them apart.", "both live in the valley.",
              "I like [both|them both].",
              "which one do you like better?", "look for both {place}.")  # fmt: skip
    return " ".join([pick(rng, _PAIR_OPENINGS, **slots), *lines, pick(rng, ending, **slots)])


_PLANT_FACTS = (
    "it [drinks|takes] water [with|through] its roots.",
    "it needs sun, rain and [good|dark|soft] earth.",
    "without [water|rain|light] it cannot [grow|live].",
    "[bees|ants|small animals] [visit|come to] it on warm days.",
    "we [water|look after] it when the summer is dry.",
    "[a robin|a snail|a mouse|a toad] [hides|rests] [under|below] it when it rains.",
)
_TREE_FACTS = (
    "a tree like this can grow [old|very old|tall] and [strong|wide].",
    "its wood can be made into a [boat|box|ladder|spoon|table].",
    "[birds|robins|crows|owls] sit in it and [rest|wait for the sun].",
    "its shade is [cool|deep|good] on a hot day.",
    "the wind [moves|shakes|bends] it, but it does not fall.",
    "a squirrel climbs up and down [all day|again and again].",
)
_FLOWER_FACTS = (
    "it opens in the light and [smells sweet|is lovely to see].",
    "[{child}|the gardener|a girl|a boy] [put|set] one in a [blue|green|small] jar.",
    "do not pick them all: leave some for the bees.",
    "it is [small|thin|soft], but it is strong enough for the wind.",
    "the [first|last] one of the year makes [everyone|us all] glad.",
)


def _plant(rng: Random) -> str:
    tree = rng.random() < 0.6
    name = rng.choice(lexicon.TREES if tree else lexicon.FLOWERS)
    kind, facts = ("tree", _TREE_FACTS) if tree else ("flower", _FLOWER_FACTS)
    slots = {"name": name, "one": a(name), "many": plural(name), "kind": kind,
             "place": rng.choice(OUTDOORS),
             "child": rng.choice(tuple(lexicon.CHILDREN))}  # fmt: skip
    opening = (
        "{one} is a {kind}.", "{one} [grows|stands] {place}, and everyone can see it.",
        "[which|what] {kind} grows {place}? It is {one}.",
        "[the|our] {name} {place} is a fine {kind}.",
        "there are [three|four|five|six|many] {many} {place}, and this is one of them.",
    )  # fmt: skip
    leaves = (
        "in winter it stays green." if name == "pine" else
        "[in autumn its leaves turn yellow and fall|in winter it has no leaves]."
        if tree else "it sleeps in the ground all winter[ and wakes in spring|]."
    )  # fmt: skip
    lines = [*some(rng, facts, 2, **slots), *some(rng, _PLANT_FACTS, rng.randint(1, 2)),
             fill(rng, leaves)]  # fmt: skip
    rng.shuffle(lines)
    return " ".join([pick(rng, opening, **slots), *lines])


_SEASON_LINES: dict[str, tuple[str, ...]] = {
    "spring": (
        "the snow is gone and the river is [high|full|loud].",
        "[small|new|soft] leaves open on the {tree}.",
        "birds [sing|call] before the sun is up.",
        "the first [bees|flowers|green leaves] come out {place}.",
        "rain falls in the morning, and at noon it is dry again.",
        "farmers [plant|sow] {vegetables} [in long rows|in the dark earth].",
        "young [lambs|ducks|hares] [play|run] {place}.",
    ),
    "summer": (
        "the days are long and [hot|warm|bright].",
        "children swim in the [lake|river] until [supper|evening].",
        "the {tree} gives [cool|deep|good] shade.",
        "[dust|warm air] lies over the road.",
        "{fruits} [grow sweet|turn sweet|hang] in the sun.",
        "at night the air is soft, and [frogs croak|owls hoot] {place}.",
        "a storm may come [at night|after a hot day], with [loud|heavy] rain.",
    ),
    "autumn": (
        "the leaves of the {tree} turn [red|gold|brown|yellow].",
        "[a cold|a strong|a rough] wind [blows|comes] from the hill.",
        "people carry {fruits} home in baskets.",
        "squirrels hide nuts {place}.",
        "[grey|white|thick] mist [lies|rests] over the [lake|river|meadow] [at dawn|early].",
        "geese fly over the valley in a long line.",
        "the evenings come early, and lamps are lit.",
    ),
    "winter": (
        "snow [lies|falls] on every roof.",
        "the [lake|pond] is hard with ice.",
        "nights are long and [cold|dark|quiet].",
        "the [hedgehog|bear|toad] sleeps and does not wake.",
        "children [build a tall snow bear|pull a wagon of wood|slide on the ice] {place}.",
        "people eat hot {dish} by the fire.",
        "the {tree} stands [still|quiet|dark] in the white field.",
    ),
}
_SEASON_OPENINGS = (
    "it is {season} in the valley.",
    "{season} has come to the [valley|village].",
    "this is how {season} looks {place}.",
    "in {season} [everything|the whole valley] changes.",
    "[here is|this is] what {season} [brings|is like].",
    "[old people|the children] say that {season} comes [fast|early|late] this year.",
)
_SEASON_ENDINGS = (
    "after {season} comes {after}.",
    "{before} came before {season}.",
    "soon it will be {after}.",
    "that is {season} in our valley.",
    "then {after} begins[, and all is new|].",
    "we will miss {season} when {after} comes.",
)


def _season(rng: Random) -> str:
    index = rng.randrange(4)
    season = lexicon.SEASONS[index]
    slots = {
        "season": season, "after": lexicon.SEASONS[(index + 1) % 4],
        "before": lexicon.SEASONS[index - 1], "tree": rng.choice(lexicon.TREES),
        "place": rng.choice(OUTDOORS), "dish": rng.choice(("soup", "stew", "porridge", "pie")),
        "fruits": plural(rng.choice(lexicon.FRUITS)),
        "vegetables": plural(rng.choice(lexicon.VEGETABLES)),
    }  # fmt: skip
    lines = some(rng, _SEASON_LINES[season], rng.randint(3, 5), **slots)
    return " ".join(
        [pick(rng, _SEASON_OPENINGS, **slots), *lines, pick(rng, _SEASON_ENDINGS, **slots)]
    )


# The parts of one day agree with each other: a wet, a white, a misty or a fine one.
_WEATHER: dict[str, tuple[tuple[str, ...], ...]] = {
    "wet": (
        ("[low|thick|grey|dark] clouds [came|moved] over the hill [early|at dawn|on {day}].",
         "[in the morning|at dawn|on {day}] the sky was [grey|dark|low]."),
        ("rain fell on the roof of the {house} [for an hour|until noon|all morning].",
         "[heavy|cold|soft|loud] rain came with a [strong|wet] wind from the [lake|river]."),
        ("[at noon|in the evening|later] the rain [stopped|went away], and we went out.",
         "by evening the [road|field|path] was deep in mud, and lamps were lit {spot}."),
    ),
    "white": (
        ("[on {day}|at dawn] the first snow [came|fell].",
         "[white|thick|low] clouds [came|moved] over the hill [in the night|on {day}]."),
        ("snow fell on the roof of the {house} [for an hour|until noon|all day].",
         "a cold wind blew from the [lake|hill|forest], and the water of the well was ice."),
        ("by evening the [road|field|path] was white, and lamps were lit {spot}.",
         "at night the stars came out one by one, and it was [very cold|colder still]."),
    ),
    "mist": (
        ("mist lay over the [river|lake|meadow] [at dawn|on {day}|in the morning].",
         "[on {day}|this morning] [thick|white|grey] mist [came|rose] from the [river|lake]."),
        ("the {house} [could not be seen|was hard to see].",
         "people walked slowly past the {house} with a lamp in hand."),
        ("[at noon|later] a wind came, and it was light again.",
         "by evening the mist was gone, and the [moon|sky] was clear."),
    ),
    "fine": (
        ("[in the morning|at dawn|on {day}] the sky was [blue|clear|bright].",
         "the sun [rose|came up] [early|slowly] over the {house} [on {day}|this morning]."),
        ("it was [hot|warm] and dry, and the air was still.",
         "a [soft|warm|light] wind [blew|came] from the [river|lake|hill|forest]."),
        ("at night the sky was clear, and the stars came out one by one.",
         "by evening the [road|field|path] was full of people, and no one hurried home."),
    ),
}  # fmt: skip
_BEASTS = (
    "the {animal} [stayed|sat|lay] [near|by] [a wall|{tree}] and waited.",
    "{beast} [stood|sat|waited] {where} and did not mind.",
    "[no animal|not one bird] could be heard {where}.",
    "we saw [the tracks of {beast}|{beast} on its way home] {where}.",
)
_HOPES = (
    "then [everything|the valley] was [quiet|still] again.",
    "we hope for [sun|a good day] tomorrow.",
    "[nobody|no one] knows what the weather will be tomorrow.",
    "[it was a day to remember|nobody will forget that day].",
)


def _weather(rng: Random) -> str:
    animal = rng.choice(lexicon.ANIMALS)
    slots = {
        "animal": animal, "beast": a(animal), "tree": a(rng.choice(lexicon.TREES)),
        "house": rng.choice(("mill", "tower", "barn", "inn", "school", "chapel", "lighthouse")),
        "where": rng.choice(OUTDOORS), "spot": rng.choice(OUTDOORS),
        "day": rng.choice(lexicon.DAYS),
    }  # fmt: skip
    sky, air, late = _WEATHER[rng.choice(tuple(_WEATHER))]
    return say(rng, sky, air, _BEASTS, late, _HOPES, **slots)


_KINDS = (_animal, _animal, _animal, _two_animals, _plant, _season, _weather)


@bounded
def nature_page(rng: Random) -> str:
    """A page about an animal, a plant, a season or a day's weather; it is true of animals."""
    return rng.choice(_KINDS)(rng)
