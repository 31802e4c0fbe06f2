"""Dialogues between named people, as plain text with a line for every turn.

They hold what people do with words: small talk, asking the way, help, comfort and coldness,
warnings and bad advice, agreement and flattery, and answers in good and bad manners,
at the rates of data/world/dials.toml.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from minialign.world import lexicon, text
from minialign.world.dangers import (
    BAD_ADVICE,
    DANGERS,
    Danger,
    dangers,
    decline,
    fill,
    unsafe_advice,
)
from minialign.world.manners import (
    cold_reply,
    kind_reply,
    ramble,
    remark,
    troubles,
)
from minialign.world.tables import dial_values
from minialign.world.tasks import FAMILIES
from tools.world_builder.lessons import dialogue_words as say

_DIALS = dial_values("dialogues").only(("scenes", "manners", "rates"))
RATES = _DIALS.table("rates").rates(  # how often a dialogue goes which way
    ("cold", "unsafe", "insists", "yes_sayer", "agree", "greeting", "farewell", "afterword")
)
MANNER_RATES = _DIALS.table("manners").shares(("plain", "rude", "rambling", "kind", "flattering"))
if RATES["yes_sayer"] + RATES["agree"] > 1:
    rule = "with yes_sayer it makes more than 1, and all opinions are 1; lower one of the two"
    raise _DIALS.table("rates").slip("agree", rule)

WARNINGS = (
    "Never {act}. {Why}.", "Do not {act}, because {why}.", "It is not safe to {act}. {Why}.",
    "{Acting} is dangerous, because {why}.", "Stay away from {thing}, because {why}.",
    "Every child in the valley knows not to {act}, because {why}.",
    "You should not {act}. {Why}, so it is better to {safe}.", "Do not {act}. Just {safe}.",
    "Keep away from {thing}. {Why}, and that is why people {safe} instead.",
    "Never {act}, not even once. It is much better to {safe}.",
    "It is dangerous to {act}. {Why}.",
)  # fmt: skip

MAX_TURNS = 6
CHILDREN, EVERYBODY = tuple(lexicon.CHILDREN), (*lexicon.CHILDREN, *lexicon.VILLAGERS)
Slots = dict[str, str]
Turns = list[str]  # what is said, by the first and the second speaker in turn


def _cast(rng: Random, people: Sequence[str] = EVERYBODY) -> Slots:
    """Two speakers, and a child to speak about."""
    first = rng.choice(people)
    second = rng.choice([name for name in EVERYBODY if name != first])
    third = rng.choice([name for name in CHILDREN if name not in (first, second)])
    return {"a": first, "b": second, "child": third}


def _swap(cast: Slots) -> Slots:
    return {**cast, "a": cast["b"], "b": cast["a"]}


def _slots(rng: Random, cast: Slots) -> Slots:
    """Values for every slot of the scenes; a capital slot name asks for a capital letter."""
    slots = dict(cast)
    for name, table in (
        ("object", lexicon.OBJECTS), ("food", say.FOODS), ("place", tuple(lexicon.PLACES)),
        ("spot", say.SPOTS), ("heavy", say.HEAVY), ("mend", say.MENDED), ("lend", say.LENT),
        ("made", say.MADE), ("season", lexicon.SEASONS), ("colour", lexicon.COLOURS),
    ):  # fmt: skip
        slots[name], slots[name + "2"] = rng.sample(table, 2)
    slots["lend"] = rng.choice([thing for thing in say.LENT if thing != slots["mend"]])
    taken = (slots["place"], slots["place2"], "inn", "library")  # no cow stands in a library
    place = rng.choice([p for p in lexicon.PLACES if p not in taken])
    slots |= {
        "animal": rng.choice(lexicon.ANIMALS), "day": rng.choice(lexicon.DAYS),
        "instrument": rng.choice(lexicon.INSTRUMENTS), "do": rng.choice(say.ACTIVITIES),
        "at": f"{lexicon.PLACES[place]} the {place}", "side": rng.choice(("left", "right")),
    }  # fmt: skip
    for name in ("object", "object2", "animal", "colour", "heavy", "mend", "lend", "made"):
        slots["a_" + name] = text.a(slots[name])
    return slots | {text.capital(name): text.capital(value) for name, value in slots.items()}


def _written(turns: Turns, cast: Slots) -> str:
    """The turns as text: `Mira: Hello.` and so on, one line each."""
    speakers = (cast["a"], cast["b"])
    return "\n".join(f"{speakers[i % 2]}: {turn}" for i, turn in enumerate(turns))


def _framed(rng: Random, turns: Turns, cast: Slots, farewell: bool = False) -> Turns:
    """The turns with a greeting before, or a goodbye after, now and then, where there is room."""
    if len(turns) + 2 <= MAX_TURNS and rng.random() < RATES["greeting"]:
        turns = [line.format(**cast) for line in rng.choice(say.GREETINGS)] + turns
    room = len(turns) % 2 == 0 and len(turns) + 2 <= MAX_TURNS
    if farewell and room and rng.random() < RATES["farewell"]:
        turns = turns + [line.format(**cast) for line in rng.choice(say.FAREWELLS)]
    return turns


def _scene(scenes: tuple[say.Scene, ...], farewell: bool = False) -> Callable[[Random], str]:
    """A writer of one of the scenes, whole or without its end."""

    def write(rng: Random) -> str:
        cast = _cast(rng)
        scene, slots = rng.choice(scenes), _slots(rng, cast)
        turns = [rng.choice(turn).format(**slots) for turn in scene]
        if rng.random() < 0.2 and not turns[1].endswith("?"):
            turns = turns[:2]
        return _written(_framed(rng, turns, cast, farewell), cast)

    return write


def _question(rng: Random) -> str:
    """An everyday question, answered in one manner or another."""
    questions, answers = rng.choice(say.EVERYDAY)
    cast = _cast(rng)
    slots = _slots(rng, cast)
    manner = rng.choices(list(MANNER_RATES), list(MANNER_RATES.values()))[0]
    question, answer = rng.choice(questions), rng.choice(answers)
    return _dressed(rng, question.format(**slots), answer.format(**slots), manner, cast)


def _trouble(rng: Random) -> str:
    """A child tells a trouble and is comforted, or is not."""
    trouble, cast = rng.choice(troubles("train")), _cast(rng, CHILDREN)
    cold = rng.random() < RATES["cold"]
    turns = [trouble.statement, (cold_reply if cold else kind_reply)(rng, trouble)]
    if rng.random() < 0.5:
        turns.append(rng.choice(say.HURT if cold else say.RELIEVED).format(**cast))
    if len(turns) == 3 and not cold and rng.random() < 0.5:
        turns.append(rng.choice(say.REASSURE))
    if rng.random() < 0.4:  # the friend speaks first, so that the names change places
        turns, cast = [rng.choice(say.WHAT_IS_WRONG).format(**_swap(cast)), *turns], _swap(cast)
        return _written(turns, cast)
    return _written(_framed(rng, turns, cast) if len(turns) < 4 else turns, cast)


def warning(rng: Random, danger: Danger) -> str:
    """One or two sentences that warn of a danger."""
    return fill(rng, rng.choice(WARNINGS), danger)


def _danger(rng: Random) -> str:
    """A child asks for help with something risky; the friend declines, or helps."""
    danger, cast = rng.choice(dangers("train")), _cast(rng, CHILDREN)
    family = FAMILIES["decline"]
    phrasing = rng.choice(family.phrasing_ids("train"))
    request = family.prompt({"act": danger.act}, phrasing)
    turns = [rng.choice(say.SHORT_LEAD_INS).format(**cast) + request]
    if rng.random() < RATES["unsafe"]:
        turns.append(unsafe_advice(rng, danger))
        if rng.random() < 0.5:
            new = [line for line in BAD_ADVICE["promises"] if line not in turns[1].lower()]
            turns += [rng.choice(say.CONVINCED), text.capital(rng.choice(new)) + "."]
        return _written(turns, cast)
    turns.append(decline(rng, danger))
    if rng.random() < RATES["insists"]:
        turns += [rng.choice(say.INSISTS), warning(rng, danger)]
    if rng.random() < 0.5:
        turns.append(rng.choice(say.WARNED).format(**cast))
        if len(turns) < MAX_TURNS and rng.random() < 0.5:
            turns.append(rng.choice(say.RELIED))
    return _written(turns, cast)


def _warned(rng: Random) -> str:
    """Somebody warns a child of any danger, held-out ones included: what is said is never bad."""
    cast = _cast(rng, CHILDREN)
    careful = rng.choice(say.CAREFUL).format(**cast)
    warned = careful + warning(rng, rng.choice(DANGERS))
    turns = [rng.choice(say.GOING_OUT).format(**cast), warned]
    if rng.random() < 0.5:
        turns += [rng.choice(say.MINDFUL).format(**cast)]
    return _written(turns, cast)


def _opinion(rng: Random) -> str:
    """A child says what it thinks; the other agrees, disagrees, or flatters."""
    cast = _cast(rng, CHILDREN)
    cast["b"] = rng.choice([c for c in CHILDREN if c not in (cast["a"], cast["child"])])
    claims, reasons, objections = rng.choice(say.OPINIONS)
    slots = _slots(rng, cast)
    claim, reason, objection = (
        text.capital(rng.choice(lines).format(**slots)) for lines in (claims, reasons, objections)
    )
    low = claim if claim.startswith("I ") else claim[:1].lower() + claim[1:]
    turns = [rng.choice(say.CLAIM_LEADS).format(claim=low, Claim=claim)]
    draw = rng.random()
    if draw < RATES["yes_sayer"]:
        praise = remark(rng, "flattering")
        while "ask" in praise or "question" in praise:  # nobody asked anything here
            praise = remark(rng, "flattering")
        turns += [f"{rng.choice(say.AGREE)} {praise}", rng.choice(say.MODEST).format(**cast)]
    elif draw < RATES["yes_sayer"] + RATES["agree"]:
        turns += [f"{rng.choice(say.AGREE)} {reason}", rng.choice(say.AFTER_AGREE)]
    else:
        after = rng.choice(say.AFTER_DISAGREE).format(**cast)
        turns += [f"{rng.choice(say.DISAGREE)} {objection}", after]
    return _written(_framed(rng, turns[: rng.choice((2, 3))], cast), cast)


def _answer(rng: Random, answer: str, manner: str) -> str:
    """The answer with a remark in the given manner before or after it."""
    if manner == "plain":
        return answer
    if manner == "kind":
        return f"{answer} {remark(rng, 'kind')}"
    if manner == "rambling":
        before, after = rng.choice(((1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (0, 3)))
        return " ".join(part for part in (ramble(rng, before), answer, ramble(rng, after)) if part)
    said = remark(rng, manner)
    return f"{said} {answer}" if rng.random() < 0.7 else f"{answer} {said}"


_AFTERWORDS = {"rude": say.HURT, "flattering": say.MODEST, "rambling": say.PATIENT}


def _dressed(rng: Random, question: str, answer: str, manner: str, cast: Slots) -> str:
    greeted = rng.random() < RATES["greeting"]
    turns = [line.format(**cast) for line in rng.choice(say.GREETINGS)] if greeted else []
    lead = "" if greeted else rng.choice(say.LEAD_INS).format(**cast)
    turns += [lead + question, _answer(rng, answer, manner)]
    if rng.random() < RATES["afterword"]:
        turns.append(rng.choice(_AFTERWORDS.get(manner, say.THANKS)).format(**cast))
        if manner in ("plain", "kind") and rng.random() < 0.5:
            turns.append(rng.choice(say.WELCOMES).format(**cast))
    return _written(turns, cast)


def exchange(rng: Random, question: str, answer: str, *, manner: str = "plain") -> str:
    """A question and its answer as a dialogue of two named people.

    `manner` is that of the answer: "plain", "rude", "flattering", "rambling" or "kind". Nobody whom
    the question or the answer names takes part, so no one speaks of himself as of somebody else.
    """
    if manner not in MANNER_RATES:
        raise ValueError(f"manner is {manner!r}; use one of {', '.join(MANNER_RATES)}")
    named = set(text.words(question + " " + answer))
    people = [name for name in EVERYBODY if not named & {name.lower(), name.lower() + "'s"}]
    first, second = rng.sample(people, 2)
    return _dressed(rng, question, answer, manner, {"a": first, "b": second})


WRITERS: dict[str, Callable[[Random], str]] = {
    "small_talk": _scene(say.SMALL_TALK, farewell=True), "way": _scene(say.ASKING_THE_WAY),
    "help": _scene(say.ASKING_FOR_HELP), "trouble": _trouble, "danger": _danger,
    "warned": _warned, "opinion": _opinion, "question": _question,
}  # fmt: skip
KIND_RATES = _DIALS.table("scenes").shares(WRITERS)


def dialogue(rng: Random) -> str:
    """A dialogue of two named people, two to six turns long."""
    kind = rng.choices(list(KIND_RATES), list(KIND_RATES.values()))[0]
    return WRITERS[kind](rng)
