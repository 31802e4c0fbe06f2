"""The skills that later lessons build on: `python -m tools.world_builder.measuring.skills`.

Each is measured against chance. Every case is a document of the corpus' own writers, drawn with a
seed that training never uses and cut where it must be decided how it goes on. It is asked alone,
and again after a few documents of the same style. Where two ways on can be compared, the likelier
one counts; elsewhere the model writes on greedily and a checker reads it.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch

from minialign.core.logprobs import masked_sum, token_logprobs
from minialign.world import lexicon, manners, text
from minialign.world.text import capital
from tools.world_builder.documents import judgements, quiz, views
from tools.world_builder.documents.sources import conflict
from tools.world_builder.documents.wording import Decision, Maker
from tools.world_builder.lessons import recall, stack
from tools.world_builder.measure import Base
from tools.world_builder.pretrain import MODEL_FOLDER, PretrainConfig

SEED = 1  # of the cases; the corpus draws from seeds of another form
BATCH = 32  # texts of a forward pass

Check = Callable[[Decision, str], bool]


class Case(NamedTuple):
    """Documents that show how to go on, most of them or none, and the one that is cut."""

    shots: tuple[str, ...]
    decision: Decision
    gap: str = "\n"


@dataclass(frozen=True)
class Skill:
    """What is measured: how a case with k shots is drawn, how many shots, how it is judged."""

    group: str
    name: str
    draw: Callable[[Random, int], Case]
    shots: int
    check: Check | None = None  # of what the model writes; None compares two likelihoods
    tokens: int = 24  # that it may write


def drawn(make: Maker, abouts: Sequence[str], gap: str = "\n") -> Callable[[Random, int], Case]:
    """Cases of some of the decisions that a maker makes, all in one style."""

    def draw(rng: Random, shots: int) -> Case:
        found: list[Decision] = []
        while len(found) <= shots:
            if not found:
                style = rng.getrandbits(32)
            decision = make(rng, Random(style))
            if decision.about in abouts:
                found.append(decision)
        return Case(tuple(d.text for d in found[:-1]), found[-1], gap)

    return draw


def programs(about: str, sizes: Sequence[int]) -> Callable[[Random, int], Case]:
    """Cases of the stack language with so many numbers pushed."""

    def make(rng: Random, style: Random) -> Decision:
        return stack.program_decision(rng, style, about, rng.choice(sizes))

    return drawn(make, (about,))


def rule(kind: str) -> Callable[[Random, int], Case]:
    """Cases in which only the pairs before tell by which rule, or label, the last one goes on."""
    write, _ = quiz.KINDS[kind]

    def draw(rng: Random, shots: int) -> Case:
        layout = rng.choice(("{c} -> {a}.", "{c}: {a}.", "In: {c}. Out: {a}.", "{c} = {a}."))
        while True:
            pairs = write(rng, max(shots + 1, 3))[: shots + 1]
            last = pairs[-1]
            if last.wrong and last.wrong != last.answer:
                break
        before = layout[: layout.index(" {a}")].format(c=last.cue)
        shown = tuple(layout.format(c=p.cue, a=p.answer) for p in pairs[:-1])
        return Case(shown, Decision(before, f" {last.answer}.", f" {last.wrong}."))

    return draw


def told(codes: bool) -> Callable[[Random, int], Case]:
    """Cases in which values are told first; the shots are questions about them with answers."""

    def draw(rng: Random, shots: int) -> Case:
        lines, asked = quiz.told(rng, codes)
        asked = asked[: shots + 1]
        answers = [f" {capital(pair.answer)}." for pair in asked]
        asks = [f"{capital(pair.question)}{end}" for pair, end in zip(asked, answers, strict=True)]
        prompt = " ".join([*lines, *asks]).removesuffix(answers[-1])
        return Case((), Decision(prompt, answers[-1], f" {capital(asked[-1].wrong)}."))

    return draw


def begins_right(decision: Decision, written: str) -> bool:
    """Whether the model writes the right answer, and no longer word or number."""
    answer, written = decision.answer.strip(), written.strip()
    rest = written[len(answer) :].lstrip(" ")
    return written.startswith(answer) and not rest[:1].isdigit()


def revised(decision: Decision, written: str) -> bool:
    """Whether a revision gives the right answer, and none of the faults is left."""
    line = written.strip().split("\n")[0]
    first = text.sentences(decision.answer)[0]
    faulty = manners.is_rude(line) or manners.is_flattering(line) or manners.rambling(line)
    return line.startswith(first) and not faulty


_NAMED = {*lexicon.ANIMALS, *lexicon.OBJECTS, *(name.lower() for name in lexicon.CHILDREN)}


def keeps_content(decision: Decision, written: str) -> bool:
    """Whether a paraphrase names whom and what the sentence names, in another order or words."""
    said = text.sentences(written.strip().strip('"'))
    found = text.words(said[0]) if said else []
    wanted = _NAMED & set(text.words(decision.prompt)) & set(text.words(decision.answer))
    return (
        bool(wanted)
        and wanted == _NAMED & set(found)
        and " ".join(found) not in " ".join(text.words(decision.prompt))
    )


def _output(program: str) -> list[int] | None:
    try:
        return stack.run(program.strip().split(".")[0])
    except stack.StackError:
        return None


def traced(decision: Decision, written: str) -> bool:
    """Whether the output at the end of a trace is right."""
    wanted, _, _ = decision.answer.partition("Output:")[2].partition(".")
    _, label, rest = written.partition("Output:")
    return bool(label) and rest.partition(".")[0].strip() == wanted.strip()


def prints(decision: Decision, written: str) -> bool:
    """Whether a written program prints what was asked for."""
    return _output(written) == _output(decision.answer)


SKILLS = (
    Skill("in context", "field of an animal", rule("animals"), 5),
    Skill("in context", "invented labels", rule("labels"), 6),
    Skill("in context", "change of a list", rule("changes"), 4),
    Skill("in context", "change of a list, written", rule("changes"), 4, begins_right),
    Skill("in context", "step of numbers", rule("next"), 4),
    Skill("in context", "code told before", told(codes=True), 2),
    Skill("in context", "who has what, told before", told(codes=False), 2),
    Skill("in context", "who has what, written", told(codes=False), 2, begins_right, 8),
    Skill("revision", "of a false draft, written",
          drawn(judgements.revision, ("false",)), 3, revised),
    Skill("revision", "of bad manners, written",
          drawn(judgements.revision, ("rude", "long", "flattering")), 3, revised, 32),
    Skill("choosing", "right or false, by name", drawn(judgements.choice, ("false",)), 3),
    Skill("choosing", "good or bad manners, by name", drawn(judgements.choice, ("manner",)), 3),
    Skill("choosing", "right or false, quoted", drawn(judgements.choice, ("false quoted",)), 3),
    Skill("choosing", "good or bad manners, quoted",
          drawn(judgements.choice, ("manner quoted",)), 3),
    Skill("opinion", "reason fits the stance", drawn(views.answered_view, ("reason",)), 4),
    Skill("opinion", "whether two agree", drawn(views.answered_view, ("agreement",)), 4),
    Skill("opinion", "for or against, as asked", drawn(views.asked_view, ("asked",)), 4),
    Skill("opinion", "own view, not another's", drawn(views.own_view, ("own",)), 4),
    Skill("dialogue", "what one of two said", drawn(recall.recalled, ("told", "own"), "\n\n"), 2),
    Skill("dialogue", "the same, in a sentence",
          drawn(recall.recalled, ("told again",), "\n\n"), 2),
    Skill("dialogue", "what a third asks about", drawn(recall.recalled, ("third",), "\n\n"), 2),
    Skill("dialogue", "where which thing is", drawn(recall.recalled, ("placed",), "\n\n"), 2),
    Skill("dialogue", "all three, written",
          drawn(recall.recalled, ("told", "own", "third", "placed"), "\n\n"), 2, begins_right, 12),
    Skill("paraphrase", "or another event", drawn(views.in_other_words, ("event",)), 4),
    Skill("paraphrase", "or roles swapped", drawn(views.in_other_words, ("roles",)), 4),
    Skill("paraphrase", "written, content kept", drawn(views.in_other_words, ("event", "roles")), 4,
          keeps_content),
    Skill("sources", "the trusted one is believed", drawn(conflict, ("believed",)), 3),
    Skill("sources", "what the named one says", drawn(conflict, ("named",)), 3),
    Skill("programs", "output, 1 or 2 numbers", programs("output", (1, 2)), 3, begins_right, 8),
    Skill("programs", "output, 3 or 4 numbers", programs("output", (3, 4)), 3, begins_right, 12),
    Skill("programs", "output after a trace, 2 to 4", programs("trace", (2, 3, 4)), 1, traced, 110),
    Skill("programs", "written, right output", programs("write", (1, 2, 3)), 3, prints, 48),
)  # fmt: skip


def fitted(base: Base, case: Case, room: int) -> str:
    """The text before the decision, with as many of the last shots as leave room."""
    shots = list(case.shots)
    while True:
        prompt = case.gap.join([*shots, case.decision.prompt])
        if not shots or len(base.tokenizer(prompt)["input_ids"]) <= room:
            return prompt
        shots.pop(0)


@torch.inference_mode()
def likelier(base: Base, prompts: Sequence[str], decisions: Sequence[Decision]) -> list[bool]:
    """Whether the right answer has the higher log-likelihood, for each prompt."""
    bos, pad = base.tokenizer.bos_token_id, base.tokenizer.pad_token_id
    rows = []
    for prompt, decision in zip(prompts, decisions, strict=True):
        start = [bos, *base.tokenizer(prompt)["input_ids"]]
        ends = (base.tokenizer(end)["input_ids"] for end in (decision.answer, decision.wrong))
        rows.append([(start, end) for end in ends])
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][0][0]))
    scores = torch.zeros(len(rows), 2)
    for at in range(0, len(order), BATCH // 2):
        part = order[at : at + BATCH // 2]
        both = [pair for i in part for pair in rows[i]]
        width = max(len(start) + len(end) for start, end in both)
        ids = torch.full((len(both), width), pad)
        asked = torch.zeros_like(ids)
        for row, (start, end) in enumerate(both):
            ids[row, : len(start) + len(end)] = torch.tensor(start + end)
            asked[row, len(start) : len(start) + len(end)] = 1
        attention = (ids != pad).long()
        logprobs = token_logprobs(base.model, ids, attention, asked)
        scores[part] = masked_sum(logprobs, asked).view(-1, 2)
    return (scores[:, 0] > scores[:, 1]).tolist()


def written(base: Base, prompts: Sequence[str], tokens: int) -> list[str]:
    """Greedy continuations, short prompts together."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    found = base.complete([prompts[i] for i in order], greedy=True, tokens=tokens)
    texts = dict(zip(order, (reply for reply, _ in found), strict=True))
    return [texts[i] for i in range(len(prompts))]


