"""From text to tensors: the border of prompt and completion, EOS, BOS, padding, packing."""

from __future__ import annotations

import copy
from collections import Counter
from itertools import islice
from random import Random

import pytest
import torch
from tiny_models import small_tokenizer
from tokenizers import processors
from transformers import AutoTokenizer

from minialign.core.batching import Row, collate, length_batches
from minialign.core.models.loading import model_path
from minialign.core.packing import pack
from minialign.core.tokens import completion_ids, encode, prompt_ids

PAIRS = [
    ("what is 2 plus 3?", "it is 5."),
    ("the cat", "sat"),  # "cat" + "sat" could merge into one token across the border
    ("the", " dog ran"),
    ("", "the mat"),
    ("ends in a space ", " begins with one"),
    ("line\n", "\nbreak\n\n"),
    ("æ naïve “quote” 🐈", "日本語 🐕 é"),
]


def tokenizers():
    """The small one, the course's, and one that adds BOS and EOS to every plain text."""
    adds_its_own = copy.deepcopy(small_tokenizer())
    bos, eos = adds_its_own.bos_token, adds_its_own.eos_token
    adds_its_own.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        special_tokens=[(bos, adds_its_own.bos_token_id), (eos, adds_its_own.eos_token_id)],
    )
    assert adds_its_own("the")["input_ids"][0] == adds_its_own.bos_token_id
    shipped = AutoTokenizer.from_pretrained(model_path("tiny-base"))
    return [small_tokenizer(), shipped, adds_its_own]


ALL = pytest.mark.parametrize("tokenizer", tokenizers(), ids=["small", "shipped", "adds its own"])


@ALL
@pytest.mark.parametrize(("prompt", "completion"), PAIRS)
def test_the_prompt_is_a_prefix_whatever_follows(tokenizer, prompt, completion):
    alone = prompt_ids(tokenizer, prompt)
    row = encode(tokenizer, prompt, completion)
    assert row.prompt_ids == alone and row.ids[: len(alone)] == alone
    assert len(row) == len(row.prompt_ids) + len(row.completion_ids) == len(row.ids)
    assert tokenizer.decode(row.completion_ids, skip_special_tokens=True) == completion


@ALL
@pytest.mark.parametrize(("prompt", "completion"), PAIRS)
def test_one_bos_and_one_eos(tokenizer, prompt, completion):
    """Trap 50: the template writes BOS, so a tokenizer that adds its own may not; trap 42: EOS."""
    row = encode(tokenizer, prompt, completion)
    assert row.ids.count(tokenizer.bos_token_id) == 1 and row.ids[0] == tokenizer.bos_token_id
    assert row.ids.count(tokenizer.eos_token_id) == 1 and row.ids[-1] == tokenizer.eos_token_id


@ALL
def test_a_row_equals_the_rendered_conversation(tokenizer):
    """What is trained on is what the chat template writes for the finished conversation."""
    for prompt, completion in PAIRS:
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
        whole = tokenizer.apply_chat_template(turns, return_dict=True)["input_ids"]
        assert encode(tokenizer, prompt, completion).ids == whole


@pytest.mark.parametrize("side", ["left", "right"])
def test_eos_is_in_the_completion_mask_exactly_once(side):
    """Trap 12: with a pad token equal to EOS it would be masked, and stopping never learnt."""
    tokenizer = small_tokenizer()
    rows = [encode(tokenizer, p, c) for p, c in PAIRS]
    batch = collate(rows, tokenizer.pad_token_id, side)
    eos = (batch.input_ids == tokenizer.eos_token_id) & batch.completion_mask.bool()
    assert eos.sum(1).tolist() == [1] * len(rows)
    assert (batch.input_ids == tokenizer.eos_token_id).sum() == len(rows)


