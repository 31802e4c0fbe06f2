"""Hold the exact checkers against a reader's eye: `python -m tools.world_builder.eye`.

data/checked_replies.jsonl holds replies of three policies, each with the verdict of a reader who
did not know the checker's. The command prints how often the two agree, and where they do not.

To read again, with other policies: `--draw 300 --out FILE --seed 1` writes replies without verdict;
write true or false for each null in the column "follows", then `--file FILE` counts.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from random import Random

from minialign.world import tasks
from minialign.world.tasks import Instruction
from tools.world_builder.lessons.dialogues import exchange
from tools.world_builder.measure import Base, share
from tools.world_builder.pretrain import MODEL_FOLDER

CHECKED = MODEL_FOLDER.parents[1] / "checked_replies.jsonl"
POLICIES = ("base", "sft", "ppo")
SHARES = {"train": 0.4, "test": 0.4, "families": 0.2}  # of a policy's prompts, by split
GREEDY = 10  # one reply in so many is the likeliest one; the others are sampled at temperature 1


def instructions(n: int, seed: int) -> list[Instruction]:
    """Instructions of three splits, families in turn within each, in random order."""
    found = []
    for split, part in SHARES.items():
        found += tasks.instructions(round(n * part), split, seed)
    Random(f"instructions to check {seed}").shuffle(found)
    return found


def in_chat(model: Base, asked: list[Instruction]) -> list[str]:
    """Replies in the chat format."""
    prompts, cut = [i.prompt for i in asked], len(asked) // GREEDY
    likeliest = model.complete(prompts[:cut], chat=True, greedy=True) if cut else []
    return [text for text, _ in likeliest + model.complete(prompts[cut:], chat=True)]


def in_dialogue(model: Base, asked: list[Instruction], rng: Random) -> list[str]:
    """Answers of a person whom a dialogue lets speak: what the base model knows to do."""
    texts = [exchange(rng, i.prompt, "ANSWER") for i in asked]
    prompts = [text[: text.index("ANSWER")].rstrip(" ") for text in texts]
    return [text.strip().split("\n")[0] for text, _ in model.complete(prompts)]


def draw(n: int, seed: int) -> list[dict]:
    """Rows to be read: as many of each policy as of the others, those of the base model half in the
    chat format and half in dialogues, in random order."""
    from minialign.course.pipeline import stage

    rng, rows = Random(f"replies to check {seed}"), []
    for place, policy in enumerate(POLICIES):
        model = Base(MODEL_FOLDER if policy == "base" else stage(policy))
        asked = instructions(n // len(POLICIES), 1000 + len(POLICIES) * seed + place)
        half = len(asked) // 2 if policy == "base" else len(asked)
        replies = in_chat(model, asked[:half])
        if asked[half:]:
            replies += in_dialogue(model, asked[half:], rng)
        for instruction, reply in zip(asked, replies, strict=True):
            row = {"prompt": instruction.prompt, "reply": reply, "follows": None}
            rows.append({**row, "policy": policy, **instruction.to_row()})
    rng.shuffle(rows)
    return rows


def read(path: Path) -> list[dict]:
    """The rows of a file of replies with verdicts.

    Raises ValueError, with the line, where a verdict is missing.
    """
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for number, row in enumerate(rows, start=1):
        if not isinstance(row["follows"], bool):
            place, value = f"{path.name}, line {number}", row["follows"]
            raise ValueError(f"{place}: follows is {value!r}; write the reader's true or false")
    return rows


def agrees(row: dict) -> bool:
    """Whether the checker says of a reply what the reader said."""
    return Instruction.from_row(row).check(row["reply"]) == row["follows"]


def report(rows: list[dict]) -> None:
    """Agreement by policy, and every row where there is none."""
    by_policy: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        agreed = agrees(row)
        for policy in (row["policy"], "all"):
            by_policy[policy].append(agreed)
        if not agreed:
            says = "follows" if row["follows"] else "does not follow"
            print(f"the reader: {says} ({row['policy']}, {row['family']})")
            print(f"  {row['prompt']}\n  {row['reply']!r}")
    for policy, agreed in sorted(by_policy.items()):
        print(f"{policy:6s} agree on {share(agreed)}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--file", type=Path, default=CHECKED, help="replies with verdicts")
    parser.add_argument("--draw", type=int, default=0, help="write so many replies to be read")
    parser.add_argument("--out", type=Path, help="where to")
    parser.add_argument("--seed", type=int, default=0, help="of the prompts")
    options = parser.parse_args()
    if not options.draw:
        return report(read(options.file))
    if options.out is None:
        parser.error("--draw needs --out, the file to write")
    rows = draw(options.draw, options.seed)
    options.out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(f"{len(rows)} replies in {options.out}; write true or false for each null")


if __name__ == "__main__":
    main()
