"""Documents that say something again: copybooks, messages passed on, songs, lists put in order.

Repetition is everywhere in a crawl, and it is where a small model learns to look back and copy.
"""

from __future__ import annotations

from random import Random

from minialign.world import lexicon
from minialign.world.lexicon import SINGULAR, SORTED_KINDS
from minialign.world.text import capital, join, number_word
from tools.world_builder.events import paraphrase

_WORDS = (
    *lexicon.ANIMALS, *lexicon.FRUITS, *lexicon.VEGETABLES, *lexicon.DISHES, *lexicon.COLOURS,
    *lexicon.CLOTHES, *lexicon.TOOLS, *lexicon.INSTRUMENTS, *lexicon.TREES, *lexicon.FLOWERS,
    *lexicon.TOYS, *lexicon.PLACES,
)  # fmt: skip
_NAMES = tuple(lexicon.CHILDREN)
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


def _items(rng: Random) -> list[str]:
    """Three to eight things to remember: words, names, numbers, or all of them."""
    n = rng.randint(3, 8)
    pool = rng.choice((_WORDS, _WORDS, _NAMES, None))
    if pool is not None:
        return rng.sample(pool, n)
    return [rng.choice((rng.choice(_WORDS), str(rng.randint(0, 99)))) for _ in range(n)]


def _line(rng: Random) -> str:
    """Something worth copying: a list or a sentence."""
    if rng.random() < 0.6:
        return capital(", ".join(_items(rng))) + "."
    return paraphrase(rng)[0]


def _copybook(rng: Random) -> str:
    head = rng.choice(
        ("Copy this line.", "Write it again.", "From a copybook.", "Once more, and neatly.", "")
    )
    line, times = _line(rng), rng.choice((2, 2, 3))
    return "\n".join(([head] if head else []) + [line] * times)


def _whispers(rng: Random) -> str:
    line = _line(rng)
    a, b, c = rng.sample(_NAMES, 3)
    said = rng.choice(("{a} whispers to {b}: {line}", "{a} says to {b}: {line}"))
    steps = [said.format(a=a, b=b, line=line), said.format(a=b, b=c, line=line)]
    if rng.random() < 0.5:
        steps.append(f"{c} says it aloud: {line}")
    return rng.choice((" ", "\n")).join(steps)


def _song(rng: Random) -> str:
    refrain, verses = _line(rng), [_line(rng) for _ in range(2)]
    return "\n".join((verses[0], refrain, verses[1], refrain))


def _roll(rng: Random) -> str:
    """A list, and then its members by their places."""
    items = _items(rng)
    places = rng.sample(range(len(items)), min(len(items), rng.randint(2, 4)))
    ask = rng.choice(("The {k} is {x}.", "{X} is the {k}.", "The {k} one: {x}."))
    found = []
    for i in places:
        last = i == len(items) - 1 and rng.random() < 0.6
        k = "last" if last else _ORDINALS[i]
        found.append(ask.format(k=k, x=items[i], X=capital(items[i])))
    head = rng.choice(("The list is", "Here is a row:", "In this order:", "They stand in a row:"))
    return f"{head} {', '.join(items)}. " + " ".join(found)


def _read_back(rng: Random) -> str:
    items = _items(rng)
    changed = list(items)
    i = rng.randrange(len(items))
    changed[i] = rng.choice([w for w in _WORDS if w not in items])
    note = rng.choice(
        (f"With {changed[i]} instead of {items[i]}:", f"Now {changed[i]} and not {items[i]}:")
    )
    return f"{capital(', '.join(items))}. {note} {', '.join(changed)}."


def _in_order(rng: Random) -> str:
    """Words of one kind by the alphabet, or numbers from small to large."""
    n = rng.randint(3, 5)
    if rng.random() < 0.5:
        kind = rng.choice(SORTED_KINDS)
        items = rng.sample(lexicon.CATEGORIES[kind], n)
        ordered, heads = sorted(items), ("By the alphabet:", "In the order of the alphabet:")
    else:
        numbers = rng.sample(range(1, 41), n)
        items, ordered = map(str, numbers), map(str, sorted(numbers))
        heads = ("Counted up:", "From the smallest on:")
    head = rng.choice(heads)
    if rng.random() < 0.5:
        return f"{head} {', '.join(ordered)}."
    return f"{capital(', '.join(items))}. {head} {', '.join(ordered)}."


def _of_a_kind(rng: Random) -> str:
    """A list, and how many of its members are of one kind."""
    kind = rng.choice(sorted(SINGULAR))
    own = lexicon.CATEGORIES[kind]
    chosen = rng.sample(own, rng.randint(1, 3))
    strange = [w for w in (*lexicon.TOOLS, *lexicon.CLOTHES, *lexicon.TREES) if w not in own]
    items = chosen + rng.sample(strange, rng.randint(0, 2))
    rng.shuffle(items)
    chosen.sort(key=items.index)
    noun = SINGULAR[kind] if len(chosen) == 1 else kind
    wording = rng.choice((
        "{items}: {n} {noun}, namely {chosen}.", "{items}. Among them {are} {n} {noun}: {chosen}.",
        "{items}. The {noun} {are} {chosen}, and that makes {n}.",
    ))  # fmt: skip
    return wording.format(
        items=capital(", ".join(items)), n=number_word(len(chosen)), noun=noun,
        chosen=join(chosen), are="is" if len(chosen) == 1 else "are",
    )  # fmt: skip


WRITERS = (
    _copybook, _whispers, _song, _roll, _roll, _read_back, _in_order, _in_order, _of_a_kind,
    _of_a_kind,
)  # fmt: skip


def copies(rng: Random) -> str:
    """A document of this kind."""
    return rng.choice(WRITERS)(rng)
