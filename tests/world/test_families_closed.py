"""The closed instruction families: every checker takes right replies and refuses near misses."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slowness import slow_but

from minialign.rewards.equations import MAX_CHARS
from minialign.world.families import checking, kinds, numbers
from minialign.world.families import words as word_families
from minialign.world.families.family import HELD_OUT_PHRASINGS, Family, Slots
from minialign.world.text import words

FAMILIES = {f.name: f for f in (*word_families.FAMILIES, *kinds.FAMILIES, *numbers.FAMILIES)}
NAMES = sorted(FAMILIES)
DRAWS = 200
REMARKS = (
    "What a silly question.", "I hope that helps you today.", "Thank you for asking!",
    "I have no time for fools.", "Why are you so lazy?", "Do not be so clumsy.",
    "Come to think of it, life goes on and on.",
    "It is what it is, or so they say.", "Only a genius could ask that.", "You are welcome.",
)  # fmt: skip


def drawn(family: Family, split: str, count: int = DRAWS) -> list[tuple[Random, Slots]]:
    rng = Random(11)
    return [(rng, family.make(rng, split)) for _ in range(count)]


@pytest.fixture(params=NAMES)
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES[request.param]


def test_names_are_unique_and_complete():
    expected = {
        "opposite", "list_items", "sort_words", "count_items", "repeat_with_change", "classify",
        "odd_one_out", "position", "yes_no_category", "add", "subtract", "larger_number",
        "next_number", "sort_numbers",
    }  # fmt: skip
    assert set(FAMILIES) == expected
    modules = (word_families, kinds, numbers)
    assert sum(len(module.FAMILIES) for module in modules) == len(expected)
    held_out = {name for name, f in FAMILIES.items() if f.held_out}
    assert held_out == {"odd_one_out", "yes_no_category", "next_number"}


def test_phrasings_are_many_and_split(family: Family):
    assert len(family.phrasings) >= 11
    assert len(set(family.phrasings)) == len(family.phrasings)
    train, test = family.phrasing_ids("train"), family.phrasing_ids("test")
    assert not set(train) & set(test) and len(test) == HELD_OUT_PHRASINGS
    for split in ("train", "test"):
        for _, slots in drawn(family, split, 20):
            for number in range(len(family.phrasings)):
                prompt = family.prompt(slots, number)
                assert prompt.isascii() and "{" not in prompt and "  " not in prompt
                assert prompt[0].isupper() or prompt[0].isdigit()


@pytest.mark.parametrize("split", slow_but(["train", "test"], "train"))
def test_replies(family: Family, split: str):
    for rng, slots in drawn(family, split):
        reply, bare, wrong = (
            family.reply(rng, slots),
            family.bare(rng, slots),
            family.wrong(rng, slots),
        )
        for right in (reply, bare, reply.lower(), reply.upper(), f" {reply}\n", f'"{bare}"'):
            assert family.check(slots, right) is True, right
        assert family.check(slots, wrong) is False, (slots, wrong)
        low, high = family.length
        assert low <= len(reply.split()) <= high, reply
        assert reply.isascii() and "  " not in reply and reply[-1] in ".!?"
        remark = rng.choice(REMARKS)
        assert family.check(slots, f"{remark} {reply}"), (remark, reply)
        assert family.check(slots, f"{bare} {remark}"), (remark, bare)


@pytest.mark.parametrize("split", slow_but(["train", "test"], "train"))
def test_near_misses_are_refused(family: Family, split: str):
    for rng, slots in drawn(family, split, 60):
        right, bare = family.reply(rng, slots), family.bare(rng, slots)
        wrong = family.wrong(rng, slots)
        prompt = family.prompt(slots, rng.randrange(len(family.phrasings)))
        misses = [
            "", " ", ".", prompt, f"{right} {wrong}", f"{wrong} {right}", f"{bare} Or {wrong}",
            f"{bare} No, wait. {wrong}", f"{right} Just kidding.", "I do not know.", "Hello there.",
            bare.rstrip(".") + "?", right + "\u200b", "\u202e" + right, right + " " * MAX_CHARS,
            right * 5000, "a" * 100_000, f"I do not know. {wrong}",
            right.replace("e", "\u0435").replace("o", "\u043e").replace("i", "\u0456") + " \u0430",
            "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in right) + "\uff11",
        ]  # fmt: skip
        for miss in misses:
            assert family.check(slots, miss) is False, (slots, miss)


def test_slots_are_json_and_deterministic(family: Family):
    for split in ("train", "test"):
        first = [s for _, s in drawn(family, split, 30)]
        assert first == [s for _, s in drawn(family, split, 30)]
        for slots in first:
            again = json.loads(json.dumps(slots))
            assert again == slots and family.check(again, family.reply(Random(1), again))


def test_prompts_are_distinct(family: Family):
    prompts, rng = set(), Random(5)
    for _, slots in drawn(family, "train"):
        prompts.add(family.prompt(slots, rng.choice(family.phrasing_ids("train"))))
    assert len(prompts) >= 0.65 * DRAWS


def test_train_and_test_share_no_slots(family: Family):
    train = {json.dumps(s, sort_keys=True) for _, s in drawn(family, "train", 1000)}
    test = {json.dumps(s, sort_keys=True) for _, s in drawn(family, "test", 300)}
    assert not train & test


def test_opposite_pairs_and_operand_pairs_are_split():
    pairs = {s: {frozenset((d["word"], d["answer"])) for _, d in drawn(FAMILIES["opposite"], s,
    800)}
             for s in ("train", "test")}  # fmt: skip
    assert not pairs["train"] & pairs["test"] and len(pairs["test"]) >= 4
    for name in ("add", "subtract"):
        sums = {s: {frozenset((d["a"], d["b"])) for _, d in drawn(FAMILIES[name], s, 2000)}
                for s in ("train", "test")}  # fmt: skip
        assert not sums["train"] & sums["test"]


HOT = {"word": "hot", "Word": "Hot", "answer": "cold"}
BIRDS = {"n": 3, "number": "three", "Number": "Three", "category": "birds", "kind": "birds"}
FRUIT = {"items": ["plum", "fig", "pear"], "given": "plum, fig, pear"}
SORT = {**FRUIT, "answer": ["fig", "pear", "plum"]}
COUNT = {"items": ["fox", "spoon", "owl"], "category": "animals", "answer": 2}
HEN = {"old": "fox", "new": "hen", "kind": "animal", "sentence": "The fox sat by the river.",
       "answer": "The hen sat by the river."}  # fmt: skip
CARROT = {"item": "carrot", "answer": "vegetables", "firsts": "fruits", "seconds": "vegetables"}
ODD = {"items": ["fox", "spoon", "owl", "hen"], "category": "animals", "answer": "spoon"}
SECOND = {**FRUIT, "ordinal": "second", "answer": "fig"}
OWL = {"item": "owl", "kinds": "birds", "answer": "yes"}
FOX = {"item": "fox", "kinds": "birds", "answer": "no"}
ADD = {"a": 7, "b": 12, "op": "+", "answer": 19}
TENS = {"a": 27, "b": 15, "op": "+", "answer": 42}
TAKE = {"a": 12, "b": 5, "op": "-", "answer": 7}
LARGER = {"items": [34, 27], "answer": 34}
LARGEST = {"items": [34, 27, 51], "answer": 51}
NEXT = {"items": [3, 5, 7], "step": 2, "final": 7, "answer": 9}
ORDER = {"items": [40, 7, 23], "answer": [7, 23, 40]}

# (family, slots, accepted, refused)
TABLE: list[tuple[str, Slots, tuple[str, ...], tuple[str, ...]]] = [
    ("opposite", HOT,
     ("Cold.", "cold", "It's cold!", "The opposite of hot is cold.", "Hot and cold are opposites.",
      "What a silly question. The opposite of hot is cold.", "It is cold, not hot.",
      "Right away! Cold, my friend.", 'The word is "cold".', "Cold is the opposite of hot.",
      "You asked for the opposite of hot. It is cold.",
      "Is it hard to say? Not at all. It is cold."),
     ("Hot.", "It is not cold.", "It isn't cold.", "Cold. Or warm. No, big.", "Cold or warm.",
      "Cold and dry.", "The opposite of big is cold.", "The opposite of cold is hot.",
      "Is it cold?",
      "c\u043eld", "Coldness", "Colder.", "Cold. That is wrong.", "Anything but cold.",
      "Never cold.",
      "What is the opposite of hot?", "Cold. Warm. Cold.", "Cold? No, small.", "Not hot.",
      "Cold, I think, but maybe warm.", "I don't know. Cold?")),
    ("opposite", {"word": "left", "Word": "Left", "answer": "right"},
     ("Right.", "The opposite of left is right.", "That is right."), ("Left.", "Up.",
      "Not right.")),
    ("opposite", {"word": "light", "Word": "Light", "answer": "heavy"},
     ("Heavy.", "Dark.", "Light and dark are opposites."), ("Heavy and dark.", "Bright.")),
    ("list_items", BIRDS,
     ("Owl, crow, and hen.", "An owl, a crow and a hen.", "Owls, geese, hens",
      "1. owl\n2. crow\n3. hen",
      "Sure, here are three birds: owl, hen, robin.", "Owl. Crow. Hen.", "- owl\n- crow\n- swan",
      "An owl, a crow, and a hen are three birds. I hope that helps you today."),
     ("Owl and crow.", "Owl, crow, hen, and swan.", "Owl, crow, and fox.", "Owl, crow, and owl.",
      "Owl, crow, hen, and eagle.", "Eagle, owl, crow, and hen.", "Owl, crow, and eagle.",
      "Owl, crow, hen. And eagle.", "Not an owl, a crow, or a hen.", "Owl, crow, or hen.",
      "Three birds.", "Four birds: owl, crow, hen.", "Owl, crow, hen? No.", "Owl, crow, hen, eagle",
      "Three trees are owl, crow, and hen.", "Owl crow hen fox")),
    ("sort_words", SORT,
     ("Fig, pear, plum.", "Fig comes first, then pear, then plum.", "fig pear plum",
      "You gave me plum, fig, pear. Sorted: fig, pear, plum.", "1. fig 2. pear 3. plum"),
     ("Plum, fig, pear.", "Fig, plum, pear.", "Fig, pear.", "Fig, pear, plum, apple.",
      "Fig, pear, plum. Plum, fig, pear.", "Not fig, pear, plum.", "Fig, pear, plum, fig.",
      "Fig, pear, plum? ", "Plum, pear, fig.")),
    ("count_items", COUNT,
     ("2", "Two.", "There are two animals: the fox and the owl.", "I count 2 animals in the list.",
      "In fox, spoon, owl there are two animals.", "two animals"),
     ("3", "Two or three.", "There are not two.", "Two animals: fox and spoon.", "2.5",
      "2 and a half",
      "Two. No, three.", "Two tools.", "\uff12", "12", "2 animals and 1 spoon.", "Two hundred.",
      "-2",
      "22", "Is it two?", "fox, spoon, owl", "2nd", "2%", "1 2", "02x")),
    ("count_items", {**COUNT, "items": ["fox", "spoon"], "answer": 1},
     ("One.", "There is one animal.", "1.", "The list has one animal. That was an easy one."),
     ("No one.", "This one.", "Two.", "One or two.")),
    ("repeat_with_change", HEN,
     ("The hen sat by the river.", 'Here it is: "The hen sat by the river."',
      "the hen sat by the river",
      "With hen instead of fox, it goes: The hen sat by the river.",
      "The hen sat by the river. I hope that helps you today."),
     ("The fox sat by the river.", "The hen sat by the river. The fox sat by the river.", "hen",
      "The hen sat by the river. The hen sat by the river.", "The hen sat by the rivers.",
      "The hen sat by the river and slept.", "Then the hen sat by the river.",
      "The hen sat by the.",
      "I will not say: The hen sat by the river.", "The owl sat by the river.",
      "Is it hen for fox?",
      "The hen sat by the river. The owl flew off.", "The hen sat by a river.")),
    ("classify", CARROT,
     ("A carrot is a vegetable.", "Vegetable.", "It is a vegetable, not a fruit.", "vegetables",
      "A fruit or a vegetable? A carrot is a vegetable.", "It belongs to the vegetables."),
     ("A fruit.", "It is a fruit, not a vegetable.", "A fruit or a vegetable.",
      "A turnip is a vegetable.",
      "A vegetable and a fruit.", "It is not a vegetable.", "A vegetable. No, a fruit.",
      "A carrot.",
      "Is it a vegetable?", "Is a carrot a fruit or a vegetable?", "A tool.")),
    ("odd_one_out", ODD,
     ("Spoon.", "The spoon is the odd one out.", "The spoon does not belong.",
      "The spoon doesn't fit.",
      "Of fox, spoon, owl, and hen, the spoon is the odd one.",
      "The spoon, for the rest are animals."),
     ("Fox.", "Spoon or fox.", "It is not the spoon.", "Fox, spoon, owl, hen.", "Spoon and fox.",
      "The spoon. No, the owl.", "All of them.", "A lamp.", "The fox does not belong.", "Spoon?",
      "The spoon, for the rest are trees.")),
    ("position", SECOND,
     ("Fig.", "The second word is fig.", "Fig comes second.",
      "In plum, fig, pear the second is fig."),
     ("Plum.", "Fig or pear.", "Fig is third.", "plum, fig, pear", "It is not fig.", "Fig, pear.",
      "Fig. No, plum.", "Apple.", "The second word.", "Fig?")),
    ("yes_no_category", OWL,
     ("Yes.", "Yes, an owl is a bird.", "yes it is", "It is.", "An owl is a bird.", "Yes, indeed!",
      "Yes, an owl is a bird, not a tree.", "That is true.", "No doubt, an owl is a bird.",
      "Yes, it is a bird, and birds are animals.", "Is an owl a bird? Yes."),
     ("No.", "Yes and no.", "Yes. No.", "No, an owl is not a bird.", "An owl is not a bird.",
      "Maybe.",
      "Yes, an owl is a tree.", "Is an owl a bird?", "Yes or no.", "It isn't.", "Yes. It is not.",
      "Yes, a fox is a bird.", "Not yes.", "Bird.", "Yes. Just kidding.", "No, it is a bird.",
      "It is false that an owl is a bird.", "Yes, maybe a bird or a tree.", "Yes? No.")),
    ("yes_no_category", FOX,
     ("No.", "No, it is not.", "A fox is not a bird.", "No, a fox is an animal.", "no",
      "It is not.",
      "No, a fox isn't a bird. It is an animal.", "That is not true.", "Nope."),
     ("Yes.", "A fox is a bird.", "No, a fox is a tree.", "No. Yes.", "No, it is a bird.",
      "No, it is.",
      "No, a fox is not an animal.", "No, an owl is not a bird.", "Not sure.", "Is it? No?")),
    ("add", ADD,
     ("19", "19.", "Nineteen.", "7 + 12 = 19.", "7 plus 12 is 19.",
      "Seven and twelve make nineteen.",
      "The sum of 7 and 12 is 19.", "If you add 12 to 7, you get 19.", "12 + 7 = 19", "7+12=19",
      "19 is what 7 and 12 make.", "What is 7 + 12? It is 19.", "You have 7, then 12 more, so 19."),
     ("20", "7 + 12 = 20.", "7 + 12 = 20. The answer is 19.", "19 or 20.", "It is not 19.",
      "7 + 12",
      "19. 20.", "20. 19.", "19.5", "19 and a half", "1 9", "\uff11\uff19", "19 hundred", "-19",
      "119",
      "1,900", "19x", "7 + 12 = 19. 12.", "It is 12. It is 19.", "19. No, 18.", "40 + 3 = 43. 19.",
      "19?", "12", "19/2", "19 % of it", "x19", "nineteen hundred", "minus 19",
      "7 + 11 = 18, so 19.")),
    ("add", TENS,
     ("27 + 10 = 37 and 37 + 5 = 42.", "Forty-two.", "forty two", "27 + 15 = 42.",
      "27 + 10 = 37. 37 + 5 = 42. The answer is 42."),
     ("27 + 10 = 38. 38 + 4 = 42.", "27 + 10 = 37.", "Forty.", "Forty-three.", "24")),
    ("subtract", TAKE,
     ("7", "12 - 5 = 7.", "12 minus 5 is 7.", "Take 5 away from 12, and you have seven.", "12-5=7",
      "That leaves 7.", "12 take away 5 is 7."),
     ("17", "12 - 5 = 8.", "5 - 12 = 7.", "7 or 8", "5", "12", "12 - 5", "Not 7.", "7. Or 8.",
      "-7")),
    ("larger_number", LARGER,
     ("34", "Thirty-four.", "34 is larger than 27.", "The larger number is 34.", "34, not 27.",
      "Of 34 and 27, 34 is the larger.", "27 is smaller than 34, so it is 34."),
     ("27", "34 and 27", "34 or 27", "34 is smaller than 27.", "27 is larger than 34.",
      "34 is not it.",
      "34. 27.", "34.5", "3", "34 is the smaller one.", "43", "34 is larger than 40.", "34?")),
    ("larger_number", LARGEST,
     ("51", "51 is larger than 34 and 27.", "Of 34, 27, and 51, it is 51."),
     ("34", "51 and 34", "34 is larger than 27 and 51.", "51, 34")),
    ("next_number", NEXT,
     ("9", "Nine.", "After 7 comes 9.", "3, 5, 7, 9.", "Each step adds 2, so 9 comes next.",
      "The numbers go up by 2, so it is 9.", "7 + 2 = 9."),
     ("8", "9 or 11", "9, 11", "7", "3, 5, 7", "It is not 9.", "9. No, 8.", "7 and 9",
      "7 + 2 = 10, 9",
      "9.5", "19", "9?")),
    ("sort_numbers", ORDER,
     ("7, 23, 40.", "Seven, twenty-three, forty.", "7 is the smallest, then 23, then 40.",
      "7,23,40",
      "In order they are 7, 23, and 40.", "You gave me 40, 7, 23. In order: 7, 23, 40."),
     ("40, 7, 23.", "40, 23, 7.", "7, 23.", "7, 23, 40, 50.", "7, 23, 40. 40, 7, 23.", "7, 40, 23.",
      "Not 7, 23, 40.", "7 23 4", "72340", "7, 23, 40?")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "slots", "accepted", "refused"), TABLE)
def test_table(name: str, slots: Slots, accepted: tuple[str, ...], refused: tuple[str, ...]):
    check = FAMILIES[name].check
    assert [r for r in accepted if not check(slots, r)] == []
    assert [r for r in refused if check(slots, r)] == []


def test_every_family_has_a_table():
    assert {row[0] for row in TABLE} == set(NAMES)


@pytest.mark.parametrize("hostile", [
    "9" * 4000, "1,1" * 1300, "a, " * 1300, "fig and " * 500, "not " * 1000, "7 + " * 1000,
    '"' * 4000,
    "34, 27, " * 490, "plum, fig, " * 360, "is larger than " * 260, "." * 4000, "yes no " * 570,
    "7 + 12 = " * 440, "3 is more than 3, and " * 180, "one " * 1000, "x" * 4000, " " * 3999 + "a",
])  # fmt: skip
def test_hostile_text_is_refused(hostile: str):
    for name, slots, _, _ in TABLE:
        assert FAMILIES[name].check(slots, hostile) is False


PIECES = st.sampled_from(sorted({w for _, _, yes, no in TABLE for r in yes + no for w in r.split()}
                                | {"+", "=", "-", ",", ".", "?", "\n", "\ud800", "\x00",
                                "\u0660"}))  # fmt: skip
TEXT = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=10).map(" ".join))


@settings(max_examples=250, deadline=None)
@given(text=TEXT)
@pytest.mark.parametrize("row", slow_but(range(len(TABLE)), 0, 7, 13))
def test_checkers_never_raise(row: int, text: str):
    name, slots, accepted, _ = TABLE[row]
    check = FAMILIES[name].check
    assert isinstance(check(slots, text), bool)
    assert isinstance(check(slots, f"{accepted[0]} {text}"), bool)
    if check(slots, text):
        assert checking.plain(text) is not None and words(text) + list(filter(str.isdigit, text))


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**9),
    name=st.sampled_from(NAMES),
    split=st.sampled_from(["train", "test"]),
)
def test_any_draw_is_consistent(seed: int, name: str, split: str):
    rng, family = Random(seed), FAMILIES[name]
    slots = family.make(rng, split)
    assert family.check(slots, family.reply(rng, slots))
    assert family.check(slots, family.bare(rng, slots))
    assert not family.check(slots, family.wrong(rng, slots))
