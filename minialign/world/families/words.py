"""Instruction families about words: opposites, lists, order, position, and saying a line anew."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from random import Random

from minialign.world import lexicon
from minialign.world.families.checking import (
    PATTERNS,
    answers_exactly,
    asserted,
    negated,
    no_negation,
    without_echo,
    without_idioms,
    without_recall,
)
from minialign.world.families.counting import stated_numbers
from minialign.world.families.family import Closed, Slots
from minialign.world.families.kinds import MEMBERS, item_phrase, kinds_named
from minialign.world.lexicon import CATEGORIES, OPPOSITE_OF
from minialign.world.text import capital, join, number_word, occurrences

_ASKED = re.compile(r"\bopposite of \W?(?:the word )?\W?([a-z]+)", re.I)


class Opposite(Closed):
    """What is the opposite of hot?"""

    name = "opposite"

    def candidate(self, rng: Random) -> Slots:
        word = rng.choice(sorted(OPPOSITE_OF))
        return {"word": word, "Word": capital(word), "answer": OPPOSITE_OF[word]}

    def key(self, slots: Slots) -> str:
        return " ".join(sorted((slots["word"], slots["answer"])))

    def mistake(self, rng: Random, slots: Slots) -> str:
        right = (slots["word"], slots["answer"], *lexicon.SECOND_OPPOSITES.get(slots["word"], ()))
        return rng.choice([w for w in sorted(OPPOSITE_OF) if w not in right])

    def judge(self, slots: Slots, clean: str) -> bool:
        word, vocabulary = slots["word"], (*OPPOSITE_OF, *lexicon.NEAR_OPPOSITES)
        answers = (slots["answer"], *lexicon.SECOND_OPPOSITES.get(word, ()))
        asked = {name.lower() for name in _ASKED.findall(clean)}
        if not asked <= {word, *answers, "that", "this", "it", "your"}:
            return False  # "The opposite of faster is fast."
        for answer in answers:
            # "The opposite of cold is hot" says cold, but does not answer with it.
            turned = rf"\bopposite of \W?(?:the word )?\W?{answer}\b\W? is"
            turned = re.sub(turned, "_", clean, flags=re.I)
            if occurrences(turned, [answer]) and answers_exactly(
                clean, [answer], vocabulary, ignore=[word]
            ):
                return True
        return False


# Words that may open a list, the names of kinds among them.
_OPENERS = {*lexicon.OPENERS, *" ".join((*CATEGORIES, *lexicon.KIND_NAMES.values())).split()}


class ListItems(Closed):
    """Name three birds."""

    name = "list_items"
    roams = True
    final = True

    def candidate(self, rng: Random) -> Slots:
        number, category = rng.randint(2, 3), rng.choice(sorted(CATEGORIES))
        kind = lexicon.KIND_NAMES.get(category, category)
        return {"n": number, "number": number_word(number), "Number": capital(number_word(number)),
                "category": category, "kind": kind}  # fmt: skip

    def key(self, slots: Slots) -> str:
        return f"{slots['n']} {slots['category']}"

    def right(self, rng: Random, slots: Slots) -> list[str]:
        return rng.sample(CATEGORIES[slots["category"]], slots["n"])

    def mistake(self, rng: Random, slots: Slots) -> list[str]:
        """One too many, one too few, one of another kind, or one named twice."""
        members = CATEGORIES[slots["category"]]
        items = self.right(rng, slots)
        fault = rng.choice(("missing", "extra", "foreign", "foreign", "twice"))
        if fault == "missing":
            return items[1:]
        if fault == "extra":
            return [*items, rng.choice([m for m in members if m not in items])]
        if fault == "twice":
            return [*items[:-1], items[0]]
        return [*items[:-1], rng.choice([m for m in MEMBERS if m not in members])]

    def words(self, rng: Random, slots: Slots, items: list[str]) -> Slots:
        phrases = [i if slots["category"] == "colours" else item_phrase(i) for i in items]
        return {"items": join(phrases), "bare": join(items)}

    def alone(self, rng: Random, items: list[str]) -> str:
        return join(items)

    def judge(self, slots: Slots, clean: str) -> bool:
        clean = without_idioms(clean)
        named = occurrences(clean, MEMBERS)
        members = CATEGORIES[slots["category"]]
        if not slots["n"] == len(named) == len(set(named)) or not set(named) <= set(members):
            return False
        if not _is_one_list(clean, named) or not no_negation(clean, named):
            return False
        if kinds_named(clean) - {slots["category"]}:
            return False
        unmarked = re.sub(r"(?:(?<=\s)|^)[1-9][.)](?=\s)", "_", clean)  # "1. owl 2. crow"
        counted = set(stated_numbers(unmarked)) <= {slots["n"]}
        return counted and asserted(clean, named)


def _is_one_list(text: str, items: list[str]) -> bool:
    """Whether the items stand in one run, as a list does, with no unknown item at either end."""
    spans = [m for m in re.finditer(r"[A-Za-z]+", text) if occurrences(m.group(), items)]
    if not items or len(spans) != len(items):
        return False
    gaps = (text[x.end() : y.start()] for x, y in pairwise(spans))
    if not all(PATTERNS["lists.between"].fullmatch(gap) for gap in gaps):
        return False
    start = spans[0].start()
    before = PATTERNS["lists.more_before"].search(text[max(0, start - 60) : start])
    opened = before is None or (before.group(1) or "and").lower() in _OPENERS
    return opened and not PATTERNS["lists.more_after"].match(text[spans[-1].end() :])


class Sort(Closed):
    """An order: of words in `SortWords`, of numbers elsewhere; `items` draws what is out of it."""

    final = True
    items: Callable[[Random], list]

    def candidate(self, rng: Random) -> Slots:
        items = self.items(rng)
        while items == sorted(items):
            rng.shuffle(items)
        names = [str(i) for i in items]
        return {"items": items, "given": ", ".join(names), "given_and": join(names),
                "answer": sorted(items)}  # fmt: skip

    def key(self, slots: Slots) -> str:
        return " ".join(map(str, slots["answer"]))

    def mistake(self, rng: Random, slots: Slots) -> list:
        """The answer's items in another order, or without one of them."""
        items = slots["answer"]
        if rng.random() < 0.2:
            dropped = rng.choice(items)
            return [i for i in items if i != dropped]
        other = list(items)
        while other == items:
            rng.shuffle(other)
        return other

    def words(self, rng: Random, slots: Slots, items: list) -> Slots:
        """The pieces of wording that replies about an order are made from."""
        names = [str(i) for i in items]
        then = ", then ".join(names[1:])
        return {"listed": join(names), "plain": ", ".join(names), "first": names[0], "then": then}


