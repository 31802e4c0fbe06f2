"""Instruction families about kinds of things: classify, odd one out, yes or no, count, list.

Some kinds overlap in real life (a rose is a colour too, a pumpkin is a fruit to a gardener). Such
pairs are never put against each other, so that every question has one answer.
"""

from __future__ import annotations

import re
from random import Random

from minialign.world import checking
from minialign.world.checking import occurrences, without_echo
from minialign.world.families_wording import PHRASINGS, REPLIES
from minialign.world.family import Family, Slots
from minialign.world.lexicon import CATEGORIES, OBJECTS
from minialign.world.text import a, capital, join, number_word, sentences

SINGULAR = {
    "animals": "animal", "birds": "bird", "fruits": "fruit", "vegetables": "vegetable",
    "colours": "colour", "tools": "tool", "instruments": "instrument", "trees": "tree",
    "flowers": "flower", "toys": "toy",
}  # fmt: skip
KIND_NAMES = {"days": "days of the week", "clothes": "things to wear"}
MEMBERS = tuple(dict.fromkeys(item for members in CATEGORIES.values() for item in members))
_NO_ARTICLE = frozenset((*CATEGORIES["colours"], *CATEGORIES["days"]))
# Kinds that share members in real life, and members that people disagree about.
_OVERLAP = (
    {"animals", "birds"}, {"colours", "flowers"}, {"colours", "fruits"}, {"toys", "instruments"},
    {"toys", "tools"}, {"trees", "fruits"}, {"fruits", "vegetables", "trees"},
)  # fmt: skip
_DISPUTED = frozenset(("pumpkin", "bean", "pea", "orange", "ash", "top", "lily", "bell", "boat"))
# Things of no kind above, to put among the members of one.
_THINGS = tuple(o for o in OBJECTS if o not in MEMBERS and o not in ("ring", "letter"))


def item_phrase(item: str) -> str:
    """The item as it stands in a sentence: "an owl", but "red" and "Monday"."""
    return item if item in _NO_ARTICLE else a(item)


def kinds_of(item: str) -> list[str]:
    """The categories that an item belongs to."""
    return [name for name, members in CATEGORIES.items() if item in members]


def _apart(first: str, second: str) -> bool:
    return first != second and {first, second} not in _OVERLAP


def _members(kind: str) -> list[str]:
    return [m for m in CATEGORIES[kind] if m not in _DISPUTED]


def kinds_named(text: str) -> set[str]:
    """The categories whose singular or plural name a text mentions."""
    plurals = {single: many for many, single in SINGULAR.items()}
    return {plurals[name] for name in occurrences(text, plurals)}


def say(rng: Random, key: str, slots: Slots, **more: str) -> str:
    """One of the wordings of `REPLIES[key]`, filled in and capitalised."""
    return capital(rng.choice(REPLIES[key]).format(**{**slots, **more}))


# classify: "Is a carrot a fruit or a vegetable?"


def _classify_slots(rng: Random) -> Slots:
    while True:
        kind, other = rng.sample(sorted(SINGULAR), 2)
        item = rng.choice(_members(kind))
        if _apart(kind, other) and other not in kinds_of(item):
            break
    first, second = rng.sample((kind, other), 2)
    return {
        "item": item, "a_item": item_phrase(item), "A_item": capital(item_phrase(item)),
        "answer": kind, "other": other, "firsts": first, "seconds": second,
        "a_first": a(SINGULAR[first]), "A_first": capital(a(SINGULAR[first])),
        "a_second": a(SINGULAR[second]),
    }  # fmt: skip


def _classify_say(rng: Random, slots: Slots, kind: str, other: str) -> str:
    names = {"answers": kind, "a_answer": a(SINGULAR[kind]), "a_other": a(SINGULAR[other])}
    return say(rng, "classify", slots, **names)


def _classify_check(slots: Slots, reply: str) -> bool:
    clean = checking.plain(reply)
    if clean is None:
        return False
    expected = SINGULAR[slots["answer"]]
    options = [SINGULAR[slots["firsts"]], SINGULAR[slots["seconds"]]]
    clean = without_echo(clean, options, ordered=False)
    mentioned = occurrences(checking.without_idioms(clean), MEMBERS)
    right_item = set(mentioned) <= {slots["item"]}
    return right_item and checking.answers_exactly(clean, [expected], SINGULAR.values())


CLASSIFY = Family(
    name="classify",
    phrasings=PHRASINGS["classify"],
    make=lambda rng, split: checking.draw(
        rng, split, _classify_slots, lambda s: f"{s['item']} {s['other']}"
    ),
    reply=lambda rng, s: _classify_say(rng, s, s["answer"], s["other"]),
    bare=lambda rng, s: rng.choice(("{}.", "{}.")).format(
        capital(rng.choice((SINGULAR[s["answer"]], a(SINGULAR[s["answer"]]))))
    ),
    wrong=lambda rng, s: _classify_say(rng, s, s["other"], s["answer"]),
    check=_classify_check,
    length=(3, 12),
)


# odd_one_out: "Which is the odd one out: fox, spoon, owl, hen?"


