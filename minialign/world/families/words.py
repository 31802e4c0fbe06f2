"""Instruction families about words: opposites, lists, order, position, and saying a line anew."""

from __future__ import annotations

import re
from itertools import pairwise
from random import Random

from minialign.world import checking
from minialign.world.checking import occurrences, without_echo
from minialign.world.families.kinds import MEMBERS, item_phrase, kinds_named
from minialign.world.family import Family, Slots, closed_family, templates
from minialign.world.lexicon import (
    ANIMALS,
    CATEGORIES,
    COLOURS,
    DAYS,
    OBJECTS,
    OPPOSITE_OF,
    SORTED_KINDS,
)
from minialign.world.text import capital, join, number_word
from minialign.world.wording import wording

# opposite: "What is the opposite of hot?"

_NEARBY: list[str] = wording("checking")["opposites"]["nearby"]
_ALSO: dict[str, list[str]] = wording("checking")["opposites"]["also"]


def _opposite_slots(rng: Random) -> Slots:
    word = rng.choice(sorted(OPPOSITE_OF))
    return {"word": word, "Word": capital(word), "answer": OPPOSITE_OF[word]}


def _wrong_opposite(rng: Random, slots: Slots) -> str:
    right = (slots["word"], slots["answer"], *_ALSO.get(slots["word"], ()))
    return rng.choice([w for w in sorted(OPPOSITE_OF) if w not in right])


@checking.plain_reply
def _opposite_check(slots: Slots, clean: str) -> bool:
    word, vocabulary = slots["word"], (*OPPOSITE_OF, *_NEARBY)
    for answer in (slots["answer"], *_ALSO.get(word, ())):
        # "The opposite of cold is hot" says cold, but does not answer with it.
        turned = rf"\bopposite of \W?(?:the word )?\W?{answer}\b\W? is"
        turned = re.sub(turned, "_", clean, flags=re.I)
        if occurrences(turned, [answer]) and checking.answers_exactly(
            clean, [answer], vocabulary, ignore=[word]
        ):
            return True
    return False


OPPOSITE = closed_family(
    "opposite",
    "word Word",
    make=checking.drawn(_opposite_slots, lambda s: " ".join(sorted((s["word"], s["answer"])))),
    mistake=_wrong_opposite,
    check=_opposite_check,
)

# list_items: "Name three birds."

_KIND_NAMES: dict[str, str] = wording("lexicon")["kind_names"]
_BETWEEN = re.compile(r"(?:[\s,;:*\"'.()_-]|\b(?:and|an?|the|also|then|[1-9])\b)*", re.I)
_MORE_AFTER = re.compile(
    r"[\"']?\s*(?:[,;/&+-]\s*\w|(?:and|or|plus|also|as well|with|but)\b)"
    r"|[\"']?\s*\.\s*(?:and|also|plus|then)\s+(?:an?\s+|the\s+)?\w+\s*[.!]?\s*$",
    re.I,
)
_MORE_BEFORE = re.compile(r"(?:\band|(?<![\w'])(\w+),)\s*(?:an?|the)?\s*$", re.I)
_KIND_WORDS = " ".join((*CATEGORIES, *_KIND_NAMES.values())).split()
_OPENERS = frozenset((*wording("checking")["lists"]["openers"], *_KIND_WORDS))


def _list_slots(rng: Random) -> Slots:
    number, category = rng.randint(2, 3), rng.choice(sorted(CATEGORIES))
    kind = _KIND_NAMES.get(category, category)
    return {"n": number, "number": number_word(number), "Number": capital(number_word(number)),
            "category": category, "kind": kind}  # fmt: skip


def _list_words(rng: Random, slots: Slots, items: list[str]) -> Slots:
    phrases = [i if slots["category"] == "colours" else item_phrase(i) for i in items]
    return {"items": join(phrases), "bare": join(items)}


def _right_list(rng: Random, slots: Slots) -> list[str]:
    return rng.sample(CATEGORIES[slots["category"]], slots["n"])


