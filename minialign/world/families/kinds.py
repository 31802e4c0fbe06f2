"""Instruction families about kinds of things: classify, odd one out, yes or no, count.

Some kinds overlap in real life (a rose is a colour too, a pumpkin is a fruit to a gardener). Such
pairs are never put against each other, so that every question has one answer.
"""

from __future__ import annotations

from random import Random

from minialign.world import lexicon
from minialign.world.families.checking import (
    PATTERNS,
    answers_exactly,
    is_question,
    says,
    without_contrast,
    without_echo,
    without_idioms,
)
from minialign.world.families.counting import stated_numbers, states_only
from minialign.world.families.family import Closed, Slots
from minialign.world.lexicon import CATEGORIES, SINGULAR
from minialign.world.text import a, capital, join, number_word, occurrences, sentences

MEMBERS = tuple(dict.fromkeys(item for members in CATEGORIES.values() for item in members))
_KINDS = sorted(SINGULAR)
_NO_ARTICLE = frozenset((*CATEGORIES["colours"], *CATEGORIES["days"]))
# Things of no kind above, to put among the members of one.
_THINGS = [o for o in lexicon.OBJECTS if o not in (*MEMBERS, *lexicon.AMBIGUOUS_OBJECTS)]
_NAMED = (*MEMBERS, *_THINGS)


def item_phrase(item: str) -> str:
    """The item as it stands in a sentence: "an owl", but "red" and "Monday"."""
    return item if item in _NO_ARTICLE else a(item)


def kinds_of(item: str) -> list[str]:
    """The categories that an item belongs to."""
    return [name for name, members in CATEGORIES.items() if item in members]


def kinds_named(text: str) -> set[str]:
    """The categories whose singular or plural name a text mentions."""
    plurals = {single: many for many, single in SINGULAR.items()}
    return {plurals[name] for name in occurrences(text, plurals)}


def _apart(first: str, second: str) -> bool:
    return first != second and {first, second} not in lexicon.OVERLAP


def _members(kind: str) -> list[str]:
    return [m for m in CATEGORIES[kind] if m not in lexicon.DISPUTED]


def _outsiders(rng: Random, kind: str) -> list[str]:
    """Things that are not of this kind: of one other kind, or of none."""
    other = rng.choice([k for k in _KINDS if _apart(kind, k)])
    pool = rng.choice((_THINGS, _members(other)))
    return [p for p in pool if kind not in kinds_of(p)]


def _item_slots(item: str) -> Slots:
    phrase = item_phrase(item)
    return {"item": item, "a_item": phrase, "A_item": capital(phrase)}


def _list_slots(items: list[str], kind: str, answer: str | int) -> Slots:
    given = ", ".join(items)
    return {"items": items, "given": given, "Given": capital(given), "given_and": join(items),
            "category": kind, "answer": answer}  # fmt: skip


def _counts(text: str) -> bool:
    """Whether a text counts more than one: "Two of the words are toys." says of nothing that it is
    a toy."""
    return not set(stated_numbers(text)) <= {None, 1}


