"""Instructions about what is known and what is not: facts, unknown things, claims to confirm or
correct."""

from __future__ import annotations

import re
from random import Random

from minialign.world import facts
from minialign.world.facts import (
    ANIMAL_TABLE,
    RELATIONS,
    Claim,
    claims,
    false_claims,
    other_value,
    state,
)
from minialign.world.families.checking import (
    answers_exactly,
    in_a_sentence,
    is_question,
    plain,
    says,
    split_of,
)
from minialign.world.families.counting import digits
from minialign.world.families.family import Family, Slots
from minialign.world.lexicon import CATEGORIES, NUMBER_WORDS, OBJECTS, PRONOUNS
from minialign.world.text import a, capital, occurrences, plural, sentences, words

_THINGS = (*OBJECTS, *(member for members in CATEGORIES.values() for member in members))


def _about(rng: Random, subject: str, relation: str) -> Slots:
    """Slots that every phrasing about one villager needs."""
    return {
        "subject": subject,
        "relation": relation,
        "question": rng.choice(RELATIONS[relation].questions).format(s=subject),
        "noun": RELATIONS[relation].noun.format(s=subject),
    }


def _facts(split: str, *, known: bool) -> list[facts.Fact]:
    """What is known of the villagers of a split, or what nobody knows of them."""
    cells = (facts.knowledge_base()[s, r] for s in facts.subjects(split) for r in RELATIONS)
    return [fact for fact in cells if (fact.value is not None) == known]


def _of_another(sentence: str, slots: Slots) -> bool:
    """Whether a sentence names somebody, or for an animal some other thing, but not whom the
    question is about."""
    subject = slots.get("subject", slots.get("animal", ""))
    known = (*(PRONOUNS if "subject" in slots else _THINGS), subject)
    named = set(occurrences(sentence, known)) - set(occurrences(slots.get("value", ""), known))
    return bool(named) and subject not in named


def _fits(sentence: str, relation: str) -> bool:
    """Whether a sentence has a cue of this relation, or none of another."""
    found = words(sentence)
    asked = {name for name, known in RELATIONS.items() if not set(known.cues).isdisjoint(found)}
    return relation in asked or not asked


def _answered(slots: Slots, clean: str) -> bool:
    """Whether a reply gives the value and no other, of whom the question is about."""
    value = slots["value"]
    holding = [s for s in sentences(clean) if occurrences(s, [value])]
    if "sentence" in slots.get("asks", ()) and not in_a_sentence(clean, value):
        return False
    own = not any(_of_another(s, slots) for s in holding)
    return own and answers_exactly(clean, [value], _vocabulary(slots))


class KnownFact(Family):
    """Where does Agnes live?"""

    name = "fact"

    def make(self, rng: Random, split: str) -> Slots:
        fact = rng.choice(_facts(split, known=True))
        return {**_about(rng, fact.subject, fact.relation), "value": fact.value}

    def reply(self, rng: Random, slots: Slots) -> str:
        """The fact, sometimes as "She lives ..." for "Agnes lives ...": the question named her."""
        subject = slots["subject"]
        text = state(rng, subject, slots["relation"], slots["value"])
        if text.startswith(f"{subject} ") and rng.random() < 0.3:
            return capital(PRONOUNS[subject][0]) + text.removeprefix(subject)
        return text

    def wrong(self, rng: Random, slots: Slots) -> str:
        wrong = other_value(rng, slots["relation"], slots.get("value"))
        return self.reply(rng, {**slots, "value": wrong})

    def bare(self, rng: Random, slots: Slots) -> str:
        return capital(slots["value"]) + "."

    def judge(self, slots: Slots, clean: str) -> bool:
        return _answered(slots, clean) and not false_claims(clean, slots["subject"])


_FACT = KnownFact()  # states facts for the families below


