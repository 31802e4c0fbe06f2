"""Instruction families about words: opposites, lists, order, position, and saying a line anew."""

from __future__ import annotations

import re
from itertools import pairwise
from random import Random

from minialign.world import checking, families_kinds
from minialign.world.checking import occurrences, without_echo
from minialign.world.families_kinds import KIND_NAMES, MEMBERS, item_phrase, say
from minialign.world.families_wording import PHRASINGS
from minialign.world.family import Family, Slots
from minialign.world.lexicon import ANIMALS, CATEGORIES, COLOURS, DAYS, OBJECTS, OPPOSITE_OF
from minialign.world.text import capital, join, number_word

# Words outside the lexicon that a reply could offer for an opposite.
_NEARBY = (
    "warm", "cool", "large", "little", "tiny", "huge", "quick", "new", "easy", "long", "noisy",
    "silent", "angry", "damp", "bitter", "finish", "start", "scared", "shut", "medium",
)  # fmt: skip
# Second meanings: these are right answers too.
_ALSO = {
    "light": ("dark",), "dark": ("light",), "old": ("new",), "short": ("long",), "hard": ("easy",),
    "loud": ("silent",), "quiet": ("noisy",), "begin": ("finish",), "end": ("start",),
    "open": ("shut",), "big": ("little", "tiny"), "small": ("large", "huge"), "slow": ("quick",),
    "sweet": ("bitter",), "brave": ("scared",),
}  # fmt: skip

# opposite: "What is the opposite of hot?"


def _opposite_slots(rng: Random) -> Slots:
    word = rng.choice(sorted(OPPOSITE_OF))
    return {"word": word, "Word": capital(word), "answer": OPPOSITE_OF[word]}


def _opposite_say(rng: Random, slots: Slots, answer: str) -> str:
    return say(rng, "opposite", {**slots, "answer": answer, "Answer": capital(answer)})


def _wrong_opposite(rng: Random, slots: Slots) -> str:
    right = (slots["word"], slots["answer"], *_ALSO.get(slots["word"], ()))
    return _opposite_say(rng, slots, rng.choice([w for w in sorted(OPPOSITE_OF) if w not in right]))


def _opposite_check(slots: Slots, reply: str) -> bool:
    clean = checking.plain(reply)
    if clean is None:
        return False
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


OPPOSITE = Family(
    name="opposite",
    phrasings=PHRASINGS["opposite"],
    make=lambda rng, split: checking.draw(
        rng, split, _opposite_slots, lambda s: " ".join(sorted((s["word"], s["answer"])))
    ),
    reply=lambda rng, s: _opposite_say(rng, s, s["answer"]),
    bare=lambda rng, s: capital(s["answer"]) + ".",
    wrong=_wrong_opposite,
    check=_opposite_check,
    length=(3, 10),
)

# list_items: "Name three birds."

_BETWEEN = re.compile(r"(?:[\s,;:*\"'.()_-]|\b(?:and|an?|the|also|then|[1-9])\b)*", re.I)
_MORE_AFTER = re.compile(
    r"[\"']?\s*(?:[,;/&+-]\s*\w|(?:and|or|plus|also|as well|with|but)\b)"
    r"|[\"']?\s*\.\s*(?:and|also|plus|then)\s+(?:an?\s+|the\s+)?\w+\s*[.!]?\s*$",
    re.I,
)
_MORE_BEFORE = re.compile(r"(?:\band|(?<![\w'])(\w+),)\s*(?:an?|the)?\s*$", re.I)
_OPENERS = frozenset(
    ("sure", "yes", "course", "well", "okay", "please", "example", "here", "dear", "right", "fine",
     *(word for kind in (*CATEGORIES, *KIND_NAMES.values()) for word in kind.split()))
)  # fmt: skip


def _list_slots(rng: Random) -> Slots:
    number, category = rng.randint(2, 3), rng.choice(sorted(CATEGORIES))
    kind = KIND_NAMES.get(category, category)
    return {"n": number, "number": number_word(number), "Number": capital(number_word(number)),
            "category": category, "kind": kind}  # fmt: skip


def _list_say(rng: Random, slots: Slots, items: list[str]) -> str:
    phrases = [i if slots["category"] == "colours" else item_phrase(i) for i in items]
    named = {"items": join(phrases), "Items": capital(join(phrases)), "bare": join(items)}
    return say(rng, "list_items", {**slots, **named})


