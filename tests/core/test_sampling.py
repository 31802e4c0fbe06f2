"""Sampling: exact logprobs, the right distribution, parity with transformers, bookkeeping."""

from __future__ import annotations

import contextlib
import math
from collections import Counter

import pytest
import torch
from tiny_models import FAMILIES, small_tokenizer, tiny, tiny_llama
from torch import Tensor
from transformers import MistralConfig, MistralForCausalLM

from minialign.core.logprobs import token_logprobs
from minialign.core.models.loading import load_policy
from minialign.core.sampling import Rollout, gaps_filled, sample
from minialign.core.tokens import prompt_ids

PROMPTS = ["what is 2 plus 3?", "the cat", "a dog ran to the red house and sat on the mat", "it",
           "name two birds.", "is it 5?"]  # fmt: skip
SHIPPED = "tiny-base"


@contextlib.contextmanager
def eager_to_stop(policy, boost: float = 4.0):
    """Raise the logit of EOS, so that rows end at different times."""
    eos = small_tokenizer().eos_token_id

    def lift(module, inputs, logits: Tensor) -> Tensor:
        return logits + boost * torch.nn.functional.one_hot(torch.tensor(eos), logits.shape[-1])

    handle = policy.get_output_embeddings().register_forward_hook(lift)
    try:
        yield policy
    finally:
        handle.remove()


def policies(name: str):
    return load_policy(SHIPPED) if name == SHIPPED else (tiny(name), small_tokenizer())


def drawn(policy, tokenizer, prompts=PROMPTS, seed: int = 0, **settings) -> Rollout:
    generator = torch.Generator().manual_seed(seed)
    return sample(policy, tokenizer, prompts, generator=generator, **settings)


# --- exactness


@pytest.mark.parametrize("name", [*FAMILIES, SHIPPED])
@pytest.mark.parametrize(("group", "temperature"), [(1, 1.0), (5, 1.0), (3, 0.6)])
@torch.no_grad()
def test_logprobs_are_those_of_the_loss(name, group, temperature):
    """Traps 8 and 9: at the sampling temperature, however prompts were padded and rows dropped."""
    policy, tokenizer = policies(name)
    with eager_to_stop(policy):
        rollout = drawn(
            policy, tokenizer, group_size=group, max_new_tokens=24, temperature=temperature
        )
        given = rollout.input_ids, rollout.attention_mask
        expected = token_logprobs(policy, *given, temperature=temperature)
    assert len(set(rollout.lengths.tolist())) > 1  # rows did end at different times
    mask = rollout.completion_mask.bool()
    torch.testing.assert_close(rollout.logprobs[mask], expected[mask], atol=5e-5, rtol=1e-5)
    assert (rollout.logprobs[~mask] == 0).all()


@pytest.mark.parametrize("name", [*FAMILIES, SHIPPED])
def test_greedy_equals_transformers_generate(name):
    policy, tokenizer = policies(name)
    with eager_to_stop(policy, 2.0):
        rollout = drawn(policy, tokenizer, group_size=2, max_new_tokens=12, temperature=0)
        rows = [prompt_ids(tokenizer, p) for p in PROMPTS]
        for i, row in enumerate(rows):
            ids = torch.tensor([row])
            expected = policy.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=12,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )[0, len(row) :].tolist()
            for j in (2 * i, 2 * i + 1):
                kept = rollout.completion_mask[j].bool()
                assert rollout.input_ids[j][kept].tolist() == expected


