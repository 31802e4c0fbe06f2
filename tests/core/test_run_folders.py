"""Fingerprints of what rows hold, and the folder of a run: other devices, other people's files."""

from __future__ import annotations

import copy
import hashlib
import json

import pytest
import torch
from loop_runs import ROWS, RUNS, TOKENIZER, letters, sft
from tiny_models import tiny_llama

from minialign.algorithms.grpo import GrpoConfig, train_grpo
from minialign.core.checkpoint import fingerprint, load_checkpoint, save_checkpoint, weights_digest
from minialign.core.models.loading import add_lora

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
        config = GrpoConfig(
            steps=4, prompts=2, group_size=2, max_new_tokens=3, save_every=1, beta=0.1
        )

        def stop(metrics):
            stop.left -= 1
            if not stop.left:
                raise KeyboardInterrupt

        stop.left = steps
        return train_grpo(
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


@pytest.mark.parametrize("name", RUNS)
def test_a_folder_is_given_as_a_text_too(tmp_path, name):
    loop = RUNS[name]
    assert len(loop(str(tmp_path / "run"))) == 2 == len(loop(str(tmp_path / "run")))


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


OF_ROWS = ("sft", "supervised", "kto")
OF_PAIRS = ("reward", "rankings", "dpo", "preference")


@pytest.mark.parametrize("name", [*OF_ROWS, *OF_PAIRS])
def test_rows_of_text_are_to_be_encoded_first(name):
    texts = [{"prompt": "the cat", "completion": "it is 5."}] * 4
    rows = texts if name in OF_ROWS else [(text, text) for text in texts]
    with pytest.raises(TypeError, match=r"encode it: encode\(tokenizer"):
        RUNS[name](None, rows=rows)