@pytest.mark.parametrize("side", ["left", "right"])
def test_both_paddings_hold_the_same_rows(side):
    rows = [Row([5, 6, 7], [8, 2]), Row([5], [2]), Row([9], [7, 6, 5, 2])]
    batch = collate(rows, pad_id=0, side=side)
    assert batch.input_ids.shape == (3, 5) and len(batch) == 3
    for i, row in enumerate(rows):
        kept = batch.attention_mask[i].bool()
        assert batch.input_ids[i][kept].tolist() == row.ids
        assert (batch.input_ids[i][~kept] == 0).all()
        assert batch.input_ids[i][batch.completion_mask[i].bool()].tolist() == row.completion_ids
        assert kept[-1 if side == "left" else 0]
    assert (batch.completion_mask <= batch.attention_mask).all()
    assert all(t.dtype == torch.long for t in vars(batch).values())


def test_sides_have_names():
    with pytest.raises(ValueError, match="'middle'; use 'left'"):
        collate([Row([5], [2])], 0, side="middle")


def test_messages_keep_their_turns():
    tokenizer = small_tokenizer()
    turns = [
        {"role": "system", "content": "the cat"},
        {"role": "user", "content": "what is 2 plus 3?"},
    ]
    text = tokenizer.decode(prompt_ids(tokenizer, turns))
    assert text == "<|bos|><|system|>the cat<|user|>what is 2 plus 3?<|assistant|>"
    plain = prompt_ids(tokenizer, "a dog")
    assert plain == prompt_ids(tokenizer, [{"role": "user", "content": "a dog"}])


# --- what is refused


@pytest.mark.parametrize("completion", ["", "  \n"])
def test_a_blank_completion_is_refused(completion):
    """Traps 43 and 51: nothing but EOS would be supervised."""
    with pytest.raises(ValueError, match=r"blank.*drop the row"):
        encode(small_tokenizer(), "the cat", completion)


def test_a_row_that_is_too_long_is_refused_not_cut():
    """Traps 40 and 51: cutting would change the prompt or leave no supervised token."""
    tokenizer = small_tokenizer()
    row = encode(tokenizer, "the cat", "sat on the mat")
    assert encode(tokenizer, "the cat", "sat on the mat", max_length=len(row)) == row
    with pytest.raises(ValueError, match=rf"exceed max_length={len(row) - 1}; raise max_length"):
        encode(tokenizer, "the cat", "sat on the mat", max_length=len(row) - 1)


@pytest.mark.parametrize("completion", ["it is 5.<|eos|>", "it <|eos|> is 5."])
def test_a_completion_that_spells_out_eos_is_refused(completion):
    """Trap 50: rows that were rendered elsewhere often end with EOS already."""
    with pytest.raises(ValueError, match=r"holds <\|eos\|> in its text.*remove"):
        encode(small_tokenizer(), "what is 2 plus 3?", completion)


def test_completion_ids_end_with_eos():
    tokenizer = small_tokenizer()
    assert completion_ids(tokenizer, "sat")[-1] == tokenizer.eos_token_id


# --- packing


def test_packing_keeps_every_row_whole_and_in_order():
    rng = Random(0)
    rows = [Row([3] * rng.randint(1, 6), [4] * rng.randint(0, 5) + [2]) for _ in range(40)]
    batch = pack(rows, length=20, pad_id=0)
    found = []
    for ids, number, mask in zip(*vars(batch).values(), strict=True):
        documents = sorted(set(number.tolist()) - {0})
        assert documents == list(range(1, len(documents) + 1))
        for document in documents:
            here = number == document
            completion = ids[here & mask.bool()].tolist()
            found.append(Row(ids[here & ~mask.bool()].tolist(), completion))
        assert (ids[number == 0] == 0).all() and (mask[number == 0] == 0).all()
    assert found == rows
    assert batch.input_ids.shape[1] == 20


def test_packing_refuses_a_row_longer_than_the_sequence():
    with pytest.raises(ValueError, match="a row has 4 tokens, more than length=3; raise length"):
        pack([Row([5, 6], [7, 2])], 3, pad_id=0)