class Classify(Closed):
    """Is a carrot a fruit or a vegetable?"""

    name = "classify"

    def candidate(self, rng: Random) -> Slots:
        while True:
            kind, other = rng.sample(_KINDS, 2)
            item = rng.choice(_members(kind))
            if _apart(kind, other) and other not in kinds_of(item):
                break
        first, second = rng.sample((kind, other), 2)
        a_first, a_second = a(SINGULAR[first]), a(SINGULAR[second])
        return {**_item_slots(item), "answer": kind, "other": other, "firsts": first,
                "seconds": second, "a_first": a_first, "A_first": capital(a_first),
                "a_second": a_second}  # fmt: skip

    def key(self, slots: Slots) -> str:
        return f"{slots['item']} {slots['other']}"

    def mistake(self, rng: Random, slots: Slots) -> str:
        return slots["other"]

    def words(self, rng: Random, slots: Slots, kind: str) -> Slots:
        other = slots["other"] if kind == slots["answer"] else slots["answer"]
        return {"answers": kind, "a_answer": a(SINGULAR[kind]), "a_other": a(SINGULAR[other])}

    def alone(self, rng: Random, kind: str) -> str:
        rng.choice("..")  # chooses nothing, but keeps later draws what they were
        return rng.choice((SINGULAR[kind], a(SINGULAR[kind])))

    def judge(self, slots: Slots, clean: str) -> bool:
        options = [SINGULAR[slots["firsts"]], SINGULAR[slots["seconds"]]]
        clean = without_echo(clean, options, ordered=False)
        mentioned = set(occurrences(without_idioms(clean), _NAMED))
        expected = [SINGULAR[slots["answer"]]]
        right_item = mentioned <= {slots["item"]} and not _counts(clean)
        return right_item and answers_exactly(clean, expected, SINGULAR.values())


class OddOneOut(Closed):
    """Which is the odd one out: fox, spoon, owl, hen?"""

    name = "odd_one_out"

    def candidate(self, rng: Random) -> Slots:
        kind = rng.choice(_KINDS)
        answer = rng.choice(_outsiders(rng, kind))
        items = [*rng.sample([m for m in _members(kind) if m != answer], 3), answer]
        rng.shuffle(items)
        return _list_slots(items, kind, answer)

    def key(self, slots: Slots) -> str:
        return " ".join(sorted(slots["items"]))

    def words(self, rng: Random, slots: Slots, answer: str) -> Slots:
        return {"answer": answer if answer in _NO_ARTICLE else f"the {answer}"}

    def judge(self, slots: Slots, clean: str) -> bool:
        if says("lists.places", clean):
            return False
        clean = PATTERNS["lists.left_out"].sub("_", clean)
        clean = without_echo(clean, slots["items"], ordered=False)
        allowed = {slots["category"], *kinds_of(slots["answer"])}
        if slots["category"] == "birds":
            allowed.add("animals")
        right_kinds = kinds_named(clean) <= allowed
        return right_kinds and answers_exactly(clean, [slots["answer"]], _NAMED)


class YesNo(Closed):
    """Is an owl a bird?"""

    name = "yes_no_category"
    replies = ("yes", "no")

    def candidate(self, rng: Random) -> Slots:
        home = rng.choice(_KINDS)
        item = rng.choice(_members(home))
        own = [k for k in kinds_of(item) if k in SINGULAR]
        far = [k for k in _KINDS if k not in own and all(_apart(k, o) for o in own)]
        if home == "animals" and "birds" not in own:
            far.append("birds")  # no member is in doubt here: a fox is an animal and no bird
        answer = rng.choice(("yes", "no"))
        kind = rng.choice(own if answer == "yes" else far)
        a_false = a(SINGULAR[rng.choice(far)])
        return {**_item_slots(item), "kinds": kind, "a_kind": a(SINGULAR[kind]),
                "a_truth": a(SINGULAR[own[0]]), "a_false": a_false, "answer": answer}  # fmt: skip

    def key(self, slots: Slots) -> str:
        return f"{slots['item']} {slots['kinds']}"

    def mistake(self, rng: Random, slots: Slots) -> str:
        return "no" if slots["answer"] == "yes" else "yes"

    def words(self, rng: Random, slots: Slots, answer: str) -> Slots:
        truth = slots["a_truth"] if answer == slots["answer"] else slots["a_false"]
        return {"field": answer, "a_truth": truth}

    def judge(self, slots: Slots, clean: str) -> bool:
        clean = PATTERNS["yes_no.harmless"].sub("_", clean)
        known = (slots["kinds"], *kinds_of(slots["item"]))
        others = [one for kind, one in SINGULAR.items() if kind not in known]
        clean = without_contrast(clean, others, [])
        said: set[str] = set()
        for sentence in sentences(clean):
            if not is_question(sentence):
                said |= _verdicts(sentence, slots)
            elif says("yes_no.yes", sentence) or says("yes_no.no", sentence):
                return False  # "Yes. Or no?"
        return said == {slots["answer"]} and not says("yes_no.taken_back", clean)