def _wrong_list(rng: Random, slots: Slots) -> list[str]:
    """One too many, one too few, one of another kind, or one named twice."""
    members = CATEGORIES[slots["category"]]
    items = _right_list(rng, slots)
    fault = rng.choice(("missing", "extra", "foreign", "foreign", "twice"))
    if fault == "missing":
        return items[1:]
    if fault == "extra":
        return [*items, rng.choice([m for m in members if m not in items])]
    if fault == "twice":
        return [*items[:-1], items[0]]
    return [*items[:-1], rng.choice([m for m in MEMBERS if m not in members])]


def _is_one_list(text: str, items: list[str]) -> bool:
    """Whether the items stand in one run, as a list does, with no unknown item at either end."""
    spans = [m for m in re.finditer(r"[A-Za-z]+", text) if occurrences(m.group(), items)]
    if not items or len(spans) != len(items):
        return False
    gaps = (text[x.end() : y.start()] for x, y in pairwise(spans))
    if not all(_BETWEEN.fullmatch(gap) for gap in gaps):
        return False
    before = _MORE_BEFORE.search(text[max(0, spans[0].start() - 60) : spans[0].start()])
    opened = before is None or (before.group(1) or "and").lower() in _OPENERS
    return opened and not _MORE_AFTER.match(text[spans[-1].end() :])


@checking.final_reply
def _list_check(slots: Slots, clean: str) -> bool:
    clean = checking.without_idioms(clean)
    named = occurrences(clean, MEMBERS)
    members = CATEGORIES[slots["category"]]
    if len(named) != slots["n"] or len(set(named)) != len(named) or not set(named) <= set(members):
        return False
    if not _is_one_list(clean, named) or not checking.no_negation(clean, named):
        return False
    if kinds_named(clean) - {slots["category"]}:
        return False
    unmarked = re.sub(r"(?:(?<=\s)|^)[1-9][.)](?=\s)", "_", clean)  # "1. owl 2. crow"
    counted = set(checking.stated_numbers(unmarked)) <= {slots["n"]}
    return counted and checking.asserted(clean, named)


LIST = closed_family(
    "list_items",
    "number Number kind",
    {"replies": "items bare"},
    make=checking.drawn(_list_slots, lambda s: f"{s['n']} {s['category']}"),
    right=_right_list,
    mistake=_wrong_list,
    words=_list_words,
    bare=lambda rng, items: capital(join(items)) + ".",
    check=_list_check,
)

# sort_words: "Put these words in alphabetical order: plum, fig, pear."


def _sort_slots(rng: Random) -> Slots:
    """Three words of one kind whose first letters differ."""
    members = CATEGORIES[rng.choice(SORTED_KINDS)]
    items = rng.sample(members, 3)
    while len({i[0] for i in items}) < 3:
        items = rng.sample(members, 3)
    while items == sorted(items):
        rng.shuffle(items)
    given = ", ".join(items)
    return {"items": items, "given": given, "given_and": join(items), "answer": sorted(items)}


def sequence_words(rng: Random, slots: Slots, items: list[str] | list[int]) -> Slots:
    """The pieces of wording that replies about an order are made from."""
    names = [str(i) for i in items]
    then = ", then ".join(names[1:])
    return {"listed": join(names), "plain": ", ".join(names), "first": names[0], "then": then}


def wrong_order(rng: Random, slots: Slots) -> list[str] | list[int]:
    """The answer's items in another order, or without one of them."""
    items = slots["answer"]
    if rng.random() < 0.2:
        dropped = rng.choice(items)
        return [i for i in items if i != dropped]
    other = list(items)
    while other == items:
        rng.shuffle(other)
    return other


@checking.final_reply
def _sort_check(slots: Slots, clean: str) -> bool:
    clean = checking.without_idioms(checking.without_recall(clean))
    answer = slots["answer"]
    right = occurrences(clean, MEMBERS) == answer
    return right and checking.no_negation(clean, answer) and checking.asserted(clean, answer)


SORT = closed_family(
    "sort_words",
    "given given_and",
    {"replies": "listed plain first then"},
    make=checking.drawn(_sort_slots, lambda s: " ".join(s["answer"])),
    mistake=wrong_order,
    words=sequence_words,
    check=_sort_check,
)

