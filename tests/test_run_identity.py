"""What a resumed run must find as it was: rows, labels, columns, rewards, reference, base."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch
import transformers.utils.chat_template_utils as templates
from tiny_models import small_tokenizer, tiny_llama

from minialign.batching import encode
from minialign.checkpoint import fingerprint, load_checkpoint, save_checkpoint, weights_digest
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


# --- fingerprints


SAME = [
    ([{"a": 1, "b": "x"}], [{"b": "x", "a": 1}]),
    ([(1, 2)], [[1, 2]]),
    (torch.tensor([1, 2]), [1, 2]),
    ({"s": {3, 1}}, {"s": {1, 3}}),
]  # fmt: skip
DIFFERENT = [
    ([{"a": 1}], [{"a": 2}]), ([{"a": 1}], [{"a": "1"}]), ([{"a": None}], [{}]),
    ([True, False], [False, True]), (torch.tensor([0.1]), torch.tensor([0.2])),
    ("\ud800", "\ud801"), ([1, 2], [2, 1]),
]  # fmt: skip


@pytest.mark.parametrize(("one", "two"), SAME)
def test_equal_contents_have_equal_fingerprints(one, two):
    assert fingerprint(one) == fingerprint(two)


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
def test_other_contents_have_other_fingerprints(one, two):
    assert fingerprint(one) != fingerprint(two)


def test_keys_of_several_kinds_have_a_fingerprint():
    one, other = ([{1: "a", "b": 2, (3, 4): None}], [{1: "a", "b": 3, (3, 4): None}])
    assert fingerprint(one) == fingerprint([dict(reversed(one[0].items()))]) != fingerprint(other)


def test_objects_with_slots_have_a_fingerprint():
    class Point:
        __slots__ = ("x",)

        def __init__(self, x):
            self.x = x

    assert fingerprint([Point(1)]) == fingerprint([Point(1)]) != fingerprint([Point(2)])


def test_a_fingerprint_does_not_depend_on_where_an_object_lies():
    class Label:
        def __init__(self, value):
            self.value = value

    assert fingerprint([Label(1)]) == fingerprint([Label(1)]) != fingerprint([Label(2)])


def test_weights_are_told_apart_by_value_and_name_not_by_device_or_mode():
    model = tiny_llama()
    digest = weights_digest(model)
    assert weights_digest(copy.deepcopy(model).train()) == digest != weights_digest(tiny_llama(1))


# --- another kind of device


def test_a_run_goes_on_where_random_numbers_are_others(tmp_path):
    """A generator's state of a GPU fits no CPU: it is seeded anew from it, and that is said."""
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    path, generator = tmp_path / "run", torch.Generator().manual_seed(3)
    save_checkpoint(path, model, optimizer, {}, {"step": 1}, [generator])
    header = json.loads((path / "state.json").read_text())
    header["devices"] = ["cuda"]
    content = [header[name] for name in ("settings", "state", "devices")]
    header["digests"]["state"] = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    (path / "state.json").write_text(json.dumps(header))
    draws = []
    for _ in range(2):
        fresh = torch.Generator()
        with pytest.warns(UserWarning, match="began on cuda and goes on on cpu"):
            assert load_checkpoint(path, model, optimizer, {}, [fresh]) == {"step": 1}
        draws.append(torch.rand(3, generator=fresh))
    assert torch.equal(*draws)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_run_begun_on_a_gpu_is_finished_on_a_cpu(tmp_path):
    def loop(policy, steps):
        config = RlConfig(
            steps=4, prompts=2, group_size=2, max_new_tokens=3, save_every=1, beta=0.1
        )

        def stop(metrics):
            stop.left -= 1
            if not stop.left:
                raise KeyboardInterrupt

        stop.left = steps
        return train_rl(
            policy, TOKENIZER, ROWS, letters, config, on_step=stop, checkpoint_dir=tmp_path / "run"
        )

    with pytest.raises(KeyboardInterrupt):
        loop(tiny_llama().cuda(), 3)
    with pytest.warns(UserWarning, match="began on cuda"):
        assert len(loop(tiny_llama(), 9)) == 4


def test_the_scale_of_an_adapter_is_part_of_a_run(tmp_path):
    sft(tmp_path / "run", policy=add_lora(tiny_llama(), alpha=16))
    with pytest.raises(ValueError, match="adapters"):
        sft(tmp_path / "run", policy=add_lora(tiny_llama(), alpha=160))


def test_a_folder_is_given_as_a_text_too(tmp_path):
    assert len(rl(str(tmp_path / "run"))) == 2 == len(rl(str(tmp_path / "run")))


def test_files_of_others_stay_in_the_folder(tmp_path):
    """A callback saves a model into the run's own folder."""
    folder = tmp_path / "run"
    sft(folder)
    (folder / "best").mkdir()
    (folder / "best" / "notes.txt").write_text("mine")
    sft(folder)
    model = tiny_llama()
    optimizer = torch.optim.AdamW(model.parameters())
    save_checkpoint(folder, model, optimizer, {}, {"step": 9})
    assert (folder / "best" / "notes.txt").read_text() == "mine"


def test_an_empty_folder_is_none_of_a_run(tmp_path):
    (tmp_path / "run").mkdir()
    assert len(sft(tmp_path / "run")) == 2


def test_weights_of_another_number_type_are_refused(tmp_path):
    sft(tmp_path / "run")
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="another number type"):
        sft(tmp_path / "run", policy=tiny_llama().bfloat16())


@pytest.mark.parametrize("loop", [sft, reward, dpo, kto])
def test_rows_of_text_are_to_be_encoded_first(loop):
    texts = [{"prompt": "the cat", "completion": "it is 5."}] * 4
    rows = texts if loop in (sft, kto) else [(text, text) for text in texts]
    with pytest.raises(TypeError, match=r"encode it: encode\(tokenizer"):
        loop(None, rows=rows)
