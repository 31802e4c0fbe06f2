"""The work that `benchmarks.vs_trl` gives to both libraries: model, rows, order and settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random

from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.batching import Row, RowPair, length_batches
from minialign.core.models.loading import load_policy
from minialign.core.run import prompt_batches
from minialign.core.tokens import encode
from minialign.variants.loops.unpaired_loop import mismatched
from minialign.world.replies.demonstrations import demonstrations
from minialign.world.replies.preferences import comparisons
from minialign.world.tasks import instructions

GROUP, NEW_TOKENS = 8, 64  # completions of a prompt, and their longest length
SAMPLED = ("grpo", "rloo")  # methods whose completions are drawn while the clock runs
REFERENCED = ("dpo", "kto")  # methods that read a reference once, before the first update
METHODS = ("sft", "reward", "dpo", "kto", *SAMPLED)
TITLES = {
    "sft": "supervised tuning",
    "reward": "reward model",
    "dpo": "DPO",
    "kto": "KTO",
    "grpo": "GRPO",
    "rloo": "RLOO",
}
EPS = {"sft": 1e-5, "grpo": 1e-5, "rloo": 1e-5}  # of Adam, where a loop of ours takes another
BETAS = {"dpo": 0.1, "kto": 0.1, "grpo": 0.04, "rloo": 0.05}
# What one step holds: rows of sft and kto, pairs of reward and dpo, prompts of grpo and rloo.
SIZES = {
    "tiny-base": {"sft": 32, "reward": 32, "dpo": 32, "kto": 64, "grpo": 16, "rloo": 16},
    "smollm2-135m-instruct": {"sft": 4, "reward": 4, "dpo": 4, "kto": 4, "grpo": 2, "rloo": 2},
}
RATES = {
    "tiny-base": {"sft": 5e-4, "reward": 5e-4, "dpo": 5e-5, "kto": 5e-5, "grpo": 1e-4},
    "smollm2-135m-instruct": {"sft": 2e-5, "reward": 1e-5, "dpo": 5e-7, "kto": 5e-7, "grpo": 1e-6},
}
TARGETS = {
    "tiny-base": {"sft": 3.0, "reward": 3.0, "dpo": 3.0, "kto": 3.0, "grpo": 2.5, "rloo": 2.5},
    "smollm2-135m-instruct": {
        "sft": 2.0, "reward": 2.0, "dpo": 2.0, "kto": 2.0, "grpo": 1.5, "rloo": 1.5,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Work:
    """One run of one method: `steps` updates, each with rows that no other update sees."""

    method: str
    folder: str  # of the model that both start from
    size: int  # rows, pairs or prompts of a step
    steps: int
    learning_rate: float
    precision: str = "float32"  # of multiplications
    trl_attention: str = "sdpa"  # or "eager"; ours is what load_policy chooses
    same_order: bool = True  # False lets TRL draw its own batches of the same rows
    seed: int = 0
    group: int = GROUP
    max_new_tokens: int = NEW_TOKENS

    @property
    def sampled(self) -> bool:
        """Whether completions are drawn while the clock runs."""
        return self.method in SAMPLED

    def short(self) -> Work:
        """The same work with one step of the same rows, on which both sides must agree."""
        return replace(self, steps=1)


def work_of(model: str, method: str, folder: str | Path, **changes) -> Work:
    """A method's work on one of the two models, sized as the table says."""
    rates = {"rloo": RATES[model]["grpo"], **RATES[model]}
    sizes = {"size": SIZES[model][method], "learning_rate": rates[method]}
    return Work(method, str(folder), **{**sizes, **changes})


def prepare(model: str, folder: Path, sft_steps: int) -> None:
    """Save a model that answers and stops, from which every run of both libraries starts.

    The base model hardly ever stops, so it is tuned first; a chat model stays as it is.
    """
    policy, tokenizer = load_policy(model)
    if sft_steps:
        rows = [
            encode(tokenizer, one.instruction.prompt, one.completion)
            for one in demonstrations(1000, "train", 0)
        ]
        train_sft(policy, tokenizer, rows, SftConfig(steps=sft_steps))
    policy.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@dataclass(frozen=True)