@torch.no_grad()
def test_greedy_logprobs_are_at_temperature_one():
    policy = tiny_llama()
    rollout = drawn(policy, small_tokenizer(), max_new_tokens=6, temperature=0)
    expected = token_logprobs(policy, rollout.input_ids, rollout.attention_mask)
    mask = rollout.completion_mask.bool()
    torch.testing.assert_close(rollout.logprobs[mask], expected[mask], atol=1e-5, rtol=2e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@torch.no_grad()
def test_frequencies_are_the_softmax(temperature):
    """Trap 8: no top-k and no top-p, at any temperature; chi-square over the first token."""
    policy, tokenizer, n = tiny_llama(), small_tokenizer(), 4000
    rollout = drawn(
        policy, tokenizer, PROMPTS[:1], group_size=n, max_new_tokens=1, temperature=temperature
    )
    tokens = rollout.input_ids[rollout.completion_mask.bool()].tolist()
    ids = torch.tensor([prompt_ids(tokenizer, PROMPTS[0])])
    expected = n * (policy(input_ids=ids).logits[0, -1].double() / temperature).softmax(-1)
    counts = Counter(tokens)
    common = [i for i, x in enumerate(expected.tolist()) if x >= 5]
    rest = (n - sum(counts[i] for i in common), n - float(expected[common].sum()))
    bins = [(counts[i], float(expected[i])) for i in common] + [rest]
    statistic = sum((seen - e) ** 2 / e for seen, e in bins)
    freedom = len(bins) - 1
    assert freedom > 10 and rest[1] > 5
    assert abs(statistic - freedom) < 4 * math.sqrt(2 * freedom)


# --- seeds and modes


def test_same_seed_same_texts():
    policy, tokenizer = tiny_llama(), small_tokenizer()
    settings = {"group_size": 3, "max_new_tokens": 10}
    one, two, other = (drawn(policy, tokenizer, seed=s, **settings) for s in (0, 0, 1))
    assert one.texts == two.texts != other.texts
    assert torch.equal(one.logprobs, two.logprobs)
    assert sample(policy, tokenizer, PROMPTS, **settings).texts == one.texts  # None is seed 0


def test_one_generator_goes_on_from_call_to_call():
    generator = torch.Generator().manual_seed(0)
    first, second = (
        sample(tiny_llama(), small_tokenizer(), PROMPTS, max_new_tokens=8, generator=generator)
        for _ in range(2)
    )
    assert first.texts != second.texts


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_restored(training):
    """Trap 24: after a roll-out, and after one that failed."""
    policy = tiny_llama().train(training)
    seen = []
    policy.register_forward_pre_hook(lambda module, inputs: seen.append(module.training))
    drawn(policy, small_tokenizer(), max_new_tokens=2)
    assert policy.training == training and not any(seen)
    policy.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        drawn(policy, small_tokenizer(), max_new_tokens=2)
    assert policy.training == training


def test_no_gradient_is_recorded_and_the_policy_still_trains_on_it():
    policy = tiny_llama()
    rollout = drawn(policy, small_tokenizer(), max_new_tokens=4)
    assert not rollout.logprobs.requires_grad
    new = token_logprobs(policy, rollout.input_ids, rollout.attention_mask)
    ((new - rollout.logprobs).exp() * rollout.completion_mask).sum().backward()
    assert all(p.grad is not None for p in policy.parameters())


# --- bookkeeping


@pytest.mark.parametrize("group", [1, 4])
def test_finished_lengths_and_texts_agree(group):
    """Traps 11, 13, 19: EOS is the last token of what finished, and inside its mask."""
    policy, tokenizer = tiny_llama(), small_tokenizer()
    with eager_to_stop(policy, 3.0):
        rollout = drawn(policy, tokenizer, group_size=group, max_new_tokens=16)
    eos = tokenizer.eos_token_id
    assert 0 < rollout.finished.sum() < len(rollout) == group * len(PROMPTS)
    assert rollout.prompts == [p for p in PROMPTS for _ in range(group)]
    for i, text in enumerate(rollout.texts):
        kept = rollout.completion_mask[i].bool()
        tokens = rollout.input_ids[i][kept].tolist()
        assert rollout.lengths[i] == len(tokens)
        assert tokens.count(eos) == (tokens[-1] == eos) == bool(rollout.finished[i])
        assert rollout.finished[i] or len(tokens) == 16
        assert tokenizer.decode(tokens, skip_special_tokens=True) == text
        row = rollout.input_ids[i][rollout.attention_mask[i].bool()].tolist()
        assert row == prompt_ids(tokenizer, rollout.prompts[i]) + tokens
    assert (rollout.input_ids[rollout.attention_mask == 0] == tokenizer.pad_token_id).all()
    assert (rollout.completion_mask <= rollout.attention_mask).all()


def test_rows_of_a_group_share_their_prompt():
    policy, tokenizer = tiny_llama(), small_tokenizer()
    rollout = drawn(policy, tokenizer, group_size=3, max_new_tokens=5)
    for p, prompt in enumerate(PROMPTS):
        ids = prompt_ids(tokenizer, prompt)
        rows = slice(3 * p, 3 * p + 3)
        assert rollout.input_ids[rows, : len(ids)].tolist() == [ids] * 3
        assert (rollout.completion_mask[rows].argmax(1) == len(ids)).all()
    values = torch.arange(12.0)
    assert rollout.grouped(values).tolist() == values.view(4, 3).tolist()


def test_width_is_that_of_the_longest_row():
    policy, tokenizer = tiny_llama(), small_tokenizer()
    with eager_to_stop(policy, 100.0):
        rollout = drawn(policy, tokenizer, max_new_tokens=50)
    assert rollout.lengths.tolist() == [1] * len(PROMPTS) and rollout.finished.all()
    assert rollout.texts == [""] * len(PROMPTS)
    longest = max(len(prompt_ids(tokenizer, p)) for p in PROMPTS)
    assert rollout.input_ids.shape == (len(PROMPTS), longest + 1)


def test_eos_as_the_last_token_that_fits_is_finished():
    policy, tokenizer = tiny_llama(), small_tokenizer()
    with eager_to_stop(policy, 100.0):
        assert drawn(policy, tokenizer, max_new_tokens=1).finished.all()
    with eager_to_stop(policy, -100.0):
        rollout = drawn(policy, tokenizer, max_new_tokens=3)
    assert not rollout.finished.any() and rollout.lengths.tolist() == [3] * len(PROMPTS)


def test_messages_may_be_prompts():
    turns = [{"role": "system", "content": "a dog"}, {"role": "user", "content": "the cat"}]
    rollout = drawn(tiny_llama(), small_tokenizer(), [turns], group_size=2, max_new_tokens=3)
    assert rollout.prompts == [turns, turns]
    row = rollout.input_ids[0, : -int(rollout.lengths[0])].tolist()
    assert row == prompt_ids(small_tokenizer(), turns)


def shapes_fed(policy) -> list[tuple[int, int]]:
    """(rows, columns) of every forward pass to come."""
    fed = []
    policy.model.register_forward_pre_hook(
        lambda module, args, kwargs: fed.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    return fed


def test_a_finished_row_costs_nothing_more():
    """Each step feeds only the rows that have not ended."""
    policy = tiny_llama()
    fed = shapes_fed(policy)
    with eager_to_stop(policy):
        rollout = drawn(policy, small_tokenizer(), group_size=4, max_new_tokens=20)
    rows = [n for n, columns in fed if columns == 1]
    expected = [int((rollout.lengths > t).sum()) for t in range(1, int(rollout.lengths.max()))]
    assert rows == expected


def test_prompts_are_read_once_for_their_group_and_hardly_padded():
    policy, tokenizer = tiny_llama(), small_tokenizer()
    fed = shapes_fed(policy)
    drawn(policy, tokenizer, group_size=4, max_new_tokens=2)
    prefill = [shape for shape in fed if shape[1] > 1]
    assert sum(n for n, _ in prefill) == len(PROMPTS)
    needed = sum(len(prompt_ids(tokenizer, p)) for p in PROMPTS)
    assert sum(n * columns for n, columns in prefill) < 1.5 * needed


@torch.no_grad()
def test_a_model_with_a_sliding_window_keeps_its_own_cache():
    tokenizer = small_tokenizer()
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.2}
    config = MistralConfig(vocab_size=len(tokenizer), sliding_window=64, **sizes, **heads)
    policy = MistralForCausalLM(config).eval()
    with eager_to_stop(policy):
        rollout = drawn(policy, tokenizer, group_size=3, max_new_tokens=12)
        expected = token_logprobs(policy, rollout.input_ids, rollout.attention_mask)
    mask = rollout.completion_mask.bool()
    torch.testing.assert_close(rollout.logprobs[mask], expected[mask], atol=1e-5, rtol=2e-6)


@pytest.mark.parametrize("going", ["110", "011", "0001", "1000", "10101", "0101100111", "111"])
def test_gaps_are_filled_from_the_end(going):
    mask = torch.tensor([x == "1" for x in going])
    keep = gaps_filled(mask).tolist()
    assert sorted(keep) == mask.nonzero()[:, 0].tolist()
    assert all(row == place or row >= len(keep) for place, row in enumerate(keep))


@pytest.mark.parametrize(
    "wrong",
    [
        {"group_size": 0},
        {"max_new_tokens": 0},
        {"max_new_tokens": None},
        {"temperature": -1.0},
        {"temperature": "hot"},
        {"prompts": []},
    ],
)
def test_errors_name_the_values(wrong):
    with pytest.raises(ValueError, match=r"sample got \d prompts, group_size=.*give numbers from"):
        drawn(tiny_llama(), small_tokenizer(), **wrong)
