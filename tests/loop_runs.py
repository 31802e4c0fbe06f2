"""A short run of every training loop, which several test modules change in one place each.

Essays and general loops alike: a run takes a folder, and what is to differ from its defaults.
"""

from __future__ import annotations

from pathlib import Path

from tiny_models import small_tokenizer, tiny_llama

from minialign.algorithms.dpo import DpoConfig, train_dpo
from minialign.algorithms.grpo import GrpoConfig, train_grpo
from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.algorithms.reward_model import RewardConfig, train_reward
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.tokens import encode
from minialign.variants.loops.critic import Critic
from minialign.variants.loops.offline_loop import train_rankings, train_supervised
from minialign.variants.loops.policy_loop import PolicyConfig, train_policy
from minialign.variants.loops.preference_loop import PreferenceConfig, train_preference
from minialign.variants.loops.unpaired_loop import UnpairedConfig, train_unpaired

TOKENIZER = small_tokenizer()
PROMPTS = ("the cat", "what is 2 plus 3?", "a dog", "the red house")
ROWS = [{"prompt": p, "answer": i} for i, p in enumerate(PROMPTS)]
DEMOS = [encode(TOKENIZER, prompt, "it is 5.") for prompt in PROMPTS]
PAIRS = [(demo, encode(TOKENIZER, p, "the mat")) for p, demo in zip(PROMPTS, DEMOS, strict=True)]
FEEDBACK = [encode(TOKENIZER, p, t) for p, t in zip(PROMPTS, ("a", "b", "it", "the"), strict=True)]
LIKED = [True, False, True, False]
FEW = {"steps": 2, "batch_size": 2, "save_every": 1}
FEW_SAMPLES = {"steps": 2, "prompts": 2, "max_new_tokens": 3, "save_every": 1}


def letters(completions, **columns):
    return [len(text) / 10 for text in completions]


def other_letters(completions, **columns):
    return [len(text) / 20 for text in completions]


def sft(folder: Path | None, *, policy=None, rows=DEMOS, on_step=None):
    policy, config = policy or tiny_llama(), SftConfig(**FEW)
    return train_sft(policy, TOKENIZER, rows, config, on_step=on_step, checkpoint_dir=folder)


def supervised(folder: Path | None, *, policy=None, rows=DEMOS, on_step=None, **more):
    return train_supervised(
        policy or tiny_llama(), TOKENIZER, rows, SftConfig(**FEW), on_step=on_step,
        checkpoint_dir=folder, **more,
    )  # fmt: skip


def reward(folder: Path | None, *, model=None, rows=PAIRS, on_step=None):
    model = model or RewardModel.from_policy(tiny_llama())
    config = RewardConfig(**FEW)
    return train_reward(model, TOKENIZER, rows, config, on_step=on_step, checkpoint_dir=folder)


def rankings(folder: Path | None, *, model=None, rows=PAIRS, on_step=None, **more):
    model = model or RewardModel.from_policy(tiny_llama())
    return train_rankings(
        model, TOKENIZER, rows, RewardConfig(**FEW), on_step=on_step, checkpoint_dir=folder, **more
    )


def dpo(folder: Path | None, *, policy=None, rows=PAIRS, on_step=None):
    policy, config = policy or tiny_llama(), DpoConfig(**FEW)
    return train_dpo(policy, TOKENIZER, rows, config, on_step=on_step, checkpoint_dir=folder)


def preference(
    folder: Path | None, *, policy=None, rows=PAIRS, reference=None, on_step=None, **more
):
    return train_preference(
        policy or tiny_llama(), TOKENIZER, rows, PreferenceConfig(**FEW), reference=reference,
        on_step=on_step, checkpoint_dir=folder, **more,
    )  # fmt: skip


def kto(
    folder: Path | None, *, policy=None, rows=FEEDBACK, liked=LIKED, reference=None, on_step=None,
    **more,
):  # fmt: skip
    return train_unpaired(
        policy or tiny_llama(), TOKENIZER, rows, liked, UnpairedConfig(**FEW), reference=reference,
        on_step=on_step, checkpoint_dir=folder, **more,
    )  # fmt: skip


def grpo(
    folder: Path | None, *, policy=None, rows=ROWS, reward=letters, watch=None, on_step=None,
    **settings,
):  # fmt: skip
    config = GrpoConfig(**{**FEW_SAMPLES, "group_size": 2, **settings})
    return train_grpo(
        policy or tiny_llama(), TOKENIZER, rows, reward, config, watch=watch, on_step=on_step,
        checkpoint_dir=folder,
    )  # fmt: skip


def policy(
    folder: Path | None, *, policy=None, rows=ROWS, reward=letters, watch=None, on_step=None,
    beta=0.0, **more,
):  # fmt: skip
    config = PolicyConfig(**FEW_SAMPLES, group_size=2, beta=beta)
    return train_policy(
        policy or tiny_llama(), TOKENIZER, rows, reward, config, watch=watch, on_step=on_step,
        checkpoint_dir=folder, **more,
    )  # fmt: skip


def policy_critic(
    folder: Path | None, *, policy=None, rows=ROWS, reward=letters, watch=None, on_step=None,
    **more,
):  # fmt: skip
    """The general loop as PPO: two models, and a state that is kept from step to step."""
    critic = Critic(ValueModel.from_policy(tiny_llama()), scores="normalised", target_kl=1.0)
    config = PolicyConfig(**FEW_SAMPLES, group_size=1, epochs=2, beta=0.05, kl="reward")
    return train_policy(
        policy or tiny_llama(), TOKENIZER, rows, reward, config, critic=critic, watch=watch,
        on_step=on_step, checkpoint_dir=folder, **more,
    )  # fmt: skip


def ppo(folder: Path | None, *, policy=None, rows=ROWS, reward=letters, watch=None, on_step=None):
    critic = ValueModel.from_policy(tiny_llama())
    config = PpoConfig(**FEW_SAMPLES, minibatches=1)
    return train_ppo(
        policy or tiny_llama(), TOKENIZER, rows, reward, config, value_model=critic, watch=watch,
        on_step=on_step, checkpoint_dir=folder,
    )  # fmt: skip


RUNS = {
    "sft": sft, "supervised": supervised, "reward": reward, "rankings": rankings, "dpo": dpo,
    "preference": preference, "kto": kto, "grpo": grpo, "policy": policy,
    "policy_critic": policy_critic, "ppo": ppo,
}  # fmt: skip
SCORERS = ("reward", "rankings")  # they train a reward model
CRITICS = ("policy_critic", "ppo")  # they train two models, with two updates a step
COMPARING = ("dpo", "preference", "kto", "grpo", "policy", "policy_critic", "ppo")


def trained_model(name: str, kind=tiny_llama):
    """A fresh model of what a loop trains, by the name of its argument."""
    model = kind()
    return {"model": RewardModel.from_policy(model)} if name in SCORERS else {"policy": model}
