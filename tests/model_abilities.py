"""What a model of the matrix is asked to do; each ability is checked, not only run."""

from __future__ import annotations

import contextlib
import copy
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.algorithms.dpo import DpoConfig, train_dpo
from minialign.algorithms.reward_model import RewardConfig, train_reward
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core import models
from minialign.core.batching import collate
from minialign.core.logprobs import token_logprobs
from minialign.core.models import frozen_reference
from minialign.core.models.architecture import text_config
from minialign.core.models.heads import RewardModel
from minialign.core.models.loading import add_lora, load_policy, parameter_counts
from minialign.core.packing import pack
from minialign.core.sampling import sample
from minialign.core.tokens import encode, end_ids, prompt_ids
from minialign.variants.loops.policy_loop import PolicyConfig, train_policy

ASKED = ["what is 2 plus 3?", "a dog", "the cat sat on the mat"]
SAID = [("it is 5.", "the cat."), ("ran to the red house.", "sat"), ("it is 5.", "what?")]
FEW = {"steps": 2, "batch_size": 2, "warmup": 1, "learning_rate": 1e-3}
CLOSE = {"atol": 1e-3, "rtol": 1e-3}  # nats

Pair = tuple[PreTrainedModel, PreTrainedTokenizerBase]


@contextlib.contextmanager
def in_float32():
    """No bfloat16, so that logprobs can be compared digit by digit."""
    kept, models.fast_dtype = models.fast_dtype, lambda device: torch.float32
    try:
        yield
    finally:
        models.fast_dtype = kept


def pairs(tokenizer: PreTrainedTokenizerBase) -> list[tuple]:
    return [
        tuple(encode(tokenizer, prompt, text) for text in both)
        for prompt, both in zip(ASKED, SAID, strict=True)
    ]


