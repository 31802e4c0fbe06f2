"""A prompt that rows share is read once, and all that is computed stays what it was."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
import torch
from loop_runs import RUNS, SCORERS
from model_matrix import save
from tiny_models import FAMILIES, padded, small_tokenizer, tiny, tiny_llama
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from minialign.core.batching import Batch, Row, collate
from minialign.core.logprobs import token_logprobs
from minialign.core.models import sharing
from minialign.core.models.architecture import logits_at
from minialign.core.models.heads import RewardModel
from minialign.core.models.loading import add_lora, load_policy
from minialign.core.packing import pack
from minialign.core.sampling import sample

PAD = 0
BY_HAND = [([1, 40, 50, 60, 7, 9, 11, 12], [[5, 2], [6, 7, 8, 9, 10, 2], [3], []]),
           ([1, 33, 44, 55, 66, 20, 21], [[9, 8, 7, 2], [9, 8, 7, 2]]),
           ([1, 70, 71, 72, 73, 74, 75, 76, 77, 78], [[5, 6, 7]])]  # fmt: skip
RAGGED = [Row(prompt, completion) for prompt, many in BY_HAND for completion in many]


def groups(seed: int, prompts: int = 3, group: int = 4) -> list[Row]:
    """Random prompts of 6 to 20 tokens with completions of 1 to 12."""
    draw = torch.Generator().manual_seed(seed)

    def tokens(least: int, most: int) -> list[int]:
        n = int(torch.randint(least, most + 1, (1,), generator=draw))
        return torch.randint(3, 200, (n,), generator=draw).tolist()

    asked = [tokens(6, 20) for _ in range(prompts)]
    return [Row(prompt, tokens(1, 12)) for prompt in asked for _ in range(group)]


def gradients(model: torch.nn.Module) -> torch.Tensor:
    flat = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    return torch.cat(flat)


def tokens_read(model: torch.nn.Module, batch: Batch, **settings) -> int:
    """Tokens that a model reads, padding included."""
    seen = []
    hook = model.get_input_embeddings().register_forward_hook(
        lambda _, given, out: seen.append(given[0].numel())
    )
    given = batch.input_ids, batch.attention_mask, batch.completion_mask
    token_logprobs(model, *given, **settings)
    hook.remove()
    return seen[-1]


def both_ways(model, batch: Batch, weights: torch.Tensor):
    """(logprobs, gradients) of a prompt that is read once, and of one that every row reads."""
    given = batch.input_ids, batch.attention_mask, batch.completion_mask
    for share in (True, False):
        logprobs = token_logprobs(model, *given, share_prompts=share)
        (logprobs * weights).sum().backward()
        yield logprobs.detach(), gradients(model)


CASES = {"ragged": RAGGED, "groups": groups(0), "one group": groups(1, prompts=1, group=8),
         "pairs": groups(2, prompts=6, group=2)}  # fmt: skip


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("case", CASES)
def test_logprobs_and_gradients_are_those_of_the_plain_way(case, family, dtype, side):
    model, batch = tiny(family).to(dtype), collate(CASES[case], PAD, side=side)
    if dtype == torch.float64:  # eager attention has its softmax in float32, whatever the weights
        model.set_attn_implementation("sdpa")
    assert tokens_read(model, batch) < 0.9 * batch.input_ids.numel()
    weights = torch.randn(batch.input_ids.shape, generator=torch.Generator().manual_seed(0))
    (shared, gradient), (plain, plain_gradient) = both_ways(model, batch, weights.to(dtype))
    assert shared.dtype == dtype and (shared[batch.completion_mask == 0] == 0).all()
    close = 5e-5 if dtype == torch.float32 else 1e-10
    torch.testing.assert_close(shared, plain, atol=close, rtol=0)
    off = (gradient - plain_gradient).norm() / plain_gradient.norm()
    assert off < (1e-4 if dtype == torch.float32 else 1e-6)  # norms are in float32 all the same


def test_what_is_asked_for_is_what_all_tokens_have():
    model, batch = tiny_llama(), collate(RAGGED, PAD)
    given = batch.input_ids, batch.attention_mask
    every, asked = token_logprobs(model, *given), batch.completion_mask
    some = token_logprobs(model, *given, asked)
    torch.testing.assert_close(some, every * asked, atol=5e-5, rtol=0)
    hot = token_logprobs(model, *given, asked, temperature=2.0)
    torch.testing.assert_close(
        hot, token_logprobs(model, *given, temperature=2.0) * asked, atol=5e-5, rtol=0
    )


def test_the_first_token_of_every_completion_is_predicted_by_the_prompts_last():
    """Some folds predict that of the first completion alone."""
    model, prompt = tiny_llama(), [1, 40, 50, 60, 7, 9]
    firsts = list(range(10, 18))
    batch = collate([Row(prompt, [first]) for first in firsts], PAD)
    given = batch.input_ids, batch.attention_mask, batch.completion_mask
    shared = token_logprobs(model, *given)[:, len(prompt)]
    alone = model(torch.tensor([prompt])).logits[0, -1].log_softmax(-1)[firsts]
    torch.testing.assert_close(shared, alone, atol=5e-5, rtol=0)


def test_no_branch_sees_another():
    model, rows = tiny_llama(), groups(3, prompts=1, group=3)
    changed = [rows[0], Row(rows[1].prompt_ids, [99, 98, 97]), rows[2]]
    found = []
    for each in (rows, changed):
        batch = collate(each, PAD)
        given = batch.input_ids, batch.attention_mask, batch.completion_mask
        found.append(token_logprobs(model, *given))
    for i in (0, 2):
        width = len(rows[i])
        torch.testing.assert_close(found[0][i, :width], found[1][i, :width], atol=1e-6, rtol=0)


def test_parts_add_up_to_the_whole():
    """Micro-batches that hold whole groups, parts of one, and single rows."""
    model, rows = tiny_llama(), groups(4, prompts=2, group=6)
    found = []
    for size in (12, 6, 4, 1):
        for start in range(0, 12, size):
            batch = collate(rows[start : start + size], PAD)
            given = batch.input_ids, batch.attention_mask, batch.completion_mask
            token_logprobs(model, *given).sum().backward()
        found.append(gradients(model))
    for other in found[1:]:
        assert (other - found[0]).norm() < 1e-4 * found[0].norm()


def test_long_completions_fill_several_rows(monkeypatch):
    monkeypatch.setattr(sharing, "ROOM", 16)
    model, batch = tiny_llama(), collate(groups(5, prompts=2, group=6), PAD)
    (shared, _), (plain, _) = both_ways(model, batch, batch.completion_mask)
    assert tokens_read(model, batch) < batch.input_ids.numel()
    torch.testing.assert_close(shared, plain, atol=5e-5, rtol=0)


def test_what_a_group_reads():
    rows = groups(6, prompts=1, group=8)
    model, batch = tiny_llama(), collate(rows, PAD)
    prompt, completions = len(rows[0].prompt_ids), sum(len(row.completion_ids) for row in rows)
    assert tokens_read(model, batch) == prompt + completions
    assert tokens_read(model, batch, share_prompts=False) == batch.input_ids.numel()


def test_rows_with_nothing_in_common_are_read_as_they_are():
    batch = collate(groups(7, prompts=5, group=1), PAD)
    assert tokens_read(tiny_llama(), batch) == batch.input_ids.numel()


def test_one_token_in_common_is_not_worth_a_long_row():
    """As when the prompt is imitated too: all rows begin with <|bos|>."""
    rows = [Row([1], row.prompt_ids + row.completion_ids) for row in groups(8, 6, 1)]
    batch = collate(rows, PAD)
    assert tokens_read(tiny_llama(), batch) == batch.input_ids.numel()


def test_documents_in_one_row_are_not_folded():
    model, rows = tiny_llama(), groups(9, prompts=2, group=3)
    packed = pack(rows, 64, PAD)
    given = packed.input_ids, packed.attention_mask
    some = token_logprobs(model, *given, packed.completion_mask)
    every = token_logprobs(model, *given)
    torch.testing.assert_close(some, every * packed.completion_mask, atol=5e-5, rtol=0)


def test_rows_with_a_hole_are_read_as_they_are():
    model, batch = tiny_llama(), collate(groups(11, prompts=1, group=3), PAD)
    given = batch.input_ids, batch.attention_mask.clone(), batch.completion_mask
    given[1][:, 3] = 0
    torch.testing.assert_close(
        token_logprobs(model, *given), token_logprobs(model, *given, share_prompts=False)
    )


def test_a_mask_of_truths_will_do():
    model, batch = tiny_llama(), collate(RAGGED, PAD)
    given = batch.input_ids, batch.attention_mask, batch.completion_mask
    same = token_logprobs(model, given[0], given[1].bool().long(), given[2].bool())
    torch.testing.assert_close(same, token_logprobs(model, *given))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["Mistral", "Mamba", "GPT-Neo", "Bloom", "Gemma 2"])
def test_where_a_model_cannot_fold_every_row_is_read(name):
    """Windows, recurrent layers, masks from a table, positions counted over the row."""
    with tempfile.TemporaryDirectory() as folder:
        save(name, Path(folder))
        model, _ = load_policy(folder)
    batch = collate(groups(10), PAD)
    assert not sharing.reads_folds(model)
    assert tokens_read(model, batch) == batch.input_ids.numel()


def test_a_model_that_pays_no_heed_to_positions_is_found_out():
    """By trying: nothing else tells."""
    model = tiny_llama()
    rotary = model.model.rotary_emb
    real = rotary.forward
    rotary.forward = lambda x, position_ids: real(
        x, torch.arange(position_ids.shape[1])[None].expand_as(position_ids)
    )
    assert not sharing.reads_folds(model) and sharing.reads_folds(tiny_llama())


@pytest.mark.parametrize("side", ["right", "left"])
def test_scores_of_texts_with_one_prompt(side):
    model, batch = RewardModel.from_policy(tiny_llama()), collate(RAGGED, PAD, side=side)
    found = []
    for mask in (batch.completion_mask, None):
        scores = model(batch.input_ids, batch.attention_mask, mask)
        scores.square().sum().backward()
        found.append((scores.detach(), gradients(model)))
    torch.testing.assert_close(found[0][0], found[1][0], atol=5e-5, rtol=0)
    assert (found[0][1] - found[1][1]).norm() < 1e-4 * found[1][1].norm()


def test_adapters_learn_the_same():
    model, batch = add_lora(tiny_llama(), seed=1), collate(RAGGED, PAD)
    (shared, gradient), (plain, plain_gradient) = both_ways(model, batch, batch.completion_mask)
    torch.testing.assert_close(shared, plain, atol=5e-5, rtol=0)
    assert (gradient - plain_gradient).norm() < 1e-4 * plain_gradient.norm()


def test_activation_checkpointing_changes_nothing():
    model, batch = tiny_llama(), collate(RAGGED, PAD)
    (_, gradient), _ = both_ways(model, batch, batch.completion_mask)
    model.train().gradient_checkpointing_enable()
    (_, again), _ = both_ways(model, batch, batch.completion_mask)
    assert (gradient - again).norm() < 1e-5 * gradient.norm()


@pytest.mark.parametrize("size", [1, 3, 4, 8, 64])
def test_parts_of_a_rollout_hold_whole_groups(size):
    prompts = ["it", "what is 2 plus 3?", "a dog ran to the red house"]
    rollout = sample(tiny_llama(), small_tokenizer(), prompts, group_size=4, max_new_tokens=6)
    parts = [rows.tolist() for rows, _ in rollout.parts(size)]
    assert sorted(itertools.chain(*parts)) == list(range(12))
    assert max(map(len, parts)) <= max(size, 1)
    if size >= 4:
        whole = {tuple(range(start, start + 4)) for start in (0, 4, 8)}
        assert {tuple(p[i : i + 4]) for p in parts for i in range(0, len(p), 4)} == whole
    for rows, columns in rollout.parts(size):
        assert rollout.attention_mask[rows].sum() == rollout.attention_mask[rows, columns].sum()


# --- logits where a loss looks


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_reads_what_is_asked_for(family):
    model, seen = tiny(family), []
    head = model.get_output_embeddings()
    head.register_forward_hook(lambda _, given, out: seen.append(given[0].shape[:2].numel()))
    batch = collate(RAGGED, PAD)
    given = batch.input_ids, batch.attention_mask, batch.completion_mask
    for share in (True, False):
        token_logprobs(model, *given, share_prompts=share)
    token_logprobs(model, *given[:2])
    assert seen[-3:-1] == [int(batch.completion_mask.sum())] * 2
    assert seen[-1] == int(batch.attention_mask.sum()) - len(batch)


def test_a_model_whose_head_is_out_of_reach_gives_the_same():
    model = tiny_llama()
    ids, mask = padded([[1, 5, 6, 7], [1, 8, 9]], "right")
    inputs, places = sharing.rows_to_read(model, ids, mask)
    near = logits_at(model, inputs, places[:, 1])
    model.get_output_embeddings = lambda: None
    torch.testing.assert_close(logits_at(model, inputs, places[:, 1]), near, atol=1e-6, rtol=0)


class Widest(TorchDispatchMode):
    """Rows of the largest tensor whose last axis is the vocabulary, but for the head's weights."""

    def __init__(self, config) -> None:
        super().__init__()
        self.head = torch.Size([config.hidden_size, config.vocab_size])
        self.rows = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for one in tree_iter(out):
            if isinstance(one, torch.Tensor) and one.dim() and one.shape[-1] == self.head[1]:
                self.rows = max(self.rows, one.numel() // self.head[1] * (one.shape != self.head))
        return out


LANGUAGE = [name for name in RUNS if name not in SCORERS]


@pytest.mark.parametrize("name", LANGUAGE)
def test_no_loop_makes_logits_of_prompts(name):
    model, tokens = tiny_llama(), []
    model.get_input_embeddings().register_forward_hook(
        lambda _, given, out: tokens.append(given[0].numel())
    )
    with Widest(model.config) as widest:
        RUNS[name](None, policy=model)
    assert 0 < widest.rows < max(tokens)


@pytest.mark.parametrize("fast", [True, False])
def test_no_sampler_makes_logits_of_prompts(fast):
    model = tiny_llama()
    with Widest(model.config) as widest:
        sample(
            model, small_tokenizer(), ["what is 2 plus 3?", "a dog"], max_new_tokens=4, fast=fast
        )
    assert widest.rows == 2


def test_logits_of_a_whole_batch_would_be_seen():
    model = tiny_llama()
    with Widest(model.config) as widest:
        model(torch.ones(3, 20, dtype=torch.long))
    assert widest.rows == 60