def _odd_slots(rng: Random) -> Slots:
    kind = rng.choice(sorted(SINGULAR))
    others = [k for k in sorted(SINGULAR) if _apart(kind, k)]
    pool = rng.choice((_THINGS, _members(rng.choice(others))))
    answer = rng.choice([p for p in pool if kind not in kinds_of(p)])
    items = [*rng.sample([m for m in _members(kind) if m != answer], 3), answer]
    rng.shuffle(items)
    given = ", ".join(items)
    return {"items": items, "given": given, "Given": capital(given), "given_and": join(items),
            "category": kind, "answer": answer}  # fmt: skip


def _odd_say(rng: Random, slots: Slots, answer: str) -> str:
    named = answer if answer in _NO_ARTICLE else f"the {answer}"
    words = {"answer": named, "Answer": capital(named)}
    return say(rng, "odd_one_out", {**slots, **words})


_LEFT_OUT = re.compile(
    r"\b(?:do(?:es)?(?: not|n't) (?:belong|fit)|is(?: not|n't) like the (?:others?|rest))\b", re.I
)


def _odd_check(slots: Slots, reply: str) -> bool:
    clean = checking.plain(reply)
    if clean is None:
        return False
    clean = without_echo(_LEFT_OUT.sub("_", clean), slots["items"], ordered=False)
    allowed = {slots["category"], *kinds_of(slots["answer"])}
    allowed |= {"animals"} if slots["category"] == "birds" else set()
    vocabulary = (*MEMBERS, *_THINGS)
    return kinds_named(clean) <= allowed and checking.answers_exactly(
        clean, [slots["answer"]], vocabulary
    )


ODD_ONE_OUT = Family(
    name="odd_one_out",
    phrasings=PHRASINGS["odd_one_out"],
    make=lambda rng, split: checking.draw(
        rng, split, _odd_slots, lambda s: " ".join(sorted(s["items"]))
    ),
    reply=lambda rng, s: _odd_say(rng, s, s["answer"]),
    bare=lambda rng, s: capital(s["answer"]) + ".",
    wrong=lambda rng, s: _odd_say(rng, s, rng.choice([i for i in s["items"] if i != s["answer"]])),
    check=_odd_check,
    length=(3, 12),
    held_out=True,
)


# yes_no_category: "Is an owl a bird?"


def _yes_no_slots(rng: Random) -> Slots:
    home = rng.choice(sorted(SINGULAR))
    item = rng.choice(_members(home))
    own = [k for k in kinds_of(item) if k in SINGULAR]
    far = [k for k in sorted(SINGULAR) if k not in own and all(_apart(k, o) for o in own)]
    if home == "animals" and "birds" not in own:
        far.append("birds")  # no member is in doubt here: a fox is an animal and no bird
    answer = rng.choice(("yes", "no"))
    kind = rng.choice(own if answer == "yes" else far)
    return {
        "item": item, "a_item": item_phrase(item), "A_item": capital(item_phrase(item)),
        "kinds": kind, "a_kind": a(SINGULAR[kind]), "a_truth": a(SINGULAR[own[0]]),
        "a_false": a(SINGULAR[rng.choice(far)]),
        "answer": answer,
    }  # fmt: skip


_HARMLESS = re.compile(
    r"\bno (?:doubt|problem|trouble|need|worries|wonder)\b|\boh (?:yes|no)\b", re.I
)
_YES = re.compile(r"\b(?:yes|yeah|yep)\b", re.I)
_NO = re.compile(
    r"(?:^|[,:;\"'(]\s*|\b(?:is|say|said|and|or|but|then|mean|be|yes) )(?:no|nope)\b", re.I
)
_DENIAL = re.compile(r"\b(?:not|never|no|neither|nor|false|wrong|untrue|lie|cannot)\b|n't\b", re.I)
_HEDGE = re.compile(r"\b(?:or|maybe|perhaps|might)\b", re.I)
_VERB = re.compile(r"\b(?:is|are|do|does|can|would|belongs?|call)\b|'s\b", re.I)
_LEAD = re.compile(r"^[\s\"']*(?:yes|yeah|yep|no|nope)\b", re.I)
_SHORT = re.compile(
    r"^\W*(?:it|that|this|we|you|i)(?:'s| is| does| do| can| would)(?: not|n't)?"
    r"(?: (?:certainly|indeed|really|quite|true|right|so|correct|false|wrong|untrue|one))*"
    r"\W*$",
    re.I,
)


_ASKED = re.compile(
    r"^\W*(?:please|tell me|say|i want|somebody|you asked|do you)\b|\b(?:if|whether)\b", re.I
)


_TAKEN_BACK = re.compile(
    r"\b(?:kidding|joking|my mistake|i lied|take (?:it|that) back|scratch that|wait|second thought|"
    r"(?:do not|don't|cannot|can't) (?:know|say|tell))\b(?! (?:why|how|what you|who|when))",
    re.I,
)


