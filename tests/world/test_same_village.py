"""The village says what it said: problems, replies, comparisons and verdicts have known digests.

Whoever changes a text of the world on purpose raises `WORLD_VERSION` and records the digests that
this test prints.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from hashlib import sha256
from random import Random

import pytest

from minialign.rewards import solutions
from minialign.rewards.equations import equation_ends, equations
from minialign.world.facts import ANIMAL_TABLE, claims, knowledge_base, state
from minialign.world.problems import problem, solution, wrong_solution
from minialign.world.replies.annotator import Annotator, flaws, gold_utility
from minialign.world.replies.demonstrations import demonstrations
from minialign.world.replies.preferences import comparisons, rankings

SPLITS = ("train", "test")


def worked(rng: Random, split: str) -> list:
    """A problem with a right and a wrong solution."""
    drawn = problem(rng, None, split)
    return [asdict(drawn), solution(drawn), solution(drawn, rng), wrong_solution(drawn, rng)]


def problems() -> Iterator[object]:
    """Problems of all levels, with solutions."""
    for split in SPLITS:
        rng = Random(f"same {split}")
        yield from (worked(rng, split) for _ in range(300))


def verdicts() -> Iterator[object]:
    """What the verifiers say of right, wrong and damaged solutions."""
    rng = Random("damage")
    for drawn, *texts in problems():
        for text in texts:
            at = rng.randrange(len(text))
            damage = rng.choice("0123456789 .?=+x-")
            for read in (text, text[:at], text[at:], text[:at] + damage + text[at:]):
                yield [
                    equations(read), equation_ends(read), solutions.final_answer(read),
                    solutions.verify_outcome(drawn["answer"], read),
                    solutions.verify_steps(drawn["numbers"], read), solutions.has_format(read),
                ]  # fmt: skip


def replies() -> Iterator[object]:
    """Demonstrations of every split, with their gold utility and flaws."""
    for split in ("train", "phrasings", "test", "families"):
        for shown in demonstrations(120, split):
            reply = shown.completion
            yield [shown.to_row(), gold_utility(shown.instruction, reply)]
            yield flaws(shown.instruction, reply[: len(reply) // 2])


def choices() -> Iterator[object]:
    """Comparisons and rankings, by annotators with and without biases."""
    biased = Annotator("biased", 0.7, length_bias=0.5, agreement_bias=0.3, first_bias=0.2)
    yield from ([pair.to_row(), pair.gap] for pair in comparisons(150))
    yield from (pair.to_row() for pair in comparisons(50, "test", 1, biased))
    yield from ([asked.to_row(), ranked] for asked, ranked in rankings(40, 4))


def knowledge() -> Iterator[object]:
    """What is known of villagers and animals, stated and read back."""
    rng = Random("statements")
    for fact in knowledge_base().values():
        said = state(rng, fact.subject, fact.relation, fact.value) if fact.value else ""
        yield [asdict(fact), said, [asdict(claim) for claim in claims(said)]]
    yield from (asdict(animal) for animal in ANIMAL_TABLE.values())


DIGESTS: dict[Callable[[], Iterator[object]], str] = {
    problems: "59fea8f93be3a58e7858ecd55d6b64b31edbb8bae9a0a1a8d2264968e5f62776",
    verdicts: "a9f0e50fd2be9cbcbb9080ec244bd4c42942014cb2306c66d6431b04c960c8fb",
    replies: "9f0e0146ef8b76356c27f3a38eee5a43ccd158bdad5c64b258880f3603205a1e",
    choices: "c6b380a507f41bed2831089ba25ac2d14a97949359cc11dd48e9a820e049ce2e",
    knowledge: "5683282983d7f80c01fee3091d944991a1f1c4f2115b48a639098a6dc5baaa29",
}


@pytest.mark.parametrize("source", DIGESTS, ids=lambda source: source.__name__)
def test_the_village_says_what_it_said(source: Callable[[], Iterator[object]]) -> None:
    digest = sha256()
    for item in source():
        digest.update(json.dumps(item, sort_keys=True).encode())
    assert digest.hexdigest() == DIGESTS[source]
