"""Instruction families about kinds of things: classify, odd one out, yes or no, count.

Some kinds overlap in real life (a rose is a colour too, a pumpkin is a fruit to a gardener). Such
pairs are never put against each other, so that every question has one answer.
"""

from __future__ import annotations

from random import Random

from minialign.world import checking
from minialign.world.checking import occurrences, pattern, without_echo
from minialign.world.family import Family, Slots, closed_family
from minialign.world.lexicon import CATEGORIES, OBJECTS, SINGULAR
from minialign.world.text import a, capital, join, number_word, sentences
from minialign.world.wording import wording

MEMBERS = tuple(dict.fromkeys(item for members in CATEGORIES.values() for item in members))
_KINDS = sorted(SINGULAR)
_NO_ARTICLE = frozenset((*CATEGORIES["colours"], *CATEGORIES["days"]))
_OVERLAP = [set(kinds) for kinds in wording("lexicon")["overlap"]]
_DISPUTED = frozenset(wording("lexicon")["disputed"])
# Things of no kind above, to put among the members of one.
_THINGS = [o for o in OBJECTS if o not in (*MEMBERS, *wording("lexicon")["ambiguous_objects"])]
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
    return first != second and {first, second} not in _OVERLAP


def _members(kind: str) -> list[str]:
    return [m for m in CATEGORIES[kind] if m not in _DISPUTED]


def _outsiders(rng: Random, kind: str) -> list[str]:
    """Things that are not of this kind: of one other kind, or of none."""
    other = rng.choice([k for k in _KINDS if _apart(kind, k)])
    pool = rng.choice((_THINGS, _members(other)))
    return [p for p in pool if kind not in kinds_of(p)]


def _list_slots(items: list[str], kind: str, answer: str | int) -> Slots:
    given = ", ".join(items)
    return {"items": items, "given": given, "Given": capital(given), "given_and": join(items),
            "category": kind, "answer": answer}  # fmt: skip


# classify: "Is a carrot a fruit or a vegetable?"


def _classify_slots(rng: Random) -> Slots:
    while True:
        kind, other = rng.sample(_KINDS, 2)
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


def _classify_words(rng: Random, slots: Slots, kind: str) -> Slots:
    other = slots["other"] if kind == slots["answer"] else slots["answer"]
    return {"answers": kind, "a_answer": a(SINGULAR[kind]), "a_other": a(SINGULAR[other])}


def _bare_kind(rng: Random, kind: str) -> str:
    end = rng.choice("..")  # no choice, but later draws stay what they were
    return capital(rng.choice((SINGULAR[kind], a(SINGULAR[kind])))) + end


@checking.plain_reply
def _classify_check(slots: Slots, clean: str) -> bool:
    options = [SINGULAR[slots["firsts"]], SINGULAR[slots["seconds"]]]
    clean = without_echo(clean, options, ordered=False)
    mentioned = occurrences(checking.without_idioms(clean), MEMBERS)
    right_item = set(mentioned) <= {slots["item"]}
    expected = SINGULAR[slots["answer"]]
    return right_item and checking.answers_exactly(clean, [expected], SINGULAR.values())


CLASSIFY = closed_family(
    "classify",
    "a_item A_item firsts seconds a_first A_first a_second",
    {"replies": "answers a_answer a_other"},
    make=checking.drawn(_classify_slots, lambda s: f"{s['item']} {s['other']}"),
    mistake=lambda rng, s: s["other"],
    words=_classify_words,
    bare=_bare_kind,
    check=_classify_check,
)


# odd_one_out: "Which is the odd one out: fox, spoon, owl, hen?"

_LEFT_OUT = pattern("left_out")


def _odd_slots(rng: Random) -> Slots:
    kind = rng.choice(_KINDS)
    answer = rng.choice(_outsiders(rng, kind))
    items = [*rng.sample([m for m in _members(kind) if m != answer], 3), answer]
    rng.shuffle(items)
    return _list_slots(items, kind, answer)


def _odd_words(rng: Random, slots: Slots, answer: str) -> Slots:
    return {"answer": answer if answer in _NO_ARTICLE else f"the {answer}"}


