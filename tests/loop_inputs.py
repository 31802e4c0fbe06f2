"""What the tests of the loops share: rows, rewards, small settings."""

from __future__ import annotations

from collections.abc import Callable

import torch
from tiny_models import small_tokenizer
from torch import Tensor

from minialign.algorithms.dpo import DpoConfig
from minialign.algorithms.grpo import GrpoConfig
from minialign.algorithms.ppo import PpoConfig
from minialign.algorithms.reward_model import RewardConfig
from minialign.algorithms.sft import SftConfig
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.tokens import encode
from minialign.variants.loops.policy_loop import PolicyConfig
from minialign.variants.loops.preference_loop import PreferenceConfig
from minialign.variants.loops.unpaired_loop import UnpairedConfig
from minialign.world.tasks import instructions

TOKENIZER = small_tokenizer()

DEMO_TEXTS = [
    ("what is 2 plus 3?", "it is 5."),
    ("what is 3 plus 3?", "it is 6."),
    ("the cat", "sat on the mat"),
    ("a dog", "ran to the red house"),
    ("the red house", "is on the mat"),
    ("is it 5?", "it is"),
    ("the dog", "sat"),
    ("what is the cat?", "a cat is a cat."),
]
DEMOS = [encode(TOKENIZER, *text) for text in DEMO_TEXTS]

PAIR_TEXTS = [("the cat", "is here", "no"), ("a dog", "ran", "sat on a red mat"),
              ("it is", "2", "3"), ("what is 2 plus 3?", "5", "five cats")]  # fmt: skip
PAIRS = [(encode(TOKENIZER, q, a), encode(TOKENIZER, q, b)) for q, a, b in PAIR_TEXTS]
TRIPLES = [(*pair, encode(TOKENIZER, text[0], "red red"))
           for pair, text in zip(PAIRS, PAIR_TEXTS, strict=True)]  # fmt: skip

FEEDBACK_TEXTS = [("the cat", "is here", True), ("a dog", "sat on a red mat", False),
                  ("it is", "2", True), ("what is 2 plus 3?", "five cats", False)]  # fmt: skip
FEEDBACK = [encode(TOKENIZER, q, a) for q, a, _ in FEEDBACK_TEXTS]
LIKED = [liked for *_, liked in FEEDBACK_TEXTS]

PROMPTS = ["the cat", "what is 2 plus 3?", "a dog", "the red house", "it is"]
ASK = [{"prompt": prompt} for prompt in PROMPTS]
PROMPT_ROWS = [{"prompt": p, "numbers": (2, 3), "bonus": b} for p, b in (
    ("what is 2 plus 3?", 0.0), ("the cat", 1.0), ("a dog", 2.0), ("it is", 3.0)
)]  # fmt: skip

ASKED = instructions(9, "train", 0)

SMALL = {
    SftConfig: {"steps": 6, "batch_size": 4, "warmup": 2, "learning_rate": 5e-3},
    RewardConfig: {"steps": 4, "batch_size": 2, "warmup": 1, "save_every": 2},
    PreferenceConfig: {
        "steps": 4, "batch_size": 2, "warmup": 1, "save_every": 2, "learning_rate": 1e-3,
    },
    UnpairedConfig: {
        "steps": 4, "batch_size": 4, "warmup": 1, "save_every": 2, "learning_rate": 1e-3,
    },
    DpoConfig: {
        "steps": 4, "batch_size": 2, "warmup": 1, "save_every": 2, "learning_rate": 1e-3,
    },
    GrpoConfig: {
        "steps": 2, "prompts": 2, "group_size": 4, "max_new_tokens": 5, "save_every": 2,
        "learning_rate": 1e-3,
    },
    PolicyConfig: {
        "steps": 2, "prompts": 2, "group_size": 4, "max_new_tokens": 5, "save_every": 2,
        "learning_rate": 1e-3,
    },
    PpoConfig: {
        "steps": 4, "prompts": 4, "minibatches": 2, "max_new_tokens": 6, "save_every": 2,
        "learning_rate": 1e-3,
    },
}  # fmt: skip


def small(config: type, **changes) -> object:
    """Settings of a run of a moment, with changes."""
    return config(**SMALL[config] | changes)


def brevity(prompts, completions, **columns) -> list[float]:
    """Short completions are good."""
    return [-len(text) / 10 for text in completions]


def vowels(prompts, completions, **columns) -> list[float]:
    return [float(sum(c in "aeiou" for c in text)) for text in completions]


def each_token(rollout, rows) -> Tensor:
    """Rewards of steps, one token each."""
    likely = torch.where(rollout.logprobs > -3, 1.0, 0.0)
    return likely.masked_fill(rollout.completion_mask == 0, float("nan"))


def critic(policy) -> ValueModel:
    return ValueModel.from_reward_model(RewardModel.from_policy(policy))


def stop_at(step: int) -> Callable[[dict], None]:
    """An `on_step` that stops a run in its n-th step, before that step is saved."""
    done = []

    def on_step(metrics: dict) -> None:
        done.append(metrics)
        if len(done) == step:
            raise KeyboardInterrupt

    return on_step
