"""What a resumed run must find as it was: rows, labels, columns, rewards, reference, base."""

from __future__ import annotations

import copy
from dataclasses import fields
from pathlib import Path

import pytest
import transformers.utils.chat_template_utils as templates
from tiny_models import small_tokenizer, tiny_llama

from minialign.batching import encode
from minialign.models import RewardModel, ValueModel, add_lora
from minialign.rewards.learnt import reward_model_score
from minialign.train.common import run_settings
from minialign.train.ppo import PpoConfig, train_ppo
from minialign.train.preference import PreferenceConfig, train_preference
from minialign.train.reward import RewardConfig, train_reward
from minialign.train.rl import RlConfig, train_rl
from minialign.train.sft import SftConfig, train_sft
from minialign.train.unpaired import UnpairedConfig, train_unpaired

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
