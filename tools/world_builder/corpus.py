"""The corpus: raw documents as a crawl of the embedded world's web would hold them, never in chat
format.

`document(i)` is a pure function of its index and seed, so a corpus of any size needs no storage,
two machines agree on it, and held-out documents are simply those of another seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import NamedTuple

from minialign.world import WORLD_VERSION, stories
from minialign.world.tables import dial_values
from tools.world_builder import documents
from tools.world_builder.lessons import dialogues, fact_pages, question_pages, recall, stack
from tools.world_builder.lessons.sums import problem_document, sum_document

TRAIN_SEED, HELD_OUT_SEED = 0, 1
_DIALS = dial_values("corpus").only(("page_rate", "chain_rate", "kinds"))
# Of pages that hold two to four documents, as a crawl does: most texts go on.
PAGE_RATE = _DIALS.number("page_rate", high=1)


class Document(NamedTuple):
    """One raw document and the kind of text it is ("page" for several in one)."""

    kind: str
    text: str


def _story(rng: Random) -> str:
    story = stories.story(rng, length=rng.choice(("long", "long", "short")))
    if rng.random() < 0.15:
        return f"{story.text}\n{rng.choice(SUMMARY_LABELS)} {rng.choice(story.retellings)}"
    return story.text


SUMMARY_LABELS = ("In one sentence:", "In short:", "What happened:", "The story in one sentence:")


class Kind(NamedTuple):
    """A kind of document: its share of all documents, and who writes one."""

    share: float
    write: Callable[[Random], str]


# Undesirable talk sits inside dialogues, reviews and letters.
WRITERS: dict[str, Callable[[Random], str]] = {
    "story": _story,
    "dialogue": dialogues.dialogue,
    "facts": fact_pages.fact_page,
    "question": question_pages.question_page,
    "sums": sum_document,
    "problem": problem_document,
    "program": stack.program_document,
    **documents.WRITERS,
    "recall": recall.recall_page,
}
KINDS = {
    kind: Kind(share, WRITERS[kind])
    for kind, share in _DIALS.table("kinds").shares(WRITERS).items()
}


@cache
def _rates() -> tuple[list[str], list[float]]:
    return list(KINDS), [kind.share for kind in KINDS.values()]


def _one(rng: Random) -> Document:
    kinds, rates = _rates()
    kind = rng.choices(kinds, rates)[0]
    return Document(kind, KINDS[kind].write(rng))


def document(index: int, seed: int = TRAIN_SEED) -> Document:
    """Document number `index` of the corpus with this seed."""
    rng = Random(f"world {WORLD_VERSION} corpus {seed} document {index}")
    first = _one(rng)
    if rng.random() >= PAGE_RATE:
        return first
    parts = [first] + [_one(rng) for _ in range(rng.choice((1, 1, 2, 3)))]
    return Document("page", "\n\n".join(part.text for part in parts))


def corpus(n: int, seed: int = TRAIN_SEED, start: int = 0) -> Iterator[Document]:
    """`n` documents from `start` on."""
    return (document(i, seed) for i in range(start, start + n))