def _verdicts(sentence: str, slots: Slots) -> set[str]:
    """What a sentence says to the question: "yes", "no", both, nothing, or "bad" for an untruth."""
    if says("yes_no.asked", sentence):
        return set()
    said = {"yes"} if says("yes_no.yes", sentence) else set()
    said |= {"no"} if says("yes_no.no", sentence) else set()
    body = PATTERNS["yes_no.lead"].sub("", sentence)
    denied = says("yes_no.denial", body)
    if denied and says("yes_no.yes", body):
        return {"bad"}
    kinds = kinds_named(body)
    if slots["kinds"] in kinds or says("yes_no.short", body):
        if denied or said or says("yes_no.verb", body):  # "Bird." alone says nothing
            said.add("no" if denied else "yes")
    elif kinds and (denied or not kinds <= set(kinds_of(slots["item"]))):
        said.add("bad")
    elif kinds and _calls_it(body) and all(_apart(slots["kinds"], kind) for kind in kinds):
        said.add("no")  # "It is a fruit" tells that it is no tool
    if set(occurrences(without_idioms(body), _NAMED)) - {slots["item"]} or _counts(body):
        said.add("bad")
    known = {slots["kinds"], *kinds_of(slots["item"])}
    if said and (says("yes_no.hedge", body) or not kinds <= known):
        said.add("bad")
    return said


def _calls_it(sentence: str) -> bool:
    """Whether a sentence says of something what kind it is: "It is a fruit."."""
    verb = PATTERNS["yes_no.calls"].search(sentence)
    named = occurrences(sentence, SINGULAR.values())
    return verb is not None and occurrences(sentence[verb.start() :], named) == named[:1] == named


class Count(Closed):
    """How many animals are in this list: fox, spoon, owl?"""

    name = "count_items"
    final = True

    def candidate(self, rng: Random) -> Slots:
        kind = rng.choice(_KINDS)
        size = rng.choice((2, 3, 3))
        answer = rng.randint(1, size)
        members = rng.sample(_members(kind), answer)
        items = members + rng.sample(_outsiders(rng, kind), size - answer)
        rng.shuffle(items)
        return _list_slots(items, kind, answer)

    def mistake(self, rng: Random, slots: Slots) -> int:
        counts = range(1, len(slots["items"]) + 1)
        return rng.choice([n for n in counts if n != slots["answer"]])

    def words(self, rng: Random, slots: Slots, count: int) -> Slots:
        """The count in words or digits, with the members that it counts (too many or too few)."""
        kind, one = slots["category"], SINGULAR[slots["category"]]
        members = [i for i in slots["items"] if i in CATEGORIES[kind]]
        rest = [i for i in slots["items"] if i not in members]
        return {
            "answer": rng.choice((number_word(count), str(count))),
            "Answer": capital(number_word(count)),
            "are": "is" if count == 1 else "are",
            "noun": one if count == 1 else kind,
            "what": a(one) if count == 1 else kind,
            "named": join((members + rest)[:count]),
        }

    def alone(self, rng: Random, count: int) -> str:
        return rng.choice((number_word(count), str(count)))

    def judge(self, slots: Slots, clean: str) -> bool:
        clean = without_echo(clean, slots["items"])
        named = set(occurrences(without_idioms(clean), _NAMED))
        members = {i for i in slots["items"] if i in CATEGORIES[slots["category"]]}
        if (named and named != members) or kinds_named(clean) - {slots["category"]}:
            return False
        return states_only(clean, slots["answer"])


FAMILIES = tuple(kind() for kind in (Classify, OddOneOut, YesNo, Count))