@checking.plain_reply
def _odd_check(slots: Slots, clean: str) -> bool:
    clean = without_echo(_LEFT_OUT.sub("_", clean), slots["items"], ordered=False)
    allowed = {slots["category"], *kinds_of(slots["answer"])}
    if slots["category"] == "birds":
        allowed.add("animals")
    right_kinds = kinds_named(clean) <= allowed
    return right_kinds and checking.answers_exactly(clean, [slots["answer"]], _NAMED)


ODD_ONE_OUT = closed_family(
    "odd_one_out",
    "given Given given_and category",
    make=checking.drawn(_odd_slots, lambda s: " ".join(sorted(s["items"]))),
    mistake=lambda rng, s: rng.choice([i for i in s["items"] if i != s["answer"]]),
    words=_odd_words,
    check=_odd_check,
)


# yes_no_category: "Is an owl a bird?"

_HARMLESS = pattern("yes_no.harmless")
_YES = pattern("yes_no.yes")
_NO = pattern("yes_no.no")
_DENIAL = pattern("yes_no.denial")
_HEDGE = pattern("yes_no.hedge")
_VERB = pattern("yes_no.verb")
_LEAD = pattern("yes_no.lead")
_SHORT = pattern("yes_no.short")
_ASKED = pattern("yes_no.asked")
_TAKEN_BACK = pattern("yes_no.taken_back")


def _yes_no_slots(rng: Random) -> Slots:
    home = rng.choice(_KINDS)
    item = rng.choice(_members(home))
    own = [k for k in kinds_of(item) if k in SINGULAR]
    far = [k for k in _KINDS if k not in own and all(_apart(k, o) for o in own)]
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


def _yes_no_words(rng: Random, slots: Slots, answer: str) -> Slots:
    truth = slots["a_truth"] if answer == slots["answer"] else slots["a_false"]
    return {"field": answer, "a_truth": truth}


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


@checking.plain_reply
def _yes_no_check(slots: Slots, clean: str) -> bool:
    clean = _HARMLESS.sub("_", clean)
    others = [s for k, s in SINGULAR.items() if k not in (slots["kinds"], *kinds_of(slots["item"]))]
    clean = checking.without_contrast(clean, others, [])
    said: set[str] = set()
    for sentence in sentences(clean):
        if not checking.is_question(sentence):
            said |= _verdicts(sentence, slots)
        elif _YES.search(sentence) or _NO.search(sentence):
            return False  # "Yes. Or no?"
    return said == {slots["answer"]} and not _TAKEN_BACK.search(clean)


YES_NO = closed_family(
    "yes_no_category",
    "a_item A_item kinds a_kind",
    {"yes": "a_truth", "no": "a_truth"},
    make=checking.drawn(_yes_no_slots, lambda s: f"{s['item']} {s['kinds']}"),
    mistake=lambda rng, s: "no" if s["answer"] == "yes" else "yes",
    words=_yes_no_words,
    check=_yes_no_check,
)


# count_items: "How many animals are in this list: fox, spoon, owl?"


def _count_slots(rng: Random) -> Slots:
    kind = rng.choice(_KINDS)
    size = rng.choice((2, 3, 3))
    answer = rng.randint(1, size)
    members = rng.sample(_members(kind), answer)
    items = members + rng.sample(_outsiders(rng, kind), size - answer)
    rng.shuffle(items)
    return _list_slots(items, kind, answer)


def _count_words(rng: Random, slots: Slots, count: int) -> Slots:
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


@checking.final_reply
def _count_check(slots: Slots, clean: str) -> bool:
    clean = without_echo(clean, slots["items"])
    named = set(occurrences(checking.without_idioms(clean), _NAMED))
    members = {i for i in slots["items"] if i in CATEGORIES[slots["category"]]}
    if (named and named != members) or kinds_named(clean) - {slots["category"]}:
        return False
    return checking.states_only(clean, slots["answer"])


COUNT = closed_family(
    "count_items",
    "given Given given_and category",
    {"replies": "answer are noun what named"},
    make=checking.drawn(_count_slots, lambda s: s["given"]),
    mistake=lambda rng, s: rng.choice(
        [n for n in range(1, len(s["items"]) + 1) if n != s["answer"]]
    ),
    words=_count_words,
    bare=lambda rng, n: rng.choice((capital(number_word(n)), str(n))) + ".",
    check=_count_check,
)

FAMILIES: tuple[Family, ...] = (CLASSIFY, ODD_ONE_OUT, YES_NO, COUNT)