@torch.no_grad()
def logprobs(policy: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    """(T,) of one row alone, without any padding."""
    row = torch.tensor([ids])
    return token_logprobs(policy, row, torch.ones_like(row))[0]


def moved(policy: PreTrainedModel, before: list[torch.Tensor]) -> bool:
    now = [p for p in policy.parameters() if p.requires_grad]
    return any(not torch.equal(a, b) for a, b in zip(now, before, strict=True))


def trained(policy: PreTrainedModel) -> list[torch.Tensor]:
    return [p.detach().clone() for p in policy.parameters() if p.requires_grad]


def encodes(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Prompt and reply are told apart, with a system turn and without."""
    system = [{"role": "system", "content": "the red house"}]
    asked = [{"role": "user", "content": ASKED[0]}]
    for prompt in (ASKED[0], asked, system + asked):
        row = encode(tokenizer, prompt, "it is 5.")
        assert row.completion_ids[-1] in end_ids(tokenizer, policy)
        assert tokenizer.decode(row.completion_ids[:-1]) == "it is 5."
        assert ASKED[0] in tokenizer.decode(row.prompt_ids)
    assert "the red house" in tokenizer.decode(row.prompt_ids)
    assert tokenizer.pad_token_id not in (None, *end_ids(tokenizer, policy))
    assert max(*row.ids, tokenizer.pad_token_id) < policy.get_input_embeddings().num_embeddings


def samples(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Rows that end at different times have the logprobs that the update will see."""
    many = copy.deepcopy(tokenizer)
    many.turn_ends = (*end_ids(tokenizer), *range(100, len(tokenizer), 3))
    generator = torch.Generator().manual_seed(0)
    drawn = sample(policy, many, ASKED, group_size=3, max_new_tokens=12, generator=generator)
    assert len(set(drawn.lengths.tolist())) > 1 and drawn.finished.any()
    with torch.no_grad():
        again = token_logprobs(policy, drawn.input_ids, drawn.attention_mask)
    kept = drawn.completion_mask.bool()
    torch.testing.assert_close(drawn.logprobs[kept], again[kept], **CLOSE)
    for i, ids in enumerate(drawn.input_ids):
        row = ids[drawn.attention_mask[i].bool()].tolist()
        assert row[: len(prompt_ids(tokenizer, drawn.prompts[i]))] == prompt_ids(
            tokenizer, drawn.prompts[i]
        )
        torch.testing.assert_close(again[i, : len(row)], logprobs(policy, row), **CLOSE)


@torch.no_grad()
def packs(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Documents that share a row have the logprobs that they have alone."""
    rows = [row for pair in pairs(tokenizer) for row in pair]
    batch = pack(rows, sum(map(len, rows)) + 3, tokenizer.pad_token_id)
    found = token_logprobs(policy, batch.input_ids, batch.attention_mask)
    for number, row in enumerate(rows, start=1):
        here = found[batch.attention_mask == number]
        torch.testing.assert_close(here, logprobs(policy, row.ids), **CLOSE)


def tunes(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    before = trained(policy)
    rows = [pair[0] for pair in pairs(tokenizer)]
    history = train_sft(policy, tokenizer, rows, SftConfig(**FEW))
    assert torch.tensor(history["loss"]).isfinite().all() and moved(policy, before)


def rewards(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """A score does not depend on padding, is trained, saved, and read back."""
    model = RewardModel.from_policy(policy).eval()
    rankings = pairs(tokenizer)
    batch = collate([row for pair in rankings for row in pair], tokenizer.pad_token_id)
    with torch.no_grad():
        scores = model(batch.input_ids, batch.attention_mask)
        row = torch.tensor([rankings[0][1].ids])
        alone = model(row, torch.ones_like(row))[0]
    torch.testing.assert_close(scores[1], alone, **CLOSE)
    before = trained(model)
    history = train_reward(model, tokenizer, rankings, RewardConfig(**FEW))
    assert torch.tensor(history["loss"]).isfinite().all() and moved(model, before)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        model.save_pretrained(Path(folder))
        again = RewardModel.from_pretrained(Path(folder)).eval()
        scores, found = (m.eval()(batch.input_ids, batch.attention_mask) for m in (model, again))
    torch.testing.assert_close(scores, found, atol=1e-5, rtol=1e-4)


def prefers(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """DPO: the first margin is that of a policy that equals its reference."""
    before = trained(policy)
    history = train_dpo(policy, tokenizer, pairs(tokenizer), DpoConfig(**FEW))
    assert abs(history["margin"][0]) < 1e-3 and moved(policy, before)


def reinforces(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """GRPO: the first ratio is 1."""
    before = trained(policy)

    def longest(prompts, completions, completion_ids, **columns):
        return [float(sum(ids)) for ids in completion_ids]

    config = PolicyConfig(steps=2, prompts=2, group_size=4, max_new_tokens=4, beta=0.1)
    history = train_policy(policy, tokenizer, [{"prompt": p} for p in ASKED], longest, config)
    assert max(history["off"]) < 1e-3 and moved(policy, before)


def adapts(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """LoRA: only adapters move, the merged copy says the same, and so does what is read back."""
    row = pairs(tokenizer)[0][0].ids
    start = logprobs(policy, row)
    adapted = add_lora(policy, rank=4)
    torch.testing.assert_close(logprobs(adapted, row), start, **CLOSE)
    few, every = parameter_counts(adapted)
    assert 0 < few < every / 2
    tunes(adapted, tokenizer)
    adapted.eval()
    now = logprobs(adapted, row)
    assert (now - start).abs().max() > 1e-6
    torch.testing.assert_close(logprobs(frozen_reference(adapted), row), now, **CLOSE)
    with tempfile.TemporaryDirectory() as folder:
        adapted.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        again, _ = load_policy(folder)
    torch.testing.assert_close(logprobs(again, row), now, **CLOSE)
    assert parameter_counts(again) == (few, every)


def persists(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    row = pairs(tokenizer)[0][0]
    with tempfile.TemporaryDirectory() as folder:
        policy.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        again, reader = load_policy(folder)
    assert pairs(reader)[0][0] == row and end_ids(reader) == end_ids(tokenizer)
    torch.testing.assert_close(logprobs(again, row.ids), logprobs(policy, row.ids))


def stays_within(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """A text longer than `max_position_embeddings`, for models that can tell its tokens apart."""
    config = text_config(policy)
    limit = getattr(config, "max_position_embeddings", getattr(config, "max_seq_len", 0))
    assert logprobs(policy, [5, 6, 7] * (limit // 3 + 3)).isfinite().all()


ABILITIES: dict[str, Callable[[PreTrainedModel, PreTrainedTokenizerBase], None]] = {
    "encode": encodes,
    "sample": samples,
    "pack": packs,
    "supervised": tunes,
    "reward model": rewards,
    "DPO": prefers,
    "GRPO": reinforces,
    "LoRA": adapts,
    "save, load": persists,
    "longer text": stays_within,
}