def _right_list(rng: Random, slots: Slots) -> list[str]:
    return rng.sample(CATEGORIES[slots["category"]], slots["n"])


def _wrong_list(rng: Random, slots: Slots) -> str:
    """One too many, one too few, one of another kind, or one named twice."""
    members = CATEGORIES[slots["category"]]
    items = _right_list(rng, slots)
    fault = rng.choice(("missing", "extra", "foreign", "foreign", "twice"))
    if fault == "missing":
        items = items[1:]
    elif fault == "extra":
        items.append(rng.choice([m for m in members if m not in items]))
    else:
        foreign = [m for m in MEMBERS if m not in members]
        items[-1] = items[0] if fault == "twice" else rng.choice(foreign)
    return _list_say(rng, slots, items)


def _is_one_list(text: str, items: list[str]) -> bool:
    """Whether the items stand in one run, as a list does, with no unknown item at either end."""
    forms = {w.lower() for i in items for w in re.findall(r"[a-z]+", i.lower())}
    spans = [m for m in re.finditer(r"[A-Za-z]+", text) if occurrences(m.group(), items)]
    if not forms or len(spans) != len(items):
        return False
    gaps = (text[x.end() : y.start()] for x, y in pairwise(spans))
    if not all(_BETWEEN.fullmatch(gap) for gap in gaps):
        return False
    before = _MORE_BEFORE.search(text[max(0, spans[0].start() - 60) : spans[0].start()])
    opened = before is None or (before.group(1) or "and").lower() in _OPENERS
    return opened and not _MORE_AFTER.match(text[spans[-1].end() :])


def _list_check(slots: Slots, reply: str) -> bool:
    clean = checking.plain(reply)
    if clean is None or checking.retracted(clean):
        return False
    clean = checking.without_idioms(clean)
    named = occurrences(clean, MEMBERS)
    members = CATEGORIES[slots["category"]]
    if len(named) != slots["n"] or len(set(named)) != len(named) or not set(named) <= set(members):
        return False
    if not _is_one_list(clean, named) or not checking.no_negation(clean, named):
        return False
    if families_kinds.kinds_named(clean) - {slots["category"]}:
        return False
    unmarked = re.sub(r"(?:(?<=\s)|^)[1-9][.)](?=\s)", "_", clean)  # "1. owl 2. crow"
    counted = set(checking.stated_numbers(unmarked)) <= {slots["n"]}
    return counted and checking.asserted(clean, named)


LIST = Family(
    name="list_items",
    phrasings=PHRASINGS["list_items"],
    make=lambda rng, split: checking.draw(
        rng, split, _list_slots, lambda s: f"{s['n']} {s['category']}"
    ),
    reply=lambda rng, s: _list_say(rng, s, _right_list(rng, s)),
    bare=lambda rng, s: capital(join(_right_list(rng, s))) + ".",
    wrong=_wrong_list,
    check=_list_check,
    length=(4, 22),
)

# sort_words: "Put these words in alphabetical order: plum, fig, pear."


SORTED_KINDS = ("birds", "colours", "fruits", "tools", "trees", "vegetables")


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


def sequence_words(items: list[str]) -> Slots:
    """The pieces of wording that replies about an order are made from."""
    then = ", then ".join(items[1:])
    return {"listed": join(items), "plain": ", ".join(items), "First": capital(items[0]),
            "first": items[0], "then": then}  # fmt: skip


def wrong_order(rng: Random, items: list[str]) -> list[str]:
    """The items in another order, or without one of them."""
    if rng.random() < 0.2:
        dropped = rng.choice(items)
        return [i for i in items if i != dropped]
    other = list(items)
    while other == items:
        rng.shuffle(other)
    return other


def _sort_check(slots: Slots, reply: str) -> bool:
    clean = checking.plain(reply)
    if clean is None or checking.retracted(clean):
        return False
    clean = checking.without_idioms(checking.without_recall(clean))
    right = occurrences(clean, MEMBERS) == slots["answer"]
    answer = slots["answer"]
    return right and checking.no_negation(clean, answer) and checking.asserted(clean, answer)


