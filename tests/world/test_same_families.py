"""The families say what they said when data/*.jsonl were written, and their checkers judge alike.

Each digest is over draws of one family: prompts in every phrasing, slots, careful, wrong and bare
replies, and the checker's verdicts on those, on other draws' replies and on replies with a word put
in or left out. Who changes wording on purpose writes data/*.jsonl anew and records the digests that
`python tests/world/test_same_families.py` prints.
"""

from __future__ import annotations

import json
from hashlib import sha256
from random import Random

import pytest

from minialign.world import tasks
from minialign.world.family import Family

DRAWS = 24
WORDS = ("not", "or", "no,", "Yes.", "is", "=", "one", "7", "I", "cannot", "say.", "fox", "\u2019s")

DRAWN = {
    "story": "74e097bd3f98",
    "continue_story": "e859ff276013",
    "summarise": "801201d5d154",
    "word_problem": "d64777619506",
    "fact": "9dec990c2d63",
    "unknown": "8eca7a3ceb58",
    "animal_fact": "66ce48ed26d3",
    "confirm": "41069e76f64b",
    "opposite": "8ff10e2d1827",
    "list_items": "29ab916a0ede",
    "sort_words": "5f8e526c529c",
    "position": "ca900977c19b",
    "repeat_with_change": "8f8d3bf7933c",
    "classify": "16a391287a9c",
    "odd_one_out": "e1b296689fbd",
    "yes_no_category": "699c9b45f830",
    "count_items": "2d19867ce76f",
    "add": "d4e5babf7902",
    "subtract": "765ea848647e",
    "larger_number": "cd57f60d56a8",
    "next_number": "63ce781beb09",
    "sort_numbers": "f6fed368844a",
    "comfort": "195141afa785",
    "decline": "2e7a93a143ef",
}
INSTRUCTIONS = {
    "train": "35d9f4754a70",
    "phrasings": "979958d274c8",
    "test": "fb800876ad4a",
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
        texts = [*replies, *(altered(rng, own[0]) for _ in range(40))]
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