class SortWords(Sort):
    """Put these words in alphabetical order: plum, fig, pear."""

    name = "sort_words"

    def items(self, rng: Random) -> list[str]:
        """Three words of one kind whose first letters differ."""
        members = CATEGORIES[rng.choice(lexicon.SORTED_KINDS)]
        while True:
            items = rng.sample(members, 3)
            if len({i[0] for i in items}) == 3:
                return items

    def judge(self, slots: Slots, clean: str) -> bool:
        clean = without_idioms(without_recall(clean))
        answer = slots["answer"]
        right = occurrences(clean, MEMBERS) == answer
        return right and no_negation(clean, answer) and asserted(clean, answer)


_ORDINALS = ("first", "second", "third", "fourth", "fifth", "last")


class Position(Closed):
    """Which word comes second: pear, fig, plum?"""

    name = "position"

    def candidate(self, rng: Random) -> Slots:
        size = 3
        items = rng.sample(CATEGORIES[rng.choice(sorted(CATEGORIES))], size)
        place = rng.randrange(size)
        ordinal = "last" if place == size - 1 and rng.random() < 0.5 else _ORDINALS[place]
        given = ", ".join(items)
        return {"items": items, "given": given, "Given": capital(given), "ordinal": ordinal,
                "answer": items[place]}  # fmt: skip

    def judge(self, slots: Slots, clean: str) -> bool:
        clean = without_echo(clean, slots["items"])
        place = slots["items"].index(slots["answer"])
        fitting = {slots["ordinal"], _ORDINALS[place]}
        fitting |= {"last"} if place == len(slots["items"]) - 1 else set()
        ordinals = set(occurrences(without_idioms(clean), _ORDINALS))
        return ordinals <= fitting and answers_exactly(clean, [slots["answer"]], MEMBERS)


_SWAPS = {"animal": lexicon.ANIMALS, "colour": lexicon.COLOURS, "thing": lexicon.OBJECTS,
          "day": lexicon.DAYS}  # fmt: skip
_SWAPPED = tuple(dict.fromkeys(w for words in _SWAPS.values() for w in words))


class Repeat(Closed):
    """Say this again with hen instead of fox: The fox sat by the river."""

    name = "repeat_with_change"
    final = True
    fields = ("lines",)

    def __init__(self) -> None:
        self.lines = self.table.texts("lines", _SWAPS)
        super().__init__()

    def candidate(self, rng: Random) -> Slots:
        line = rng.choice(self.lines)
        kinds = [k for k in _SWAPS if f"{{{k}}}" in line]
        words = {k: rng.choice(_SWAPS[k]) for k in kinds}
        kind = rng.choice(kinds)
        new = rng.choice([w for w in _SWAPS[kind] if w not in words.values()])
        return {"old": words[kind], "new": new, "kind": kind, "sentence": line.format(**words),
                "answer": line.format(**{**words, kind: new})}  # fmt: skip

    def key(self, slots: Slots) -> str:
        return slots["answer"]

    def mistake(self, rng: Random, slots: Slots) -> str:
        """The line unchanged, changed to a third word, or cut short."""
        third = [w for w in _SWAPS[slots["kind"]] if w not in (slots["new"], slots["old"])]
        changed = re.sub(rf"\b{slots['new']}\b", rng.choice(third), slots["answer"])
        cut = " ".join(slots["answer"].split()[:-1]) + "."
        return rng.choice((slots["sentence"], changed, changed, cut))

    def alone(self, rng: Random, answer: str) -> str:
        return answer.removesuffix(".")

    def judge(self, slots: Slots, clean: str) -> bool:
        line = re.escape(slots["answer"].rstrip("."))
        found = re.findall(rf"(?:^|[.:!?\"'])\s*[\"']?{line}(?=[.!\"']|$)", clean, re.I)
        everywhere = re.findall(rf"\b{line}\b", clean, re.I)
        if len(found) != 1 or len(everywhere) != 1:
            return False
        before, after = re.split(rf"\b{line}\b", clean, maxsplit=1, flags=re.I)
        told = rf"\b{slots['new']}\W? (?:instead of|in place of|for) \W?{slots['old']}\b"
        rest = re.sub(told, "_", f"{before} _. {after}", flags=re.I)
        lead = re.sub(told, "_", before.rsplit(".", 1)[-1], flags=re.I)
        return not occurrences(without_idioms(rest), _SWAPPED) and not negated(lead)


FAMILIES = tuple(kind() for kind in (Opposite, ListItems, SortWords, Position, Repeat))
