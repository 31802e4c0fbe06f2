"""The check of a graphics card, tried out without one."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from transformers import AutoConfig, LlamaConfig, LlamaForCausalLM

from benchmarks import gpu_check
from benchmarks.gpu import jobs, measuring, models, ours, properties, trl_loops, writing
from benchmarks.gpu.jobs import Budget, Job
from benchmarks.gpu.models import CUT, LLAMA, QUICK, SHIPPED, SMOLLM2, TINY, Sizes, reduced
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.models.loading import model_path
from minialign.core.models.memory import GIB, PART_BYTES, Shape
from minialign.core.tokens import prompt_ids
from tools.memory_needs import stage_bytes

FILES = ("gpu_loops", "gpu_memory", "gpu_steps")


def quick(tmp_path, *parts: str) -> dict[str, pd.DataFrame]:
    """The files of a quick run of some parts."""
    code = gpu_check.main(["--device", "cpu", "--quick", "--out", str(tmp_path), "--parts", *parts])
    failures = tmp_path / writing.FAILURES
    assert code == 0, failures.read_text() if failures.exists() else ""
    return {name: pd.read_csv(tmp_path / f"{name}.csv") for name in FILES}


# --- the jobs


def test_a_job_that_fails_is_recorded_and_the_rest_goes_on():
    def bad() -> dict:
        raise ValueError("a wrong number\nmore of it")

    budget = Budget(60.0)
    one, two = (budget.run(Job("essays", name, work)) for name, work in (
        ("bad", bad), ("good", lambda: {"seconds": 2})))  # fmt: skip
    assert (one.result, one.why) == ("failed", "ValueError: a wrong number")
    assert "in bad" in one.trace and "in bad" in str(one)
    assert (two.result, two.row) == ("ok", {"seconds": 2})


def test_a_job_that_takes_too_long_is_stopped_and_what_does_not_fit_is_skipped():
    def slow() -> dict:
        time.sleep(30)
        return {}

    start = time.monotonic()
    stopped = Budget(60.0).run(Job("essays", "slow", slow, limit=0.2))
    assert stopped.result == "skipped" and "stopped after" in stopped.why
    late = Budget(jobs.LEAST / 2).run(Job("essays", "late", slow))
    assert (late.result, late.why) == ("skipped", "no time was left")
    assert time.monotonic() - start < 5


def test_the_first_step_is_never_timed_and_late_loops_are_stopped():
    steps = measuring.Steps("cpu", warm=2, most=2, seconds=60.0)
    assert [steps.note() for _ in range(4)] == [False, False, False, True]
    steps.ends = [1.0, 2.0, 5.0, 9.0]
    assert steps.row() == {"steps": 2, "seconds": 3.5, "least": 3.0, "most": 4.0}
    late = measuring.Steps("cpu", warm=2, most=5, seconds=0.0)
    assert [late.note(), late.note()] == [False, True]
    late.ends = [1.0, 4.0]
    assert late.row()["seconds"] == 3.0
    late.ends = [1.0]
    with pytest.raises(RuntimeError, match="1 steps ended, but 2 must"):
        late.row()


# --- models and rows


def test_shapes_are_those_of_the_models_named():
    shipped = AutoConfig.from_pretrained(model_path("tiny-base"))
    assert {name: getattr(shipped, name) for name in TINY.config} == TINY.config
    for spec, parameters in ((SMOLLM2, 134515008), (LLAMA, 1235814400)):
        with torch.device("meta"):
            model = LlamaForCausalLM(LlamaConfig(**spec.config))
        assert sum(p.numel() for p in model.parameters()) == parameters


def test_every_row_has_the_same_length():
    policy, tokenizer = models.build(reduced(SMOLLM2), "cpu")
    rows = models.draw_rows(tokenizer, policy.config.vocab_size, QUICK)
    assert {len(row) for pair in rows.pairs for row in pair} == {QUICK.length}
    assert all(one.prompt_ids == two.prompt_ids for one, two in rows.pairs)
    prompts = [row["prompt"] for row in rows.prompts]
    assert {len(prompt_ids(tokenizer, prompt)) for prompt in prompts} == {QUICK.prompt_tokens}
    assert len({prompt[0]["content"] for prompt in prompts}) == len(prompts)


# --- the estimate


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_estimate_is_that_of_the_readme_for_what_a_loop_holds(dtype: torch.dtype):
    shape, sizes = Shape(134515008, 30, 576, 1536, 9, 192, 49152), Sizes()
    weights = 4 * shape.parameters
    beside = {"sft": 0, "reward": 1, "dpo": 2, "ppo": 0}  # models that a stage holds besides
    for loop, others in beside.items():
        _, found = ours.expected(
            loop, sizes, shape, dtype=dtype, trained=shape.parameters,
            head_trained=shape.parameters,
        )  # fmt: skip
        stage = stage_bytes(loop, sizes.batch_size, shape, sizes.length, dtype)
        assert found == pytest.approx(stage - others * weights)
    rows, found = ours.expected("grpo", sizes, shape, dtype=dtype, trained=shape.parameters, part=9)
    stage = stage_bytes("grpo", sizes.batch_size, shape, sizes.length, dtype)
    assert rows == 9 and stage - PART_BYTES < found < stage


def test_adapters_are_few():
    shape = Shape(1000000, 2, 64, 128, 4, 32, 2560)
    full, few = (
        ours.expected("ppo", QUICK, shape, trained=n, head_trained=n)[1] for n in (1000000, 1000)
    )
    assert full - few == pytest.approx(2 * 12 * 999000)


def test_measured_memory_is_near_the_estimate():
    """Of a model that is large beside its batch; the rest is held by tests/system/test_memory."""
    found = ours.measure("sft", TINY, QUICK, "cpu")
    assert 0.6 < found["ratio"] < 1.1
    assert found["measured_gib"] / found["estimate_gib"] == pytest.approx(found["ratio"], rel=0.01)
    assert found["steps"] == QUICK.steps and 0 < found["least"] <= found["seconds"]


def test_on_a_card_its_allocator_is_asked(monkeypatch: pytest.MonkeyPatch):
    """What earlier jobs left is not counted."""
    asked = []
    for name in ("empty_cache", "reset_peak_memory_stats", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, lambda name=name: asked.append(name))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3 * GIB)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 4 * GIB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: GIB // 2)
    with measuring.peak_memory("cuda", [], measuring.taken("cuda")) as peak:
        asked.append("work")
    assert asked == ["empty_cache", "reset_peak_memory_stats", "work", "synchronize"]
    assert peak.row() == {"measured_gib": 2.5, "reserved_gib": 3.5}


# --- the properties can fail


def test_another_algorithm_is_far_apart():
    def lazy(policy, tokenizer, rows) -> list[torch.nn.Module]:
        config = SftConfig(**properties.OFFLINE | {"learning_rate": 1e-5})
        train_sft(policy, tokenizer, rows.demonstrations, config)
        return [policy]

    essay, general = properties.PAIRS["sft"]
    assert "apart" in properties.near("sft", essay, general, SHIPPED, "cpu")
    with pytest.raises(AssertionError, match="of the way apart"):
        properties.near("sft", essay, lazy, SHIPPED, "cpu")
    with pytest.raises(AssertionError, match="no weight has moved"):
        properties.near("sft", *[lambda policy, *_: [policy]] * 2, SHIPPED, "cpu")


def test_a_reference_that_moves_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(properties, "frozen_reference", lambda policy: policy)
    with pytest.raises(AssertionError, match="the reference has moved"):
        properties.reference_unchanged("grpo", SHIPPED, "cpu")


def test_wrong_logprobs_are_noticed(monkeypatch: pytest.MonkeyPatch):
    right = properties.token_logprobs
    monkeypatch.setattr(properties, "token_logprobs", lambda *a: right(*a) - 0.02)
    with pytest.raises(AssertionError, match=r"apart by 0\.02"):
        properties.sampled_logprobs(SHIPPED, "cpu", "float32")


def test_another_sampler_is_noticed(monkeypatch: pytest.MonkeyPatch):
    right = properties.sample

    def other(policy, *args, fast, **settings):
        generator = torch.Generator(policy.device).manual_seed(int(fast))
        return right(policy, *args, fast=fast, generator=generator, **settings)

    monkeypatch.setattr(properties, "sample", other)
    with pytest.raises(AssertionError, match="completions are the same"):
        properties.fast_equals_reference(SHIPPED, "cpu")


# --- the whole


def test_what_is_written(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """Files and section of a few measurements, one of which fails."""
    monkeypatch.setattr(ours, "ESSAYS", ("sft", "nothing"))
    monkeypatch.setattr(gpu_check, "SPECS", (SMOLLM2,))
    given = ["--device", "cpu", "--quick", "--out", str(tmp_path), "--parts", "essays"]
    assert gpu_check.main(given) == 1
    text = (tmp_path / "RESULTS.md").read_text()
    assert text.startswith("# Results") and "`python -m benchmarks.gpu_check`" in text
    assert "- failed, ValueError: method 'nothing' is unknown" in text
    assert "Traceback" in (tmp_path / writing.FAILURES).read_text()
    memory, steps = (pd.read_csv(tmp_path / f"{name}.csv") for name in FILES[1:])
    assert memory["loop"].tolist() == steps["loop"].tolist() == ["sft"]
    assert {*writing.MEMORY, "torch", "transformers", "hardware"} <= set(memory.columns)
    assert {*writing.STEPS, "torch", "transformers", "hardware"} <= set(steps.columns)


def test_only_a_whole_run_on_a_card_writes_the_records(monkeypatch: pytest.MonkeyPatch):
    def run(*_, runs, results, **__) -> list:
        places.append((runs.resolve(), results.resolve()))
        return [SimpleNamespace(result="ok")]

    places: list = []
    monkeypatch.setattr(gpu_check, "run", run)
    monkeypatch.setattr(gpu_check, "where", lambda device: "a card")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    records = (gpu_check.ROOT / "data" / "runs", gpu_check.RESULTS)
    for given in ([], ["--quick"], ["--device", "cpu"], ["--parts", "essays"]):
        assert gpu_check.main(given) == 0
        assert (places[-1] == records) == (given == [])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_check.main([]) == 1 and len(places) == 4


def test_without_trl_its_trainers_are_left_out(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(trl_loops, "find_spec", lambda name: None)
    found = gpu_check.measurements("cpu", QUICK, quick=True)
    assert "trl is not installed, so its trainers are not measured" in capsys.readouterr().out
    assert {job.part for job in found} == {"essays", "general"}


@pytest.mark.slow
@pytest.mark.parametrize("parts", [("resuming", "properties"), ("essays", "trl", "general")])
def test_everything_runs_without_a_card(tmp_path, parts):
    files = quick(tmp_path, *parts)
    loops = [*ours.ESSAYS, *ours.GENERAL]
    if "resuming" in parts:
        checks = files["gpu_loops"]
        assert checks["result"].eq("ok").all()
        assert checks.query("part == 'resuming'")["check"].tolist() == loops
        assert len(checks.query("part == 'properties'")) == 17
        return
    memory = files["gpu_memory"]
    assert set(memory["loop"]) == set(loops) and memory["model"].nunique() == 3
    assert (memory["measured_gib"] > 0).all()
    steps = files["gpu_steps"].groupby("library")["loop"].agg(set).to_dict()
    expected = {"minialign": set(loops)}
    if not trl_loops.missing():
        expected["trl"] = set(trl_loops.LOOPS)
    assert steps == expected
    assert "Not measured" not in (tmp_path / "RESULTS.md").read_text()


def test_small_stand_ins_say_so():
    for spec in models.SPECS:
        small = reduced(spec)
        assert small.name == f"{spec.name}, cut" and small.config | CUT == small.config
