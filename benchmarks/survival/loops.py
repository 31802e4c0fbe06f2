"""A run of a moment of every loop, on a random model of two layers, saved after each step."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from minialign.algorithms.dpo import DpoConfig, train_dpo
from minialign.algorithms.grpo import GrpoConfig, train_grpo
from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.algorithms.reward_model import RewardConfig, train_reward
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.models.loading import load_policy
from minialign.core.tokens import encode
from minialign.course.pipeline import stage
from minialign.system.folders import RUNS
from minialign.variants.loops.critic import Critic
from minialign.variants.loops.offline_loop import train_rankings, train_supervised
from minialign.variants.loops.policy_loop import PolicyConfig, train_policy
from minialign.variants.loops.preference_loop import PreferenceConfig, train_preference
from minialign.variants.loops.rounds import by_reward, train_on_own_replies
from minialign.variants.loops.unpaired_loop import UnpairedConfig, train_unpaired
from minialign.world.replies.preferences import comparisons

STEPS = 6
FEW = {"steps": STEPS, "batch_size": 4, "save_every": 1}
SAMPLED = {"steps": STEPS, "prompts": 4, "max_new_tokens": 8, "save_every": 1}
STAGES = ("sft", "reward", "ppo", "dpo", "grpo")
SIZES = "smoke, steps=2, examples=16, comparisons=16, eval_prompts=4, max_new_tokens=8"
Loop = Callable[..., tuple[list, list[torch.nn.Module]]]  # folder -> histories and models


@cache
def tokenizer() -> PreTrainedTokenizerBase:
    """That of the course's model."""
    return load_policy()[1]


def tiny(seed: int = 0) -> LlamaForCausalLM:
    """A random Llama of two layers."""
    torch.manual_seed(seed)
    words = tokenizer()
    ids = {f"{name}_token_id": getattr(words, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2}
    config = LlamaConfig(
        vocab_size=len(words), max_position_embeddings=512, **sizes, **heads, **ids
    )
    return LlamaForCausalLM(config).eval()


@cache
def compared(count: int = 16) -> list:
    return comparisons(count, "train", 0)


@cache
def pairs(count: int = 16) -> list:
    """(chosen, rejected) rows."""
    return [
        tuple(encode(tokenizer(), c.instruction.prompt, text) for text in (c.chosen, c.rejected))
        for c in compared(count)
    ]


def rows() -> list:
    return [row for pair in pairs() for row in pair]


def asked() -> list[dict]:
    return [{"prompt": c.instruction.prompt} for c in compared()]


def letters(completions, **columns) -> list[float]:
    """Different letters are good."""
    return [len(set(text)) / 10 for text in completions]


def _plain(train: Callable, config: object, *data: Callable) -> Loop:
    """A loop that trains a policy."""

    def loop(folder, **more):
        policy = tiny()
        given = [one() for one in data]
        history = train(policy, tokenizer(), *given, config, checkpoint_dir=folder, **more)
        return [history.to_rows()], [policy]

    return loop


def _scorer(train: Callable) -> Loop:
    def loop(folder, **more):
        model = RewardModel.from_policy(tiny())
        config = RewardConfig(**FEW)
        history = train(model, tokenizer(), pairs(), config, checkpoint_dir=folder, **more)
        return [history.to_rows()], [model]

    return loop


def _online(train: Callable, config: object) -> Loop:
    return _plain(train, config, asked, lambda: letters)


def ppo(folder, **more):
    policy, value = tiny(), ValueModel.from_policy(tiny(1))
    config = PpoConfig(**SAMPLED, minibatches=2)
    history = train_ppo(
        policy, tokenizer(), asked(), letters, config, value_model=value, checkpoint_dir=folder,
        **more,
    )  # fmt: skip
    return [history.to_rows()], [policy, value]


def policy_with_critic(folder, **more):
    policy, value = tiny(), ValueModel.from_policy(tiny(1))
    critic = Critic(value, scores="normalised", target_kl=1.0)
    config = PolicyConfig(**SAMPLED, group_size=1, epochs=2, beta=0.05, kl="reward")
    history = train_policy(
        policy, tokenizer(), asked(), letters, config, critic=critic, checkpoint_dir=folder, **more
    )
    return [history.to_rows()], [policy, value]


def rounds(folder, **more):
    """Two rounds of own replies."""
    policy = tiny()
    folder = None if folder is None else Path(folder)
    histories = train_on_own_replies(
        policy, tokenizer(), [c.instruction for c in compared()], by_reward(letters),
        PreferenceConfig(**FEW), max_new_tokens=8, checkpoint_dir=folder, **more,
    )  # fmt: skip
    return [history.to_rows() for history in histories], [policy]


def liked() -> list[bool]:
    return [True, False] * len(pairs())


LOOPS: dict[str, Loop] = {
    "sft": _plain(train_sft, SftConfig(**FEW), rows),
    "reward_model": _scorer(train_reward),
    "dpo": _plain(train_dpo, DpoConfig(**FEW), pairs),
    "ppo": ppo,
    "grpo": _online(train_grpo, GrpoConfig(**SAMPLED, group_size=2)),
    "supervised": _plain(train_supervised, SftConfig(**FEW), rows),
    "rankings": _scorer(train_rankings),
    "preference": _plain(train_preference, PreferenceConfig(**FEW), pairs),
    "unpaired": _plain(train_unpaired, UnpairedConfig(**FEW), rows, liked),
    "policy": _online(train_policy, PolicyConfig(**SAMPLED, group_size=2)),
    "policy with critic": policy_with_critic,
    "rounds": rounds,
}


def course_stage(name: str, folder: Path) -> tuple[list, list]:
    """A stage of the course, and those before it, kept below a folder; nothing is returned."""
    os.environ[RUNS] = str(folder)
    stage(name, profile=SIZES)
    return [], []


COURSE: dict[str, Loop] = {f"stage {name}": partial(course_stage, name) for name in STAGES}
