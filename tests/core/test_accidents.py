"""A full disk, full memory, and a second run on one folder: each is said, and nothing is lost."""

from __future__ import annotations

import errno
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from loop_runs import RUNS, trained_model
from same_weights import same, weights
from tiny_models import small_tokenizer, tiny_llama

from minialign.algorithms.grpo import GrpoConfig
from minialign.algorithms.ppo import PpoConfig
from minialign.algorithms.sft import SftConfig
from minialign.core import checkpoint, sampling
from minialign.core.models import references, training
from minialign.core.models.memory import PART_BYTES, what_halves
from minialign.course.stages import stage_cache

CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
CPU = RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")

# --- a disk that is full or cannot be written


@pytest.mark.parametrize("write", ["save_file", "write_text", "mkdir"])
def test_a_save_that_fails_leaves_the_last_one_and_says_what_to_do(tmp_path, monkeypatch, write):
    folder, failing = tmp_path / "run", []

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill(metrics):
        failing.append(metrics)
        if len(failing) == 2:  # in the second step, whose save will find no space
            owner = checkpoint if write == "save_file" else Path
            monkeypatch.setattr(owner, write, full)

    model = tiny_llama()
    with pytest.raises(OSError, match=r"checkpoint run could not be saved in .*No space left") as e:
        RUNS["sft"](folder, policy=model, on_step=fill)
    assert str(tmp_path) in str(e.value) and "free some disk there" in str(e.value)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    steps = []
    again, straight = tiny_llama(), tiny_llama()
    RUNS["sft"](folder, policy=again, on_step=steps.append)
    RUNS["sft"](None, policy=straight)
    assert len(steps) == 1 and same(weights(again), weights(straight))


# --- two runs on one folder


@pytest.mark.parametrize("name", RUNS)
def test_a_second_run_on_a_folder_is_refused_while_the_first_is_at_it(tmp_path, name):
    folder, refused = tmp_path / "run", []

    def intrude(metrics):
        with pytest.raises(RuntimeError, match="another run is writing into run; wait") as error:
            RUNS[name](folder, **trained_model(name))
        refused.append(str(error.value))

    model = trained_model(name)
    history = RUNS[name](folder, **model, on_step=intrude)
    assert len(refused) == 2 and "checkpoint_dir of its own" in refused[0]
    straight = trained_model(name)
    assert RUNS[name](None, **straight).to_rows() == history.to_rows()
    assert same(weights(*model.values()), weights(*straight.values()))
    assert [p.name for p in tmp_path.iterdir()] == ["run"]  # no lock is left


def test_a_run_that_failed_holds_no_folder_though_its_error_is_kept(tmp_path):
    def stop(metrics):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as kept:
        RUNS["grpo"](tmp_path / "run", on_step=stop)
    assert len(RUNS["grpo"](tmp_path / "run")) == 2 and kept.traceback


def test_many_threads_want_one_folder_and_one_has_it(tmp_path):
    """Nobody finds a half-written checkpoint: a run is refused, or goes on to the same end."""
    folder, ends = tmp_path / "run", []

    def run():
        try:
            ends.append(len(RUNS["sft"](folder)))
        except RuntimeError as error:
            ends.append(str(error)[:11])

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(ends) <= {2, "another run"} and 2 in ends


# --- memory


FIELDS = {"ppo": "minibatches", "grpo": "prompts", "policy": "prompts", "policy_critic": "prompts"}


@pytest.mark.parametrize("error", [CUDA, CPU, MemoryError()], ids=["cuda", "cpu", "python"])
@pytest.mark.parametrize("name", RUNS)
def test_a_loop_without_memory_names_the_field_that_halves_it(name, error):
    """In the forward pass of an update."""
    given = trained_model(name)
    (model,) = given.values()
    fails = type(error)(*error.args)

    def fill(module, inputs):
        if torch.is_grad_enabled():
            raise fails

    linear = next(m for m in model.modules() if isinstance(m, torch.nn.Linear))
    linear.register_forward_pre_hook(fill)
    with pytest.raises(type(fails)) as caught:
        RUNS[name](None, **given)
    (note,) = caught.value.__notes__
    assert note.startswith("memory ran out in an update: ")
    assert FIELDS.get(name, "batch_size") in note and "halves what it needs" in note


def test_sampling_names_its_own_field(monkeypatch):
    def full(*_, **__):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(sampling, "draw_tokens", full)
    with pytest.raises(RuntimeError) as caught:
        RUNS["grpo"](None)
    assert caught.value.__notes__ == [
        "memory ran out in sampling: GrpoConfig(prompts=1) in place of 2 halves what it needs"
    ]


def test_reading_the_reference_names_its_own(monkeypatch):
    monkeypatch.setattr(references, "token_logprobs", lambda *_: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError) as caught:
        RUNS["dpo"](None)
    (note,) = caught.value.__notes__
    assert "minialign.core.models.references.SIZE = 32 halves what it needs" in note


def test_other_errors_have_no_note_and_sampling_alone_none_either():
    with pytest.raises(RuntimeError) as caught, training(tiny_llama()):
        raise RuntimeError("CUDA out of memory")
    assert not hasattr(caught.value, "__notes__")  # no loop, so no config
    with pytest.raises(ValueError) as other:
        sampling.sample(tiny_llama(), small_tokenizer(), [])
    assert not hasattr(other.value, "__notes__")


def test_what_is_named_goes_down_until_nothing_is_left():
    """Each setting that a note names is one that the config takes."""
    config = SftConfig(batch_size=4)
    for half in (2, 1):
        assert f"batch_size={half})" in what_halves(config, "an update")
        config = replace(config, batch_size=half)
    assert "gradient_checkpointing_enable" in what_halves(config, "an update")
    ppo = PpoConfig(prompts=4, minibatches=1)
    for count in (2, 4):
        assert f"minibatches={count})" in what_halves(ppo, "an update")
        ppo = replace(ppo, minibatches=count)
    assert "gradient_checkpointing_enable" in what_halves(ppo, "an update")
    many = GrpoConfig(prompts=64)
    assert f"PART_BYTES = {PART_BYTES // 2}" in what_halves(many, "an update")
    few = GrpoConfig(prompts=2, group_size=4, max_new_tokens=2)
    assert "prompts=1)" in what_halves(few, "an update")
    for change in ({"prompts": 1}, {"group_size": 2}, {"max_new_tokens": 1}):
        ((name, value),) = change.items()
        assert f"{name}={value})" in what_halves(few, "sampling")
        few = replace(few, **change)
    assert "add_lora" in what_halves(few, "Adam")


# --- a stage


def test_a_kill_while_a_finished_stage_is_put_in_place_is_survived(tmp_path, monkeypatch):
    """What is left of its checkpoint is not taken for one to go on from."""
    monkeypatch.setenv("MINIALIGN_RUNS", str(tmp_path))
    trained = []

    def train(work):
        (work / "checkpoint").mkdir()
        trained.append(work)
        return tiny_llama(), small_tokenizer()

    def killed(folder, **_):
        if folder.name == "checkpoint":
            raise SystemExit
        real(folder, **_)

    real = stage_cache.shutil.rmtree
    monkeypatch.setattr(stage_cache.shutil, "rmtree", killed)
    with pytest.raises(SystemExit):
        stage_cache.cached("sft", {"a": 1}, train)
    monkeypatch.setattr(stage_cache.shutil, "rmtree", real)
    folder = stage_cache.cached("sft", {"a": 1}, train)
    assert len(trained) == 1 and (folder / "model.safetensors").exists()
