"""A short run of every training loop, which several test modules change in one place each."""

from __future__ import annotations

from pathlib import Path

from tiny_models import small_tokenizer, tiny_llama

from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.algorithms.reward_model import RewardConfig, train_reward
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.tokens import encode
from minialign.variants.loops.policy_loop import RlConfig, train_rl
from minialign.variants.loops.preference_loop import PreferenceConfig, train_preference
from minialign.variants.loops.unpaired_loop import UnpairedConfig, train_unpaired

TOKENIZER = small_tokenizer()
PROMPTS = ("the cat", "what is 2 plus 3?", "a dog", "the red house")
ROWS = [{"prompt": p, "answer": i} for i, p in enumerate(PROMPTS)]
DEMOS = [encode(TOKENIZER, prompt, "it is 5.") for prompt in PROMPTS]
PAIRS = [(demo, encode(TOKENIZER, p, "the mat")) for p, demo in zip(PROMPTS, DEMOS, strict=True)]
FEEDBACK = [encode(TOKENIZER, p, t) for p, t in zip(PROMPTS, ("a", "b", "it", "the"), strict=True)]
LIKED = [True, False, True, False]


def letters(completions, **columns):
    return [len(text) / 10 for text in completions]


def other_letters(completions, **columns):
    return [len(text) / 20 for text in completions]


def sft(folder: Path, **changes):
    given = {"policy": tiny_llama(), "rows": DEMOS} | changes
    config = SftConfig(steps=2, batch_size=2, save_every=1)
    return train_sft(given["policy"], TOKENIZER, given["rows"], config, checkpoint_dir=folder)


def reward(folder: Path, **changes):
    given = {"model": RewardModel.from_policy(tiny_llama()), "rows": PAIRS} | changes
    config = RewardConfig(steps=2, batch_size=2, save_every=1)
    return train_reward(given["model"], TOKENIZER, given["rows"], config, checkpoint_dir=folder)


def dpo(folder: Path, **changes):
    given = {"policy": tiny_llama(), "rows": PAIRS, "reference": None} | changes
    config = PreferenceConfig(steps=2, batch_size=2, save_every=1)
    return train_preference(
        given["policy"], TOKENIZER, given["rows"], config, reference=given["reference"],
        checkpoint_dir=folder,
    )  # fmt: skip


def kto(folder: Path, **changes):
    given = {"policy": tiny_llama(), "rows": FEEDBACK, "liked": LIKED, "reference": None} | changes
    config = UnpairedConfig(steps=2, batch_size=2, save_every=1)
    return train_unpaired(
        given["policy"], TOKENIZER, given["rows"], given["liked"], config,
        reference=given["reference"], checkpoint_dir=folder,
    )  # fmt: skip


def rl(folder: Path, **changes):
    given = {"policy": tiny_llama(), "rows": ROWS, "reward": letters, "watch": None} | changes
    config = RlConfig(
        steps=2, prompts=2, group_size=2, max_new_tokens=3, save_every=1, beta=given.get("beta", 0)
    )
    return train_rl(
        given["policy"], TOKENIZER, given["rows"], given["reward"], config, watch=given["watch"],
        checkpoint_dir=folder,
    )  # fmt: skip


def ppo(folder: Path, **changes):
    given = {"policy": tiny_llama(), "rows": ROWS, "reward": letters, "watch": None} | changes
    critic = ValueModel.from_policy(tiny_llama())
    config = PpoConfig(steps=2, prompts=2, minibatches=1, max_new_tokens=3, save_every=1)
    return train_ppo(
        given["policy"], critic, TOKENIZER, given["rows"], given["reward"], config,
        watch=given["watch"], checkpoint_dir=folder,
    )  # fmt: skip


RUNS = {"sft": sft, "reward": reward, "dpo": dpo, "kto": kto, "rl": rl, "ppo": ppo}
MODULES = {
    "sft": train_sft.__module__,
    "reward": train_reward.__module__,
    "dpo": train_preference.__module__,
    "kto": train_unpaired.__module__,
    "rl": train_rl.__module__,
    "ppo": train_ppo.__module__,
}
