"""What a resumed run must find as it was: rows, labels, columns, rewards, reference, base."""

from __future__ import annotations

import copy
from dataclasses import fields
from functools import partial

import pytest
import transformers.utils.chat_template_utils as templates
from loop_runs import (
    DEMOS,
    FEEDBACK,
    LIKED,
    PAIRS,
    PROMPTS,
    ROWS,
    RUNS,
    TOKENIZER,
    letters,
    other_letters,
    policy,
    sft,
)
from tiny_models import tiny_llama

from minialign.algorithms.dpo import DpoConfig
from minialign.algorithms.grpo import GrpoConfig
from minialign.algorithms.ppo import PpoConfig
from minialign.algorithms.reward_model import RewardConfig
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.checkpoint import run_settings
from minialign.core.models.heads import RewardModel
from minialign.core.models.loading import add_lora
from minialign.core.tokens import encode
from minialign.rewards.learnt import reward_model_score
from minialign.variants.averages import token_mean
from minialign.variants.group_advantages import group_centred
from minialign.variants.loops.critic import Critic, imitation
from minialign.variants.loops.policy_loop import PolicyConfig
from minialign.variants.loops.preference_loop import PreferenceConfig
from minialign.variants.loops.unpaired_loop import UnpairedConfig, running_point
from minialign.variants.policy import clipped, sapo
from minialign.variants.preference import logistic_loss
from minialign.variants.reward_losses import adjusted_bradley_terry, plackett_luce
from minialign.variants.unpaired import kto_loss


def scored():
    return reward_model_score(RewardModel.from_policy(tiny_llama(), seed=1), TOKENIZER)


OTHER_COLUMN = [{**row, "answer": row["answer"] + 1} for row in ROWS]
SECOND_KIND = [*ROWS[:3], {**ROWS[3], "hint": "five"}]
OTHER_PROMPT = [*ROWS[:3], {**ROWS[3], "prompt": "the mat"}]
SWAPPED = [PAIRS[0][::-1], *PAIRS[1:]]
OTHER_LABEL = [True, True, True, False]
# Loop, what changes before the run is resumed, and the setting that the error names.
CHANGES = {
    "a demonstration": ("sft", {"rows": [*DEMOS[:3], DEMOS[0]]}, "data"),
    "order of demonstrations": ("sft", {"rows": DEMOS[::-1]}, "data"),
    "a demonstration of the general loop": (
        "supervised", {"rows": [*DEMOS[:3], DEMOS[0]]}, "data"
    ),
    "which tokens are imitated": ("supervised", {"loss_on": "all"}, "data"),
    "noise": ("supervised", {"noise_alpha": 5.0}, "data"),
    "a swapped comparison": ("reward", {"rows": SWAPPED}, "data"),
    "a swapped ranking": ("rankings", {"rows": SWAPPED}, "data"),
    "a loss of pairs of scores": (
        "rankings", {"pair_loss": partial(adjusted_bradley_terry, margin=1.0)}, "functions"
    ),
    "a loss of rankings": ("rankings", {"loss": plackett_luce}, "functions"),
    "a swapped pair": ("dpo", {"rows": SWAPPED}, "data"),
    "DPO's policy at the start": ("dpo", {"policy": tiny_llama(1)}, "reference"),
    "a swapped pair of the general loop": ("preference", {"rows": SWAPPED}, "data"),
    "a preference's reference": ("preference", {"reference": tiny_llama(1)}, "reference"),
    "a preference's policy at the start": ("preference", {"policy": tiny_llama(1)}, "reference"),
    "a setting of a preference's loss": (
        "preference", {"loss": partial(logistic_loss, beta=0.5)}, "functions"
    ),
    "KTO's labels": ("kto", {"liked": [not yes for yes in LIKED]}, "data"),
    "one of KTO's labels": ("kto", {"liked": OTHER_LABEL}, "data"),
    "KTO's completions": ("kto", {"rows": FEEDBACK[::-1]}, "data"),
    "KTO's reference": ("kto", {"reference": tiny_llama(1)}, "reference"),
    "KTO's weights": ("kto", {"loss": partial(kto_loss, liked_weight=2.0)}, "functions"),
    "KTO's reference point": ("kto", {"point": running_point}, "functions"),
    "RL's policy at the start, with a leash": ("policy", {"policy": tiny_llama(1)}, "reference"),
    "GRPO's policy at the start": ("grpo", {"policy": tiny_llama(1)}, "reference"),
    "PPO's policy at the start": ("ppo", {"policy": tiny_llama(1)}, "reference"),
    "the policy at the start, with a critic": (
        "policy_critic", {"policy": tiny_llama(1)}, "reference"
    ),
    "an advantage": ("policy", {"advantage": group_centred}, "functions"),
    "an objective": ("policy", {"objective": sapo}, "functions"),
    "a setting of an objective": ("policy", {"objective": partial(clipped, clip=0.1)}, "functions"),
    "an average": ("policy", {"average": token_mean}, "functions"),
    "a loss beside it": ("policy", {"extra_loss": imitation(DEMOS)}, "functions"),
}  # fmt: skip
for loop in ("grpo", "policy", "policy_critic", "ppo"):
    CHANGES |= {
        f"a column of {loop}": (loop, {"rows": OTHER_COLUMN}, "data"),
        f"a column of one row of {loop}": (loop, {"rows": SECOND_KIND}, "data"),
        f"a prompt of {loop}": (loop, {"rows": OTHER_PROMPT}, "data"),
        f"the reward of {loop}": (loop, {"reward": other_letters}, "rewards"),
        f"a watched reward of {loop}": (loop, {"watch": {"seen": letters}}, "rewards"),
        f"a learnt reward of {loop}": (loop, {"reward": scored()}, "rewards"),
    }


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_is_not_resumed_with_something_else(tmp_path, name):
    loop, changes, named = CHANGES[name]
    loop = RUNS[loop]
    base = {"beta": 0.1} if "leash" in name else {}
    loop(tmp_path / "run", **base)
    with pytest.raises(ValueError, match=rf"other settings \(.*{named}.*differ\)"):
        loop(tmp_path / "run", **base, **changes)
    assert len(loop(tmp_path / "run", **base)) == 2  # and with the same it is