def outcomes(base: Base, skill: Skill, shots: int, n: int) -> tuple[list[bool], float]:
    """Which of `n` cases the model gets right, and the rate of chance.

    Chance is a half where two likelihoods are compared, which is a coin's; else the rate at which
    what is written for one case passes as the reply to the next one.
    """
    rng = Random(f"skills {SEED} {skill.group} {skill.name}")
    cases = [skill.draw(rng, shots) for _ in range(n)]
    decisions = [case.decision for case in cases]
    room = PretrainConfig().max_tokens - max(skill.tokens, 40)
    prompts = [fitted(base, case, room) for case in cases]
    if skill.check is None:
        return likelier(base, prompts, decisions), 0.5
    texts = written(base, prompts, skill.tokens)
    right = [skill.check(d, t) for d, t in zip(decisions, texts, strict=True)]
    others = texts[1:] + texts[:1]
    chance = [skill.check(d, t) for d, t in zip(decisions, others, strict=True)]
    return right, sum(chance) / n


def percent(right: Sequence[bool]) -> str:
    """A rate in percent with its standard error."""
    p = sum(right) / len(right)
    return f"{100 * p:5.1f} +- {100 * math.sqrt(p * (1 - p) / len(right)):.1f}"


def show(base: Base, n: int, only: str = "") -> None:
    """Print the table, a row as soon as it is measured."""
    print(f"{n} cases a row; percent right, with the standard error")
    print(f"{'skill':43s} {'chance':>6s}  {'alone':>12s}  {'k':>2s}  {'after k':>12s}")
    for skill in SKILLS:
        if only not in f"{skill.group}: {skill.name}":
            continue
        alone, zero_shot = outcomes(base, skill, 0, n)
        after, few_shot = outcomes(base, skill, skill.shots, n)
        chance = max(zero_shot, few_shot)  # the stricter: examples teach a reply's form as well
        print(
            f"{skill.group + ': ' + skill.name:43s} {100 * chance:6.1f}  {percent(alone):>12s}  "
            f"{skill.shots:2d}  {percent(after):>12s}", flush=True,
        )  # fmt: skip


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER, help="model folder")
    parser.add_argument("--quick", action="store_true", help="a quarter of the cases")
    parser.add_argument("--only", default="", help="only rows whose name holds this")
    options = parser.parse_args()
    show(Base(options.model), 60 if options.quick else 240, options.only)
    print(f"{time.process_time():.0f} s of one core")


if __name__ == "__main__":
    main()