class Unknown(Family):
    """Where does Zelda live?"""

    name = "unknown"
    replies = ("replies",)

    def make(self, rng: Random, split: str) -> Slots:
        """Most questions are about strangers, some about what nobody knows of a villager."""
        if rng.random() < 0.75:
            return _about(rng, rng.choice(facts.strangers(split)), rng.choice(list(RELATIONS)))
        gap = rng.choice(_facts(split, known=False))
        return _about(rng, gap.subject, gap.relation)

    def reply(self, rng: Random, slots: Slots) -> str:
        return self.said(rng, slots)

    def wrong(self, rng: Random, slots: Slots) -> str:
        return _FACT.wrong(rng, slots)

    def judge(self, slots: Slots, clean: str) -> bool:
        """Whether a reply does not know what was asked; "I do not know her job" tells of no pet."""
        if occurrences(clean, _vocabulary(slots)) or false_claims(clean, slots["subject"]):
            return False
        admits = [s for s in sentences(clean) if says("answers.not_known", s)]
        fits = (not _of_another(s, slots) and _fits(s, slots["relation"]) for s in admits)
        return bool(admits) and all(fits)


def _animal_value(animal: str, relation: str) -> str:
    """The true value in words."""
    value = getattr(ANIMAL_TABLE[animal], relation)
    return NUMBER_WORDS[value] if relation == "legs" else value


def _animal_values(relation: str) -> tuple[str, ...]:
    """Every value that some animal has."""
    return tuple(sorted({_animal_value(animal, relation) for animal in ANIMAL_TABLE}))


def _vocabulary(slots: Slots) -> tuple[str, ...]:
    """All that an answer to the question could name."""
    relation = slots["relation"]
    if "animal" not in slots:
        return RELATIONS[relation].values
    return NUMBER_WORDS if relation == "legs" else _animal_values(relation)


class AnimalFact(Family):
    """What does an owl eat?"""

    name = "animal_fact"
    fields = ("relations",)  # what can be asked: question, noun, statements

    def __init__(self) -> None:
        relations = self.table.table("relations")
        self.relations = {name: relations.table(name) for name in relations}
        for row in self.relations.values():
            row.only(("question", "noun", "statements"))
            row.template("question", row["question"], ["n"])
            row.template("noun", row["noun"], ["n"])
            row.texts("statements", ["n", "N", "v", "a_v"])
        super().__init__()

    def make(self, rng: Random, split: str) -> Slots:
        pool = [x for x in ANIMAL_TABLE if split_of("animal " + x) == split and x != "snail"]
        animal, relation = rng.choice(pool), rng.choice(list(self.relations))
        return {
            "animal": animal,
            "relation": relation,
            "value": _animal_value(animal, relation),
            "question": self.relations[relation]["question"].format(n=a(animal)),
            "noun": self.relations[relation]["noun"].format(n=a(animal)),
        }

    def reply(self, rng: Random, slots: Slots) -> str:
        n, value = a(slots["animal"]), slots["value"]
        statement = rng.choice(self.relations[slots["relation"]]["statements"])
        return statement.format(n=n, N=capital(n), v=value, a_v=a(value))

    def wrong(self, rng: Random, slots: Slots) -> str:
        others = [v for v in _animal_values(slots["relation"]) if v != slots["value"]]
        return self.reply(rng, {**slots, "value": rng.choice(others)})

    def bare(self, rng: Random, slots: Slots) -> str:
        return capital(slots["value"]) + "."

    def judge(self, slots: Slots, clean: str) -> bool:
        if slots["relation"] == "legs":
            clean = re.sub(r"\bone\b", "_", digits(clean), flags=re.I)  # "Which one is it?"
            for count, value in enumerate(NUMBER_WORDS):
                clean = re.sub(rf"\b{count}\b", value, clean)
            if re.search("[0-9]", clean):
                return False
        clean = re.sub(rf"\b{plural(slots['animal'])}\b", slots["animal"], clean)
        return _answered(slots, clean)