def test_a_packed_row_that_fits_exactly_shares_nothing():
    batch = pack([Row([5], [2]), Row([6], [2]), Row([7], [2])], 4, pad_id=0)
    assert batch.attention_mask.tolist() == [[1, 1, 2, 2], [1, 1, 0, 0]]


# --- batches of like length


def some_rows(n: int = 100) -> list[Row]:
    rng = Random(1)
    return [Row([3] * rng.randint(5, 40), [4] * rng.randint(2, 60)) for _ in range(n)]


@pytest.mark.parametrize(("n", "size"), [(100, 8), (96, 8), (5, 8), (1, 1)])
def test_every_row_comes_once_per_epoch(n, size):
    batches = length_batches(some_rows(n), size, Random(0))
    per_epoch = -(-n // size)
    for _ in range(3):
        epoch = list(islice(batches, per_epoch))
        assert Counter(i for batch in epoch for i in batch) == Counter(range(n))
        assert sorted(map(len, epoch))[1:] == [size] * (per_epoch - 1)


def test_batches_are_seeded_and_new_in_every_epoch():
    rows = some_rows()
    one, two, other = (
        list(islice(length_batches(rows, 8, Random(seed)), 26)) for seed in (0, 0, 1)
    )
    assert one == two != other
    assert one[:13] != one[13:]
    assert sorted(map(sorted, one[:13])) != sorted(map(sorted, one[13:]))  # other company, too


def test_batches_of_like_length_have_little_padding():
    rows = some_rows(400)

    def waste(batches: list[list[int]]) -> float:
        padded = sum(len(b) * max(len(rows[i]) for i in b) for b in batches)
        return 1 - sum(len(rows[i]) for b in batches for i in b) / padded

    sorted_apart = waste(list(islice(length_batches(rows, 16, Random(0)), 25)))
    shuffled = Random(0).sample(range(400), 400)
    assert sorted_apart < 0.1 < waste([shuffled[i : i + 16] for i in range(0, 400, 16)])


@pytest.mark.parametrize(("rows", "size"), [([], 4), ([Row([5], [2])], 0), ([Row([5], [2])], -1)])
def test_no_rows_or_no_size_is_refused_rather_than_endless(rows, size):
    with pytest.raises(ValueError, match="at least one row"):
        next(length_batches(rows, size, Random(0)))


# --- system turns that a template does not know


def without_system(refuses: bool):
    tokenizer = copy.deepcopy(small_tokenizer())
    other = "{{ raise_exception('no system') }}" if refuses else ""
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}" + other + "{% else %}"
        "{{ m['role'] + ': ' + m['content'] + '\n' }}{% endif %}{% endfor %}"
    )
    return tokenizer


@pytest.mark.parametrize("refuses", [True, False])
def test_a_system_turn_does_not_vanish(refuses):
    turns = [{"role": "system", "content": " the cat"}, {"role": "user", "content": "a dog"}]
    text = without_system(refuses).decode(prompt_ids(without_system(refuses), turns))
    assert text == "user:  the cat\n\na dog\n"


@pytest.mark.parametrize("refuses", [True, False])
def test_words_of_the_system_are_not_put_into_the_assistants_mouth(refuses):
    roles = ("system", "assistant", "user")
    turns = [{"role": role, "content": f"it is {role}"} for role in roles]
    with pytest.raises(Exception, match="no system" if refuses else "put a user turn after it"):
        prompt_ids(without_system(refuses), turns)


@pytest.mark.parametrize("mark", ["<|bos|>", "<|eos|>"])
def test_a_prompt_in_a_chat_format_is_not_templated_twice(mark):
    with pytest.raises(ValueError, match="in a chat format already; give the words alone"):
        encode(small_tokenizer(), f"{mark}the cat", "sat")
