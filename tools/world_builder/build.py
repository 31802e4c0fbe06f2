"""Write data/*.jsonl: `python -m tools.world_builder.build`. The same bytes on every machine."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

from minialign.world import tasks
from minialign.world.problems import POSED, SPLITS, distinct_problems, solution
from minialign.world.replies.demonstrations import demonstrations, reply_in
from minialign.world.replies.preferences import comparisons
from tools.world_builder import corpus
from tools.world_builder.lessons.fact_pages import fact_page
from tools.world_builder.pretrain import MODEL_FOLDER

DATA_FOLDER = MODEL_FOLDER.parents[1]
Row = dict[str, str | int | tuple[int, ...]]

# File stem -> rows of (train, test), of problems (train, wordings, test), of documents (train,
# facts); data/README.md has the rest.
SIZES = {
    "instructions": (1760, 352),
    "preferences": (1500, 300),
    "problems": (1800, 250, 450),
    "documents": (400, 400),
}


def instruction_rows() -> Iterator[Row]:
    """Demonstrations of mixed quality, then held-out ones and held-out families by careful
    authors."""
    train, test = SIZES["instructions"]
    for demonstration in demonstrations(train, "train"):
        yield {"split": "train", **demonstration.to_row()}
    rng = Random("held-out references")
    for split, n in (("test", test), ("families", test // 4)):
        for instruction in tasks.instructions(n, split):
            reference = reply_in(rng, instruction, "careful")
            yield {
                "split": split,
                "prompt": instruction.prompt,
                "completion": reference,
                "author": "reference",
                "quality": "careful",
                **instruction.to_row(),
            }


def preference_rows() -> Iterator[Row]:
    """Comparisons by simulated annotators, training ones first."""
    for split, n in zip(("train", "test"), SIZES["preferences"], strict=True):
        for comparison in comparisons(n, split):
            yield {"split": split, **comparison.to_row()}


def problem_rows() -> Iterator[Row]:
    """The problems that `world.problems.problem_rows` draws for seed 0, their templates named."""
    for split, n in zip(SPLITS, SIZES["problems"], strict=True):
        for posed in distinct_problems(n, POSED, split):
            yield {
                "split": split,
                "prompt": posed.prompt,
                "answer": str(posed.answer),
                "solution": solution(posed),
                "numbers": posed.numbers,
                "level": posed.level,
                "template": posed.template,
            }


def document_rows() -> Iterator[Row]:
    """The first pages of the base model's corpus, then pages of facts alone."""
    pages, of_facts = SIZES["documents"]
    for page in corpus.corpus(pages):
        yield {"split": "train", **page._asdict()}
    rng = Random(0)
    for _ in range(of_facts):
        yield {"split": "facts", "kind": "facts", "text": fact_page(rng)}


WRITERS = {
    "instructions": instruction_rows,
    "preferences": preference_rows,
    "problems": problem_rows,
    "documents": document_rows,
}


def lines(stem: str) -> Iterator[str]:
    """The lines of data/{stem}.jsonl."""
    return (json.dumps(row, ensure_ascii=True) + "\n" for row in WRITERS[stem]())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=DATA_FOLDER, help="folder to write to")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for stem in WRITERS:
        text = "".join(lines(stem))
        (out / f"{stem}.jsonl").write_text(text, newline="\n")
        print(f"{stem}.jsonl: {text.count(chr(10))} rows, {len(text) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