# position: "Which word comes second: pear, fig, plum?"

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "last")


def _position_slots(rng: Random) -> Slots:
    size = 3
    items = rng.sample(CATEGORIES[rng.choice(sorted(CATEGORIES))], size)
    place = rng.randrange(size)
    ordinal = "last" if place == size - 1 and rng.random() < 0.5 else _ORDINALS[place]
    given = ", ".join(items)
    return {"items": items, "given": given, "Given": capital(given), "ordinal": ordinal,
            "answer": items[place]}  # fmt: skip


@checking.plain_reply
def _position_check(slots: Slots, clean: str) -> bool:
    clean = without_echo(clean, slots["items"])
    place = slots["items"].index(slots["answer"])
    fitting = {slots["ordinal"], _ORDINALS[place]}
    fitting |= {"last"} if place == len(slots["items"]) - 1 else set()
    ordinals = set(occurrences(checking.without_idioms(clean), _ORDINALS))
    return ordinals <= fitting and checking.answers_exactly(clean, [slots["answer"]], MEMBERS)


POSITION = closed_family(
    "position",
    "given Given ordinal",
    make=checking.drawn(_position_slots, lambda s: s["given"]),
    mistake=lambda rng, s: rng.choice([i for i in s["items"] if i != s["answer"]]),
    check=_position_check,
)

# repeat_with_change: "Say this again with hen instead of fox: The fox sat by the river."

_SWAPS = {"animal": ANIMALS, "colour": COLOURS, "thing": OBJECTS, "day": DAYS}
_SWAPPED = tuple(dict.fromkeys(w for words in _SWAPS.values() for w in words))
_LINES = templates("repeat_with_change", "lines", _SWAPS)


def _repeat_slots(rng: Random) -> Slots:
    line = rng.choice(_LINES)
    kinds = [k for k in _SWAPS if f"{{{k}}}" in line]
    words = {k: rng.choice(_SWAPS[k]) for k in kinds}
    kind = rng.choice(kinds)
    new = rng.choice([w for w in _SWAPS[kind] if w not in words.values()])
    return {"old": words[kind], "new": new, "kind": kind, "sentence": line.format(**words),
            "answer": line.format(**{**words, kind: new})}  # fmt: skip


def _wrong_repeat(rng: Random, slots: Slots) -> str:
    """The line unchanged, changed to a third word, or cut short."""
    third = [w for w in _SWAPS[slots["kind"]] if w not in (slots["new"], slots["old"])]
    changed = re.sub(rf"\b{slots['new']}\b", rng.choice(third), slots["answer"])
    cut = " ".join(slots["answer"].split()[:-1]) + "."
    return rng.choice((slots["sentence"], changed, changed, cut))


@checking.final_reply
def _repeat_check(slots: Slots, clean: str) -> bool:
    line = re.escape(slots["answer"].rstrip("."))
    found = re.findall(rf"(?:^|[.:!?\"'])\s*[\"']?{line}(?=[.!\"']|$)", clean, re.I)
    everywhere = re.findall(rf"\b{line}\b", clean, re.I)
    if len(found) != 1 or len(everywhere) != 1:
        return False
    before, after = re.split(rf"\b{line}\b", clean, maxsplit=1, flags=re.I)
    told = rf"\b{slots['new']}\W? (?:instead of|in place of|for) \W?{slots['old']}\b"
    rest = re.sub(told, "_", f"{before} _. {after}", flags=re.I)
    lead = re.sub(told, "_", before.rsplit(".", 1)[-1], flags=re.I)
    return not occurrences(checking.without_idioms(rest), _SWAPPED) and not checking.negated(lead)


REPEAT = closed_family(
    "repeat_with_change",
    "old new sentence",
    make=checking.drawn(_repeat_slots, lambda s: s["answer"]),
    mistake=_wrong_repeat,
    tables=("lines",),
    bare=lambda rng, answer: answer,
    check=_repeat_check,
)

FAMILIES: tuple[Family, ...] = (OPPOSITE, LIST, SORT, POSITION, REPEAT)