def _verdicts(sentence: str, slots: Slots) -> set[str]:
    """What a sentence says to the question: "yes", "no", both, nothing, or "bad" for an untruth."""
    if _ASKED.search(sentence):
        return set()
    said = {"yes"} if _YES.search(sentence) else set()
    said |= {"no"} if _NO.search(sentence) else set()
    body = _LEAD.sub("", sentence)
    denied = bool(_DENIAL.search(body))
    if denied and _YES.search(body):
        return {"bad"}
    kinds = kinds_named(body)
    if slots["kinds"] in kinds or _SHORT.match(body):
        if denied or said or _VERB.search(body):  # "Bird." alone says nothing
            said.add("no" if denied else "yes")
    elif kinds and (denied or not kinds <= set(kinds_of(slots["item"]))):
        said.add("bad")
    if set(occurrences(checking.without_idioms(body), MEMBERS)) - {slots["item"]}:
        said.add("bad")
    if said and (_HEDGE.search(body) or not kinds <= {slots["kinds"], *kinds_of(slots["item"])}):
        said.add("bad")
    return said


def _yes_no_check(slots: Slots, reply: str) -> bool:
    clean = checking.plain(reply)
    if clean is None:
        return False
    clean = _HARMLESS.sub("_", clean)
    others = [s for k, s in SINGULAR.items() if k not in (slots["kinds"], *kinds_of(slots["item"]))]
    clean = checking.without_contrast(clean, others, [])
    said: set[str] = set()
    for sentence in sentences(clean):
        if not sentence.rstrip("\"')").endswith("?"):
            said |= _verdicts(sentence, slots)
        elif _YES.search(sentence) or _NO.search(sentence):
            return False  # "Yes. Or no?"
    return said == {slots["answer"]} and not _TAKEN_BACK.search(clean)


YES_NO = Family(
    name="yes_no_category",
    phrasings=PHRASINGS["yes_no_category"],
    make=lambda rng, split: checking.draw(
        rng, split, _yes_no_slots, lambda s: f"{s['item']} {s['kinds']}"
    ),
    reply=lambda rng, s: say(rng, s["answer"], s),
    bare=lambda rng, s: capital(s["answer"]) + ".",
    wrong=lambda rng, s: say(
        rng, "no" if s["answer"] == "yes" else "yes", {**s, "a_truth": s["a_false"]}
    ),
    check=_yes_no_check,
    length=(2, 10),
    held_out=True,
)


# count_items: "How many animals are in this list: fox, spoon, owl?"


def _count_slots(rng: Random) -> Slots:
    kind = rng.choice(sorted(SINGULAR))
    size = rng.choice((2, 3, 3))
    answer = rng.randint(1, size)
    members = rng.sample(_members(kind), answer)
    others = [k for k in sorted(SINGULAR) if _apart(kind, k)]
    pool = rng.choice((_THINGS, _members(rng.choice(others))))
    items = members + rng.sample([p for p in pool if kind not in kinds_of(p)], size - answer)
    rng.shuffle(items)
    given = ", ".join(items)
    return {"items": items, "given": given, "Given": capital(given), "given_and": join(items),
            "category": kind, "answer": answer}  # fmt: skip


def _count_say(rng: Random, slots: Slots, count: int) -> str:
    kind, one = slots["category"], SINGULAR[slots["category"]]
    members = [i for i in slots["items"] if i in CATEGORIES[kind]]
    rest = [i for i in slots["items"] if i not in members]
    number = rng.choice((number_word(count), str(count)))
    words = {
        "answer": number, "Answer": capital(number_word(count)),
        "are": "is" if count == 1 else "are",
        "noun": one if count == 1 else kind, "what": a(one) if count == 1 else kind,
        "named": join((members + rest)[:count]),
    }  # fmt: skip
    return say(rng, "count_items", slots, **words)


def _wrong_count(rng: Random, slots: Slots) -> str:
    counts = [n for n in range(1, len(slots["items"]) + 1) if n != slots["answer"]]
    return _count_say(rng, slots, rng.choice(counts))


def _count_check(slots: Slots, reply: str) -> bool:
    clean = checking.plain(reply)
    if clean is None or checking.retracted(clean):
        return False
    clean = without_echo(clean, slots["items"], ordered=True)
    named = set(occurrences(checking.without_idioms(clean), (*MEMBERS, *_THINGS)))
    members = {i for i in slots["items"] if i in CATEGORIES[slots["category"]]}
    if (named and named != members) or kinds_named(clean) - {slots["category"]}:
        return False
    stated = set(checking.stated_numbers(clean))
    return stated == {slots["answer"]} and checking.numbers_asserted(clean, slots["answer"])


COUNT = Family(
    name="count_items",
    phrasings=PHRASINGS["count_items"],
    make=lambda rng, split: checking.draw(rng, split, _count_slots, lambda s: s["given"]),
    reply=lambda rng, s: _count_say(rng, s, s["answer"]),
    bare=lambda rng, s: rng.choice((capital(number_word(s["answer"])), str(s["answer"]))) + ".",
    wrong=_wrong_count,
    check=_count_check,
    length=(3, 20),
)

FAMILIES: tuple[Family, ...] = (CLASSIFY, ODD_ONE_OUT, YES_NO, COUNT)