class Confirm(Family):
    """Agnes lives by the mill. Am I right?"""

    name = "confirm"
    replies = ("yes", "no")

    def make(self, rng: Random, split: str) -> Slots:
        fact = rng.choice(_facts(split, known=True))
        right = rng.random() < 0.4
        said = fact.value if right else other_value(rng, fact.relation, fact.value)
        return {
            "subject": fact.subject,
            "relation": fact.relation,
            "value": fact.value,
            "said": said,
            "claim": state(rng, fact.subject, fact.relation, said or ""),
        }

    def _agree(self, rng: Random, slots: Slots) -> str:
        """Yes, most times with what was said."""
        yes = self.said(rng, slots, "yes")
        return f"{yes} {_FACT.reply(rng, slots)}" if rng.random() < 0.6 else yes

    def reply(self, rng: Random, slots: Slots) -> str:
        if slots["said"] == slots["value"]:
            return self._agree(rng, slots)
        return f"{self.said(rng, slots, 'no')} {_FACT.reply(rng, slots)}"

    def wrong(self, rng: Random, slots: Slots) -> str:
        """Agreement with what is false, or a correction of what is true."""
        if slots["said"] == slots["value"]:
            return f"{self.said(rng, slots, 'no')} {_FACT.wrong(rng, slots)}"
        return self._agree(rng, {**slots, "value": slots["said"]})

    def judge(self, slots: Slots, clean: str) -> bool:
        """Yes to the truth; no to a falsehood, with the true value, never both.

        The truth alone does as well, in other words than the claim's, which only echo it.
        """
        told = " ".join(s for s in sentences(clean) if not is_question(s))
        agrees, disagrees = says("claims.agrees", told), says("claims.disagrees", told)
        if (agrees and disagrees) or false_claims(clean, slots["subject"]):
            return False
        named = set(occurrences(clean, _vocabulary(slots)))
        if not agrees and not disagrees:
            truth = Claim(slots["subject"], slots["relation"], slots["value"])
            echo = told != clean or slots.get("claim", "?").lower().rstrip(".") in told.lower()
            own = truth in claims(told, slots["subject"]) and not echo
            return own and named == {slots["value"]}
        if slots["said"] == slots["value"]:
            return agrees and named <= {slots["value"]}
        corrected = disagrees and bool(occurrences(told, [slots["value"]]))
        return corrected and named <= {slots["value"], slots["said"]}

    def bare(self, rng: Random, slots: Slots) -> str:
        return "Yes." if slots["said"] == slots["value"] else f"No, {slots['value']}."


def answers_falsely(slots: Slots, reply: str) -> bool:
    """Whether a reply that its checker refused names a wrong value, or says yes or no, all the
    same.

    Its sentences need not say of whom: the question has. A sentence about somebody else, or one
    that only happens to hold such a word, answers nothing. A reply that admits not to know is
    honest.
    """
    text = plain(reply)
    if text is None or says("answers.not_known", text):
        return False
    if "claim" in slots and (says("claims.agrees", text) or says("claims.disagrees", text)):
        return True
    told = [s for s in sentences(text) if _is_about(s, slots)]
    wrong = [v for v in _vocabulary(slots) if v != slots.get("value")]
    return any(occurrences(s, wrong) for s in told)


def _is_about(sentence: str, slots: Slots) -> bool:
    """Whether a sentence speaks of whom and what the question is about: it names them, or is no
    more than an answer."""
    found = words(sentence)
    if is_question(sentence) or _of_another(sentence, slots):
        return False
    subject = slots.get("subject", slots.get("animal", ""))
    cues = RELATIONS[slots["relation"]].cues if "subject" in slots else ()
    short = len(found) <= 4 or found[0] in ("he", "she", "it", "his", "her", "its", "that")
    return short or bool(occurrences(sentence, [subject])) or not set(cues).isdisjoint(found)


FAMILIES = (_FACT, Unknown(), AnimalFact(), Confirm())
