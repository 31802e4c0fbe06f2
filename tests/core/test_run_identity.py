"""What a resumed run must find as it was: rows, labels, columns, rewards, reference, base."""

from __future__ import annotations

import copy
from dataclasses import fields

import pytest
import transformers.utils.chat_template_utils as templates
from loop_runs import (
    DEMOS,
    FEEDBACK,
    LIKED,
    PAIRS,
    PROMPTS,
    ROWS,
    TOKENIZER,
    dpo,
    kto,
    letters,
    other_letters,
    ppo,
    reward,
    rl,
    sft,
)
from tiny_models import tiny_llama

from minialign.algorithms.ppo import PpoConfig
from minialign.algorithms.reward_model import RewardConfig
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.checkpoint import run_settings
from minialign.core.models.heads import RewardModel
from minialign.core.models.loading import add_lora
from minialign.core.tokens import encode
from minialign.rewards.learnt import reward_model_score
from minialign.variants.loops.policy_loop import RlConfig
from minialign.variants.loops.preference_loop import PreferenceConfig
from minialign.variants.loops.unpaired_loop import UnpairedConfig


def scored():
    return reward_model_score(RewardModel.from_policy(tiny_llama(), seed=1), TOKENIZER)


OTHER_COLUMN = [{**row, "answer": row["answer"] + 1} for row in ROWS]
SECOND_KIND = [*ROWS[:3], {**ROWS[3], "hint": "five"}]
OTHER_PROMPT = [*ROWS[:3], {**ROWS[3], "prompt": "the mat"}]
# Loop, what changes before the run is resumed, and the setting that the error names.
CHANGES = {
    "a demonstration": (sft, {"rows": [*DEMOS[:3], DEMOS[0]]}, "data"),
    "order of demonstrations": (sft, {"rows": DEMOS[::-1]}, "data"),
    "a swapped comparison": (reward, {"rows": [PAIRS[0][::-1], *PAIRS[1:]]}, "data"),
    "a swapped pair": (dpo, {"rows": [PAIRS[0][::-1], *PAIRS[1:]]}, "data"),
    "DPO's reference": (dpo, {"reference": tiny_llama(1)}, "reference"),
    "DPO's policy at the start": (dpo, {"policy": tiny_llama(1)}, "reference"),
    "KTO's labels": (kto, {"liked": [not yes for yes in LIKED]}, "data"),
    "one of KTO's labels": (kto, {"liked": [True, True, True, False]}, "data"),
    "KTO's completions": (kto, {"rows": FEEDBACK[::-1]}, "data"),
    "KTO's reference": (kto, {"reference": tiny_llama(1)}, "reference"),
    "RL's column": (rl, {"rows": OTHER_COLUMN}, "data"),
    "RL's column of one row": (rl, {"rows": SECOND_KIND}, "data"),
    "RL's prompt": (rl, {"rows": OTHER_PROMPT}, "data"),
    "RL's reward": (rl, {"reward": other_letters}, "rewards"),
    "RL's watched reward": (rl, {"watch": {"seen": letters}}, "rewards"),
    "RL's learnt reward": (rl, {"reward": scored()}, "rewards"),
    "RL's policy at the start, with a leash": (rl, {"policy": tiny_llama(1)}, "reference"),
    "PPO's column": (ppo, {"rows": OTHER_COLUMN}, "data"),
    "PPO's reward": (ppo, {"reward": other_letters}, "rewards"),
    "PPO's policy at the start": (ppo, {"policy": tiny_llama(1)}, "reference"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_is_not_resumed_with_something_else(tmp_path, name):
    loop, changes, named = CHANGES[name]
    base = {"beta": 0.1} if "leash" in name else {}
    loop(tmp_path / "run", **base)
    with pytest.raises(ValueError, match=rf"other settings \(.*{named}.*differ\)"):
        loop(tmp_path / "run", **base, **changes)
    assert len(loop(tmp_path / "run", **base)) == 2  # and with the same it is


CONFIGS = {"sft": SftConfig, "reward": RewardConfig, "dpo": PreferenceConfig,
           "kto": UnpairedConfig, "rl": RlConfig, "ppo": PpoConfig}  # fmt: skip


@pytest.mark.parametrize("loop", CONFIGS)
def test_every_setting_is_part_of_a_run(loop):
    """Also one whose name is that of something else that a run is known by."""
    config, data = CONFIGS[loop](), [1]
    given = {"rewards": {"reward": letters}, "reference": tiny_llama(), "model": tiny_llama()}
    known = run_settings(loop, config, data, **given)
    assert {field.name for field in fields(config)} <= set(known)
    assert all(known[f.name] == getattr(config, f.name) for f in fields(config))


def test_whitened_rewards_are_another_run():
    plain, other = (run_settings("ppo", PpoConfig(rewards=r), [], rewards={"reward": letters})
                    for r in ("plain", "whitened"))  # fmt: skip
    assert plain != other


@pytest.mark.parametrize("loop", [rl, ppo, dpo, kto])
def test_adapters_are_not_resumed_on_another_base(tmp_path, loop):
    """A policy with adapters; where a reference is given, it stays the same."""
    given = {"reference": tiny_llama(5)} if loop in (dpo, kto) else {}
    loop(tmp_path / "run", policy=add_lora(tiny_llama(0)), **given)
    with pytest.raises(ValueError, match="frozen"):
        loop(tmp_path / "run", policy=add_lora(tiny_llama(1)), **given)


def test_another_chat_template_is_another_run(tmp_path, monkeypatch):
    rl(tmp_path / "run")
    monkeypatch.setattr(TOKENIZER, "chat_template", TOKENIZER.chat_template + " ")
    with pytest.raises(ValueError, match="data"):
        rl(tmp_path / "run")


def test_weights_of_a_learnt_reward_are_part_of_a_run(tmp_path):
    model = RewardModel.from_policy(tiny_llama(), seed=1)
    rl(tmp_path / "run", reward=reward_model_score(model, TOKENIZER))
    model.head.weight.data += 1
    with pytest.raises(ValueError, match="rewards"):
        rl(tmp_path / "run", reward=reward_model_score(model, TOKENIZER))


def test_an_adapter_is_not_resumed_on_another_base(tmp_path):
    def loop(seed: int) -> None:
        sft(tmp_path / "run", policy=add_lora(tiny_llama(seed)))

    loop(0)
    with pytest.raises(ValueError, match="frozen weights"):
        loop(1)
    loop(0)


def test_rl_without_a_leash_goes_on_from_a_policy_that_has_moved(tmp_path):
    """A cell that is run again after an interrupt: the checkpoint's weights replace its own."""
    policy = tiny_llama()
    rl(tmp_path / "run", policy=policy)
    assert len(rl(tmp_path / "run", policy=policy)) == 2


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
