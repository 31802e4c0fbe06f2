"""Lists of every kind: what to pack, how to bake, what belongs together, what comes in which order.

Short notes of one or more kinds make a page. What a note claims (a category, an order, a count) is
true, and is said as a statement, never asked of anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

from minialign.world import lexicon
from minialign.world.text import a, capital, join, number_word, plural
from tools.world_builder.documents.wording import CHILDREN, bounded, fill, pick

Note = Callable[[Random], str]
T = TypeVar("T", int, str)
_NAMES = tuple(lexicon.CATEGORIES)
_SMALL = tuple(name for name in _NAMES if name not in ("animals", "days"))
# What the odd one out is told from: no word belongs to two of these.
_APART = ("animals", "fruits", "vegetables", "colours", "clothes", "tools", "instruments", "trees",
          "toys")  # fmt: skip
_WORDS = tuple(sorted({*lexicon.ANIMALS, *lexicon.FRUITS, *lexicon.OBJECTS, *lexicon.TREES}))
_ONE = {name: name[:-1] for name in _NAMES} | {"clothes": "piece of clothing"}


def _members(rng: Random, category: str, n: int) -> list[str]:
    return rng.sample(lexicon.CATEGORIES[category], min(n, len(lexicon.CATEGORIES[category])))


def _pack(rng: Random) -> str:
    things = join([a(x) for x in rng.sample(lexicon.OBJECTS, rng.randint(3, 5))])
    table = (
        "things to pack [for the trip|for the long walk|]: {things}.",
        "for the [long walk|trip] to the {place} we need {things}.",
        "in {child}'s [bag|box|basket]: {things}.",
        "lost on {day}: {things}. Found again: all of them.",
        "{child} [packed|took|carried] {things}.",
        "on the shelf [by the door|in the kitchen|at school] there are a few things: {things}.",
        "to bring on {day}: {things}.",
    )
    return pick(rng, table, things=things, place=rng.choice(tuple(lexicon.PLACES)),
                child=rng.choice(CHILDREN), day=rng.choice(lexicon.DAYS))  # fmt: skip


def _shopping(rng: Random) -> str:
    goods = rng.sample(tuple(lexicon.GOODS.values()), 3)
    counts = [rng.randint(2, 12) for _ in goods]
    things = join([f"{number_word(n)} {g}" for n, g in zip(counts, goods, strict=True)])
    table = (
        "shopping list [for {day}|]: {things}.", "to buy at the market: {things}.",
        "[please bring|still to buy|we need these]: {things}.",
        "{child} [bought|sold|counted] {things}.", "in the basket: {things}.",
        "{things} [will be enough|are on the list|are still to buy] [for {day}|].",
        "from the market [on {day}|]: {things}.",
    )  # fmt: skip
    return pick(rng, table, things=things, day=rng.choice(lexicon.DAYS), child=rng.choice(CHILDREN))


_MENDABLE = ("basket", "box", "bucket", "clock", "coat", "drum", "kite", "ladder", "lamp",
             "umbrella",
             "wagon")  # fmt: skip
_CHORES = (
    "feed the {animal}", "sweep the floor", "fill the bucket", "water the {vegetables}",
    "mend the {broken}", "write a letter to {child}", "carry wood to the {place}",
    "clean the {broken}",
    "give the {thing} back to {child}", "pick some {fruits}", "close the gate", "wash the {cloth}",
    "look for the {thing}", "read one page", "bring {dish} to {child}", "light the lamp",
)  # fmt: skip


def _chores(rng: Random) -> str:
    def slot() -> dict[str, str]:
        return {
            "animal": rng.choice(lexicon.PETS), "thing": rng.choice(lexicon.OBJECTS),
            "child": rng.choice(CHILDREN), "place": rng.choice(tuple(lexicon.PLACES)),
            "dish": rng.choice(lexicon.DISHES), "fruits": plural(rng.choice(lexicon.FRUITS)),
            "vegetables": plural(rng.choice(lexicon.VEGETABLES)),
            "cloth": rng.choice(lexicon.CLOTHES), "broken": rng.choice(_MENDABLE),
        }  # fmt: skip

    steps = [c.format(**slot()) for c in rng.sample(_CHORES, rng.randint(3, 4))]
    layout = rng.randrange(4)
    day = rng.choice(lexicon.DAYS)
    if layout == 0:
        title = pick(rng, ("to do on {day}:", "jobs for {day}:", "{day}:"), day=day)
        lines = [f"{i}. {capital(step)}." for i, step in enumerate(steps, 1)]
        return "\n".join([title, *lines])
    if layout == 1:
        return f"To do on {day}: {join(steps)}."
    if layout == 2:
        return f"First, {steps[0]}. Then {steps[1]}. Last of all, {steps[2]}."
    return f"{day}'s work: {', then '.join(steps)}."


_RECIPES: dict[str, tuple[str, ...]] = {
    "soup": ("wash and cut {number} {vegetables}", "boil them in [a pot of|] water",
             "add salt [and butter|and a little milk|]", "stir [slowly|well] until it is thick"),
    "pie": ("cut {number} {fruits} into [small|thin] pieces", "roll the dough [thin|flat]",
            "fill it with the {fruits}", "bake it until it is [brown|gold]"),
    "jam": ("wash {number} {fruits}", "cook them [slowly|gently] with sugar",
            "stir until it is thick", "put it into [a clean|a dry] jar"),
    "pancakes": ("mix flour, milk and {number} eggs", "heat a little butter in a pan",
                 "pour in the dough", "turn each one when it is [gold|brown]"),
    "bread": ("mix flour, water and salt", "let the dough rest for {number} hours",
              "make it [round|long]", "bake it until it is [brown|gold]"),
    "stew": ("cut {number} {vegetables} [and a pumpkin|]", "put them in a [big|deep] pot",
             "add water and [salt|beans]", "cook it [slowly|for {number} hours]"),
    "porridge": ("heat {number} cups of milk", "add oats and [salt|honey]", "stir [slowly|well]",
                 "eat it with {fruits}"),
    "cake": ("mix flour, sugar and {number} eggs", "add [milk|honey|butter]",
             "put {fruits} on top", "bake it [slowly|for an hour]"),
}  # fmt: skip


def _recipe(rng: Random) -> str:
    dish = rng.choice(tuple(_RECIPES))
    slots = {
        "number": number_word(rng.randint(2, 9)), "fruits": plural(rng.choice(lexicon.FRUITS)),
        "vegetables": plural(rng.choice(("beet", "carrot", "leek", "onion", "potato", "turnip"))),
    }  # fmt: skip
    steps = [fill(rng, step, **slots) for step in _RECIPES[dish]]
    low = [step[0].lower() + step[1:] for step in steps]
    title = fill(rng, "[how to make|how {child} makes|a recipe for] {dish}", dish=dish,
                 child=rng.choice(CHILDREN))  # fmt: skip
    layout = rng.randrange(4)
    if layout == 0:
        return f"{title}:\n" + "\n".join(f"{i}. {step}." for i, step in enumerate(steps, 1))
    if layout == 1:
        return f"{title}. First, {low[0]}. Next, {low[1]}. Then {low[2]}. At the end, {low[3]}."
    if layout == 2:
        return f"{title}: " + ". ".join(steps) + "."
    return f"{title}.\n" + "\n".join(f"Step {i}: {step}." for i, step in enumerate(low, 1))


def _category(rng: Random) -> str:
    name = rng.choice(_NAMES)
    n = rng.randint(2, 5)
    things = _members(rng, name, n)
    table = (
        "{count} {name}: {bare}.", "{name}: {bare}.", "some {name}: {joined}.",
        "here are {count} {name}: {joined}.", "{joined} are {name}.", "{joined} are all {name}.",
        "[a list|this is a list] of {count} {name}: {bare}.",
        "{count} {name} that {child} knows: {joined}.",
        "{child} [named|wrote down|found] {count} {name}: {joined}.",
        "among the {name} there are {joined}.", "you can name many {name}, such as {joined}.",
    ) if n > 2 else ("{joined} are both {name}.", "two {name}: {joined}.",
                     "{joined} are two of the {name}.")  # fmt: skip
    return pick(rng, table, name=name, count=number_word(len(things)), bare=", ".join(things),
                joined=join(things), child=rng.choice(CHILDREN))  # fmt: skip


def _is_a(rng: Random) -> str:
    one, two = rng.sample(_SMALL, 2)
    x, y = rng.choice(lexicon.CATEGORIES[one]), rng.choice(lexicon.CATEGORIES[two])
    if one == "colours":
        return f"{x.capitalize()} is a colour."
    first = f"{a(x)} is {a(_ONE[one])}"
    if two == "colours":
        return fill(rng, "{first}, [and|but] {y} is a colour.", first=first, y=y)
    table = ("{first}.", "{first}, [and|but] {y} is {two}.")
    return pick(rng, table, first=first, y=a(y), two=a(_ONE[two]))


def _unsorted(rng: Random, population: Sequence[T], n: int) -> list[T]:
    things = rng.sample(population, n)
    return things if things != sorted(things) else things[::-1]


def _sorted(rng: Random) -> str:
    if rng.random() < 0.5:
        things = _unsorted(rng, _WORDS, rng.randint(3, 4))
        table = (
            "mixed: {mixed}. In order: {ordered}.", "{mixed}; from A to Z: {ordered}.",
            "in the order of the letters: {ordered}.", "from A to Z: {ordered}.",
            "{child} put {mixed} in order: {ordered}.", "in order: {ordered}.",
            "the list {mixed} becomes {ordered} when it is sorted.",
        )  # fmt: skip
        ordered = sorted(things)
    else:
        numbers = _unsorted(rng, range(1, 100), rng.randint(3, 5))
        things, ordered = [str(n) for n in numbers], [str(n) for n in sorted(numbers)]
        table = (
            "mixed: {mixed}. In order: {ordered}.", "from small to big: {ordered}.",
            "{child} put {mixed} in order: {ordered}.",
            "{mixed}; the smallest comes first: {ordered}.",
            "{mixed} from small to big is {ordered}.", "sorted: {ordered}.",
        )  # fmt: skip
    return pick(rng, table, mixed=", ".join(things), ordered=", ".join(ordered),
                child=rng.choice(CHILDREN))  # fmt: skip


def _odd(rng: Random) -> str:
    many, other = rng.sample(_APART, 2)
    same, odd = _members(rng, many, 3), rng.choice(lexicon.CATEGORIES[other])
    things = [*same, odd]
    rng.shuffle(things)
    table = (
        "{things}: the odd one out is {odd}.", "in the list {things}, {odd} does not belong.",
        "{things}. All but {odd} are {many}.", "{same} are {many}, but {odd} is not.",
        "{things}: {odd} is not one of the {many}.",
        "{child} looked at {things} and took away {odd}; the rest are {many}.",
    )  # fmt: skip
    return pick(rng, table, things=", ".join(things), same=join(same), odd=odd, many=many,
                child=rng.choice(CHILDREN))  # fmt: skip


def _opposite(rng: Random) -> str:
    x, z = rng.sample(tuple(lexicon.OPPOSITES), 2)
    y, w = lexicon.OPPOSITES[x], lexicon.OPPOSITES[z]
    if rng.random() < 0.5:
        x, y = y, x
    table = (
        "{x} is the opposite of {y}.", "the opposite of {x} is {y}.", "{x} and {y} are opposites.",
        "{x} is to {y} as {z} is to {w}.", "{x}, {y}: these two are opposites.",
        "opposites: {x}, {y}; {z}, {w}.",
        "{child} says {x}, {friend} says the opposite: {y}.",
    )  # fmt: skip
    child, friend = rng.sample(CHILDREN, 2)
    return pick(rng, table, x=x, y=y, z=z, w=w, child=child, friend=friend)


def _count(rng: Random) -> str:
    name = rng.choice(_SMALL)
    things = _members(rng, name, rng.randint(2, 6))
    n = len(things)
    table = (
        "{things}: that is {count} {name}.", "{things}. That makes {count}.",
        "there are {count} words here: {things}.", "{child} counted {count} {name}: {things}.",
        "{things}: {count} {name} in all.", "one by one: {things}. So there are {count}.",
    )  # fmt: skip
    return pick(rng, table, things=", ".join(things), count=number_word(n), name=name,
                child=rng.choice(CHILDREN))  # fmt: skip


def _numbers(rng: Random) -> str:
    x, y = sorted(rng.sample(range(1, 100), 2))
    step = rng.choice((1, 2, 3, 5, 10))
    up = [str(rng.randint(1, 20) + 0)]
    for _ in range(rng.randint(3, 4)):
        up.append(str(int(up[-1]) + step))
    table = (
        "{x} is less than {y}.", "{y} is more than {x}.", "{x} comes before {y}.",
        "{y} comes after {x}.", "of {x} and {y}, the bigger is {y}.",
        "{y} and {x}: the smaller is {x}.", "{up} goes up by {step}.",
        "{down} goes down by {step}.",
        "{child} has {y} {goods} and {friend} has {x}, so {child} has more.",
    )  # fmt: skip
    child, friend = rng.sample(CHILDREN, 2)
    return pick(rng, table, x=x, y=y, up=", ".join(up), down=", ".join(reversed(up)),
                step=number_word(step), child=child,
                friend=friend, goods=rng.choice(tuple(lexicon.GOODS.values())))  # fmt: skip


def _turned(rng: Random) -> str:
    """Lists copied with one change."""
    *things, new = rng.sample(_WORDS, rng.randint(4, 5))
    i = rng.randrange(len(things))
    old, changed = things[i], [*things[:i], new, *things[i + 1 :]]
    table = (
        "{things}; backwards: {back}.", "{things} the other way round is {back}.",
        "{things}; without {old}: {without}.", "{things}; with {new} at the end: {longer}.",
        "{things}; with {new} in place of {old}: {changed}.",
        "once: {things}. Once more: {things}.",
        "the first of {things} is {first}, and the last is {last}.",
    )  # fmt: skip
    return pick(rng, table, things=", ".join(things), back=", ".join(reversed(things)), old=old,
                new=new, without=", ".join(x for x in things if x != old),
                longer=", ".join([*things, new]), changed=", ".join(changed), first=things[0],
                last=things[-1])  # fmt: skip


def _plural(rng: Random) -> str:
    x = rng.choice(_WORDS)
    y = plural(x)
    table = ("one {x}, two {y}.", "one {x}, {n} {y}.", "{one} is one; {y} are many.",
             "{n} {y} are more than one {x}.", "the plural of {x} is {y}.")  # fmt: skip
    return pick(rng, table, x=x, y=y, one=a(x), n=number_word(rng.randint(3, 12)))


PRACTICAL: tuple[Note, ...] = (_pack, _shopping, _chores, _recipe)
SCHOOL: tuple[Note, ...] = (
    _category, _category, _is_a, _sorted, _odd, _opposite, _count, _numbers, _turned, _plural,
)  # fmt: skip
_TITLES = (
    "from the [school|copy|word] book of {child}.", "from the [wall|board] of the school.",
    "{child}'s [notes|list|page] [for {day}|].", "notes from {day}.", "[words|lists] for {day}.",
)  # fmt: skip


@bounded
def list_page(rng: Random) -> str:
    """A page of lists, of one kind or mixed."""
    notes = PRACTICAL if rng.random() < 0.35 else SCHOOL
    if rng.random() < 0.5:
        notes = (rng.choice(notes),)
    gap = rng.choice((" ", "\n"))
    lines = []
    if rng.random() < 0.4:
        lines.append(pick(rng, _TITLES, child=rng.choice(CHILDREN), day=rng.choice(lexicon.DAYS)))
    size = 0
    target = rng.randint(20, 50)
    while size < target:
        note = rng.choice(notes)(rng)
        size += len(note.split())
        if note not in lines:
            lines.append(note)
    return ("\n" if any("\n" in line for line in lines) else gap).join(lines)