SORT = Family(
    name="sort_words",
    phrasings=PHRASINGS["sort_words"],
    make=lambda rng, split: checking.draw(rng, split, _sort_slots, lambda s: " ".join(s["answer"])),
    reply=lambda rng, s: say(rng, "sort_words", {**s, **sequence_words(s["answer"])}),
    bare=lambda rng, s: capital(", ".join(s["answer"])) + ".",
    wrong=lambda rng, s: say(
        rng, "sort_words", {**s, **sequence_words(wrong_order(rng, s["answer"]))}
    ),
    check=_sort_check,
    length=(5, 14),
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


def _position_say(rng: Random, slots: Slots, answer: str) -> str:
    return say(rng, "position", {**slots, "answer": answer, "Answer": capital(answer)})


def _position_check(slots: Slots, reply: str) -> bool:
    clean = checking.plain(reply)
    if clean is None:
        return False
    clean = without_echo(clean, slots["items"])
    place = slots["items"].index(slots["answer"])
    fitting = {slots["ordinal"], _ORDINALS[place]}
    fitting |= {"last"} if place == len(slots["items"]) - 1 else set()
    ordinals = set(occurrences(checking.without_idioms(clean), _ORDINALS))
    return ordinals <= fitting and checking.answers_exactly(clean, [slots["answer"]], MEMBERS)


POSITION = Family(
    name="position",
    phrasings=PHRASINGS["position"],
    make=lambda rng, split: checking.draw(rng, split, _position_slots, lambda s: s["given"]),
    reply=lambda rng, s: _position_say(rng, s, s["answer"]),
    bare=lambda rng, s: capital(s["answer"]) + ".",
    wrong=lambda rng, s: _position_say(
        rng, s, rng.choice([i for i in s["items"] if i != s["answer"]])
    ),
    check=_position_check,
    length=(3, 8),
)

# repeat_with_change: "Say this again with hen instead of fox: The fox sat by the river."

_LINES = (
    "The {animal} sat by the river.", "The {animal} lost the {colour} {thing}.",
    "A {colour} {thing} lay in the snow.", "The {animal} put the {thing} under the old tree.",
    "On {day} the {animal} slept until noon.", "The {colour} {thing} is on the table.",
    "We saw the {animal} near the mill.", "I left my {colour} {thing} at home.",
    "My {thing} fell into the pond on {day}.", "The {animal} hid the {thing} in the barn.",
    "On {day} we painted the {thing}.", "The {animal} gave me a {colour} {thing}.",
    "The {animal} came to school on {day}.", "Every {day} the {animal} sings.",
)  # fmt: skip
_SWAPS = {"animal": ANIMALS, "colour": COLOURS, "thing": OBJECTS, "day": DAYS}
_SWAPPED = tuple(dict.fromkeys(w for words in _SWAPS.values() for w in words))


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
    answer = rng.choice((slots["sentence"], changed, changed, cut))
    return say(rng, "repeat_with_change", {**slots, "answer": answer})


def _repeat_check(slots: Slots, reply: str) -> bool:
    clean = checking.plain(reply)
    if clean is None or checking.retracted(clean):
        return False
    line = re.escape(slots["answer"].rstrip("."))
    found = re.findall(rf"(?:^|[.:!?\"'])\s*[\"']?{line}(?=[.!\"']|$)", clean, re.I)
    everywhere = re.findall(rf"\b{line}\b", clean, re.I)
    if len(found) != 1 or len(everywhere) != 1:
        return False
    before, after = re.split(rf"\b{line}\b", clean, maxsplit=1, flags=re.I)
    told = rf"\b{slots['new']}\W? (?:instead of|in place of|for) \W?{slots['old']}\b"
    rest = re.sub(told, "_", f"{before} _. {after}", flags=re.I)
    lead = before.rsplit(".", 1)[-1]
    lead = re.sub(told, "_", lead, flags=re.I)
    return not occurrences(checking.without_idioms(rest), _SWAPPED) and not checking.negated(lead)


REPEAT = Family(
    name="repeat_with_change",
    phrasings=PHRASINGS["repeat_with_change"],
    make=lambda rng, split: checking.draw(rng, split, _repeat_slots, lambda s: s["answer"]),
    reply=lambda rng, s: say(rng, "repeat_with_change", s),
    bare=lambda rng, s: s["answer"],
    wrong=_wrong_repeat,
    check=_repeat_check,
    length=(5, 18),
)

FAMILIES: tuple[Family, ...] = (
    OPPOSITE, LIST, SORT, POSITION, REPEAT, *families_kinds.FAMILIES
)  # fmt: skip