CONFIGS = (SftConfig, RewardConfig, DpoConfig, PreferenceConfig, UnpairedConfig, GrpoConfig,
           PolicyConfig, PpoConfig)  # fmt: skip


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_setting_is_part_of_a_run(kind):
    """Also one whose name is that of something else that a run is known by."""
    config, data = kind(), [1]
    given = {"rewards": {"reward": letters}, "reference": tiny_llama(), "model": tiny_llama()}
    known = run_settings("loop", config, data, **given, functions={"loss": kto_loss})
    assert {field.name for field in fields(config)} <= set(known)
    assert all(known[f.name] == getattr(config, f.name) for f in fields(config))


@pytest.mark.parametrize(
    "changes",
    [{"lam": 0.9}, {"clip": None}, {"missing_eos": None}, {"scores": "clipped"},
     {"whiten_rewards": True}, {"target_kl": 6.0}],
    ids=str,
)  # fmt: skip
def test_every_setting_of_a_critic_is_part_of_a_run(changes):
    plain, other = (
        run_settings("policy", PolicyConfig(), [], functions={"critic": Critic(tiny_llama(), **c)})
        for c in ({}, changes)
    )
    assert plain != other


@pytest.mark.parametrize("name", ["grpo", "policy", "policy_critic", "ppo", "preference", "kto"])
def test_adapters_are_not_resumed_on_another_base(tmp_path, name):
    """A policy with adapters; where a reference is given, it stays the same."""
    loop = RUNS[name]
    given = {"reference": tiny_llama(5)} if name in ("preference", "kto") else {}
    loop(tmp_path / "run", policy=add_lora(tiny_llama(0)), **given)
    with pytest.raises(ValueError, match="frozen"):
        loop(tmp_path / "run", policy=add_lora(tiny_llama(1)), **given)


@pytest.mark.parametrize("name", ["grpo", "policy", "policy_critic", "ppo"])
def test_another_chat_template_is_another_run(tmp_path, monkeypatch, name):
    RUNS[name](tmp_path / "run")
    monkeypatch.setattr(TOKENIZER, "chat_template", TOKENIZER.chat_template + " ")
    with pytest.raises(ValueError, match="data"):
        RUNS[name](tmp_path / "run")


@pytest.mark.parametrize("name", ["grpo", "policy", "policy_critic", "ppo"])
def test_weights_of_a_learnt_reward_are_part_of_a_run(tmp_path, name):
    model = RewardModel.from_policy(tiny_llama(), seed=1)
    RUNS[name](tmp_path / "run", reward=reward_model_score(model, TOKENIZER))
    model.head.weight.data += 1
    with pytest.raises(ValueError, match="rewards"):
        RUNS[name](tmp_path / "run", reward=reward_model_score(model, TOKENIZER))


def test_an_adapter_is_not_resumed_on_another_base(tmp_path):
    def loop(seed: int) -> None:
        sft(tmp_path / "run", policy=add_lora(tiny_llama(seed)))

    loop(0)
    with pytest.raises(ValueError, match="frozen weights"):
        loop(1)
    loop(0)


def test_rl_without_a_leash_goes_on_from_a_policy_that_has_moved(tmp_path):
    """A cell that is run again after an interrupt: the checkpoint's weights replace its own."""
    model = tiny_llama()
    policy(tmp_path / "run", policy=model)
    assert len(policy(tmp_path / "run", policy=model)) == 2


DATED = (
    "{{ strftime_now('%d %b %Y') }} {% for m in messages %}<s>{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>{% endif %}"
)


def test_midnight_changes_no_run(tmp_path, monkeypatch):
    """A chat template that writes today's date, as those of Llama 3.1 and SmolLM3 do."""
    dated = copy.deepcopy(TOKENIZER)
    dated.chat_template = DATED
    found = []
    for day in ("01 Jan 2026", "02 Jan 2026"):

        class Clock(templates.datetime):
            @classmethod
            def now(cls, tz=None, day=day):
                return templates.datetime.strptime(day, "%d %b %Y")

        with monkeypatch.context() as patch:
            patch.setattr(templates, "datetime", Clock)
            templates._compile_jinja_template.cache_clear()
            rows = [encode(dated, prompt, "it is 5.") for prompt in PROMPTS]
            found.append(rows)
            train_sft(
                tiny_llama(), dated, rows, SftConfig(steps=2, batch_size=2, save_every=1),
                checkpoint_dir=tmp_path / "run",
            )  # fmt: skip
    templates._compile_jinja_template.cache_clear()
    assert found[0] == found[1]
