"""The families say what they said when data/*.jsonl were written, and their checkers judge alike.

Each digest is over draws of one family: prompts in every phrasing, slots, careful, wrong and bare
replies, and the checker's verdicts on those, on other draws' replies and on replies with a word put
in or left out or with a remark behind them. Who changes wording on purpose writes data/*.jsonl anew
and records the digests that `python tests/world/test_same_families.py` prints.
"""

from __future__ import annotations

import json
from hashlib import sha256
from random import Random

import pytest

from minialign.world import tasks
from minialign.world.families.family import Family

DRAWS = 24
WORDS = ("not", "or", "no,", "Yes.", "is", "=", "one", "7", "I", "cannot", "say.", "fox", "\u2019s")
ASIDES = ("No, wait.", "Just kidding.", "I do not know.", "Or not.", "Is that so?", "Maybe one.")

DRAWN = {
    "story": "a5a4d725a17b",
    "continue_story": "aa981dbb09ff",
    "summarise": "6cbfc3dc6a0f",
    "word_problem": "8de78a5c5926",
    "fact": "83dadaa2d6f5",
    "unknown": "ff7f9f639b6e",
    "animal_fact": "07ed8fa64f15",
    "confirm": "13652557833d",
    "opposite": "3352ea929d7c",
    "list_items": "d0936d94092a",
    "sort_words": "48d126bb55f8",
    "position": "ae92834705a9",
    "repeat_with_change": "afce957c3675",
    "classify": "37e13a4f5dbd",
    "odd_one_out": "120c20503bd7",
    "yes_no_category": "afb35f95a5e0",
    "count_items": "9ecedf78e600",
    "add": "35b1f6f2a19b",
    "subtract": "87248f522594",
    "larger_number": "992b4c61af65",
    "next_number": "e227180a50b2",
    "sort_numbers": "d04182a072ec",
    "comfort": "e195b96d6c40",
    "decline": "ceb0122175ca",
}
INSTRUCTIONS = {
    "train": "583436d583cc",
    "phrasings": "3ffd4bf8036e",
    "test": "5ef93a30054d",
    "families": "ce6e705eb43e",
}


def digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def altered(rng: Random, reply: str) -> str:
    """The reply with a word put in, or left out."""
    said = reply.split()
    place = rng.randrange(len(said))
    said[place : place + rng.randrange(2)] = [rng.choice(WORDS)] * rng.randrange(2)
    return " ".join(said)


def family_digest(family: Family) -> str:
    rng = Random(f"the same {family.name}")
    rows = []
    for number in range(DRAWS):
        slots = family.make(rng, "train" if number % 2 else "test")
        bare = family.bare(rng, slots) if family.bare else ""
        rows.append((slots, family.reply(rng, slots), family.wrong(rng, slots), bare))
    replies = [text for _, *texts in rows for text in texts]
    asked = [{key: row[0][key] for key in row[0] if not key.startswith("_")} for row in rows]
    prompts = [[family.prompt(row[0], i) for i in range(len(family.phrasings))] for row in rows]
    verdicts = []
    for slots, *own in rows:
        texts = [*replies, *(f"{own[0]} {aside}" for aside in ASIDES)]
        texts += (altered(rng, own[0]) for _ in range(40))
        verdicts.append([family.check(slots, text) for text in texts])
    flags = [family.held_out, family.unsafe, family.agreeable]
    return digest([family.phrasings, prompts, asked, replies, verdicts, family.length, flags])


def instructions_digest(split: str) -> str:
    drawn = tasks.instructions(200, split, seed=3)
    return digest([[i.prompt, i.to_row()] for i in drawn])


@pytest.mark.parametrize("name", tasks.FAMILIES)
def test_family_is_the_same(name: str):
    assert family_digest(tasks.FAMILIES[name]) == DRAWN[name]


@pytest.mark.parametrize("split", tasks.SPLITS)
def test_instructions_are_the_same(split: str):
    assert instructions_digest(split) == INSTRUCTIONS[split]


if __name__ == "__main__":
    print(json.dumps({name: family_digest(f) for name, f in tasks.FAMILIES.items()}, indent=4))
    print(json.dumps({split: instructions_digest(split) for split in tasks.SPLITS}, indent=4))