class Texts:
    """What a method learns from, as text: prompts, and the completions that stand after them."""

    prompts: list[str]
    completions: list[tuple[str, ...]]  # one, or the chosen and the rejected; none if sampled
    liked: list[bool]  # of kto

    @classmethod
    def of(cls, work: Work) -> Texts:
        """As many as all steps hold, drawn by the seed."""
        n = work.size * work.steps
        if work.sampled:
            prompts = [one.prompt for one in instructions(n, "train", work.seed)]
            return cls(prompts, [()] * n, [])
        if work.method == "sft":
            shown = demonstrations(n, "train", work.seed)
            return cls([d.instruction.prompt for d in shown], [(d.completion,) for d in shown], [])
        if work.method == "kto":
            pairs = comparisons((n + 1) // 2, "train", work.seed)
            each = [
                (c.instruction.prompt, (text,)) for c in pairs for text in (c.chosen, c.rejected)
            ]
            prompts, completions = zip(*each[:n], strict=True)
            return cls(list(prompts), list(completions), ([True, False] * len(pairs))[:n])
        pairs = comparisons(n, "train", work.seed)
        return cls(
            [c.instruction.prompt for c in pairs], [(c.chosen, c.rejected) for c in pairs], []
        )

    def rows(self, tokenizer) -> list[tuple[Row, ...]]:
        """The encoded completions of each prompt."""
        each = zip(self.prompts, self.completions, strict=True)
        return [tuple(encode(tokenizer, prompt, text) for text in texts) for prompt, texts in each]


def order_of(work: Work, rows: Sequence[tuple[Row, ...]]) -> list[list[int]]:
    """The batches of our loop: indices into the rows, which TRL is given in this order."""
    rng = Random(work.seed)
    if work.sampled:
        batches = prompt_batches([{"prompt": ""}] * len(rows), work.size, rng)
    else:
        batches = length_batches([max(one, key=len) for one in rows], work.size, rng)
    return list(islice(batches, work.steps))


def columns(work: Work, rows: Sequence[tuple[Row, ...]], liked: Sequence[bool]) -> list[dict]:
    """The encoded rows with the names that TRL's data collators read."""
    if work.method == "sft":
        return [
            {"input_ids": row.ids, "labels": [-100] * len(row.prompt_ids) + row.completion_ids}
            for (row,) in rows
        ]
    if work.method == "reward":
        return [{"chosen_ids": chosen.ids, "rejected_ids": other.ids} for chosen, other in rows]
    if work.method == "dpo":
        return [_of_pair(pair) for pair in rows]
    others = mismatched([row for (row,) in rows])
    return [
        {
            "prompt_ids": row.prompt_ids,
            "completion_ids": row.completion_ids,
            "KL_completion_ids": other.completion_ids,
            "label": label,
        }
        for (row,), other, label in zip(rows, others, liked, strict=True)
    ]


def _of_pair(pair: RowPair) -> dict[str, list[int]]:
    chosen, rejected = pair
    return {
        "prompt_ids": chosen.prompt_ids,
        "chosen_ids": chosen.completion_ids,
        "rejected_ids": rejected.completion_ids,
    }


def messages(texts: Texts, method: str, i: int) -> dict:
    """A row as text, as TRL's documentation has it: conversational, with a prompt of its own."""
    row = {"prompt": [{"role": "user", "content": texts.prompts[i]}]}
    replies = [[{"role": "assistant", "content": text}] for text in texts.completions[i]]
    if len(replies) == 2:
        return row | {"chosen": replies[0], "rejected": replies[1]}
    label = {"label": texts.liked[i]} if method == "kto" else {}
    return row | ({"completion": replies[0]} if replies else {}) | label


def parity(prompts, completions, completion_ids, **other) -> list[float]:
    """A reward that costs nothing and differs within a group: whether the sum of ids is odd.

    Of completions that are all cut at one length, the length would say nothing.
    """
    return [float(sum(ids) % 2) for ids in completion_ids]
