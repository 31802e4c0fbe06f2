"""Pretraining: seeded batches without waste, and a stopped run that goes on to the same weights."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import closing, nullcontext
from copy import deepcopy
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from minialign.core import checkpoint
from minialign.core.optim import NonFiniteStep
from tools.world_builder import pretrain
from tools.world_builder.corpus import corpus
from tools.world_builder.training.batches import chunks, make_chunk
from tools.world_builder.training.optimizers import StackedMuon

SMALL = pretrain.PretrainConfig(
    hidden=32, layers=1, heads=2, mlp=32, chunks=3, chunk_documents=24, batch_tokens=512, warmup=2
)
TOKENIZER = AutoTokenizer.from_pretrained(pretrain.MODEL_FOLDER)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A work folder that already has a tokenizer."""
    TOKENIZER.save_pretrained(tmp_path / "tokenizer")
    return tmp_path


def batches(config: pretrain.PretrainConfig, number: int) -> list[torch.Tensor]:
    return pretrain.batches_of(make_chunk(pretrain.make_plan(config, TOKENIZER), number), "cpu")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_batches_hold_every_document_once():
    rows = [row for ids in batches(SMALL, 1) for row in ids.tolist()]
    texts = sorted(TOKENIZER.decode(row, skip_special_tokens=True) for row in rows)
    n = SMALL.chunk_documents
    expected = [TOKENIZER(d.text)["input_ids"][: SMALL.max_tokens - 1] for d in corpus(n, start=n)]
    assert texts == sorted(TOKENIZER.decode(ids) for ids in expected)
    assert all(row[0] == TOKENIZER.bos_token_id for row in rows)
    assert all(row.count(TOKENIZER.eos_token_id) <= 1 for row in rows)


def test_batches_are_seeded_bounded_and_hardly_padded():
    config = pretrain.PretrainConfig(chunk_documents=512, batch_tokens=2048)
    one, two = (batches(config, 0) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    longest = [int((ids != TOKENIZER.pad_token_id).sum(1).max()) for ids in one]
    padded = [len(ids) * width for ids, width in zip(one, longest, strict=True)]
    assert all(tokens <= config.batch_tokens for tokens in padded)
    assert {ids.shape[1] % 16 for ids in one} == {0}
    padding = sum(int((ids == TOKENIZER.pad_token_id).sum()) for ids in one)
    assert padding < 0.1 * sum(ids.numel() for ids in one)


def test_a_batch_in_parts_is_the_same_update(monkeypatch: pytest.MonkeyPatch):
    ids, results = max(batches(SMALL, 0), key=len), []
    for tokens in (100_000, 40):
        monkeypatch.setattr(pretrain, "CPU_TOKENS", tokens)
        monkeypatch.setattr(pretrain, "fast_matmul", lambda device: nullcontext())
        model = pretrain.build_model(SMALL, TOKENIZER)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        results.append(pretrain.update(model, (optimizer,) * 2, SMALL, ids, 1.0))
    assert torch.tensor(results[0]).allclose(torch.tensor(results[1]), rtol=1e-5)


def test_workers_make_the_same_chunks_in_the_same_order():
    plan = pretrain.make_plan(SMALL, TOKENIZER)
    with closing(chunks(plan, 1, 2)) as made:
        for number, chunk in enumerate(islice(made, 6), start=1):
            alone = make_chunk(plan, number)
            assert np.array_equal(chunk.ids, alone.ids) and chunk.shapes == alone.shapes
            assert chunk.tokens == alone.tokens == int((chunk.ids != plan.pad).sum())
        assert len(multiprocessing.active_children()) == 2
    assert not multiprocessing.active_children()


def test_workers_end_with_a_run_that_is_killed():
    code = (
        "import multiprocessing, time\n"
        "from tools.world_builder.training.batches import Plan, chunks\n"
        "if __name__ == '__main__':\n"
        f"    plan = Plan(open({str(pretrain.MODEL_FOLDER / 'tokenizer.json')!r}).read(), "
        "0, 1, 2, documents=9, batch_tokens=512, max_tokens=64, seed=0)\n"
        "    made = chunks(plan, 0, 1)\n"
        "    next(made)\n"
        "    print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    worker = int(run.stdout.readline())
    run.send_signal(signal.SIGKILL)
    run.wait()
    for _ in range(100):
        if not _lives(worker):
            break
        time.sleep(0.05)
    assert not _lives(worker)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")  # one that has ended may still wait to be collected
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_stacked_muon_takes_the_steps_of_the_library():
    """Wide, tall and square matrices, and a checkpoint of the one in the other."""
    torch.manual_seed(0)
    shapes = [(8, 24), (24, 8), (8, 8), (8, 24), (8, 8)]
    one = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    two = [torch.nn.Parameter(p.detach().clone()) for p in one]
    library, stacked = torch.optim.Muon(one, lr=0.02), StackedMuon(two, lr=0.02)
    before = two[0].detach().clone()
    for step in range(4):
        for p, q in zip(one, two, strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        library.step()
        stacked.step()
        assert all(torch.allclose(p, q, atol=1e-5) for p, q in zip(one, two, strict=True))
        if step == 1:
            stacked.load_state_dict(deepcopy(library.state_dict()))
    assert not torch.allclose(before, two[0], atol=1e-2)


def test_padding_changes_no_loss():
    model = pretrain.build_model(SMALL, TOKENIZER)
    pad = TOKENIZER.pad_token_id
    ids = torch.tensor([[1, 40, 50, 60, 2]])
    wider = torch.nn.functional.pad(ids, (0, 3), value=pad)
    assert pretrain.next_token_loss(model, ids, pad).item() == pytest.approx(
        pretrain.next_token_loss(model, wider, pad).item(), abs=1e-6
    )


def test_a_stopped_run_goes_on_to_the_same_weights(work: Path, monkeypatch: pytest.MonkeyPatch):
    pretrain.pretrain(SMALL, work / "whole", work, save_every=0)
    (work / "checkpoint").rename(work / "finished")
    train_chunk, calls = pretrain._train_chunk, []

    def stop_in_the_second(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train_chunk(*args)

    monkeypatch.setattr(pretrain, "_train_chunk", stop_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        pretrain.pretrain(SMALL, work / "cut", work, save_every=0)
    assert not (work / "cut").exists()
    monkeypatch.setattr(pretrain, "_train_chunk", train_chunk)
    pretrain.pretrain(SMALL, work / "resumed", work, save_every=0)
    whole, resumed = weights(work / "whole"), weights(work / "resumed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_log_has_a_row_per_chunk(work: Path):
    pretrain.pretrain(SMALL, work / "out", work)
    with open(work / "out" / "training_log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == SMALL.chunks and tuple(rows[0]) == pretrain.LOG_FIELDS
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_other_settings_are_refused(work: Path):
    pretrain.pretrain(SMALL, work / "out", work)
    with pytest.raises(ValueError, match=r"other settings \(config differ\); delete the folder"):
        pretrain.pretrain(replace(SMALL, chunks=4), work / "out", work)


def test_a_save_that_was_cut_is_finished_or_ignored(tmp_path: Path):
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    path = tmp_path / "checkpoint"
    checkpoint.save_checkpoint(path, model, optimizer, {"a": 1}, {"step": 1})
    path.rename(tmp_path / "checkpoint.old")  # killed between the two renames
    checkpoint.save_checkpoint(tmp_path / "x", model, optimizer, {"a": 1}, {"step": 2})
    (tmp_path / "x").rename(tmp_path / "checkpoint.new")
    assert checkpoint.has_checkpoint(path)
    assert checkpoint.load_checkpoint(path, model, optimizer, {"a": 1}) == {"step": 2}
    (tmp_path / "checkpoint.new").mkdir()  # killed while writing: the old one stands
    assert checkpoint.has_checkpoint(path)
    assert checkpoint.load_checkpoint(path, model, optimizer, {"a": 1}) == {"step": 2}


def test_a_run_with_a_budget_plans_its_chunks(work: Path, monkeypatch: pytest.MonkeyPatch):
    """It takes the steps of one that was told its number, and keeps the number when it goes on."""
    monkeypatch.setattr(pretrain, "TRIAL_SECONDS", 0.0)
    monkeypatch.setattr(pretrain, "_fitted", lambda config, *_: replace(config, chunks=4))
    pretrain.pretrain(SMALL, work / "planned", work, seconds=9)
    training = json.loads((work / "planned" / "training.json").read_text())
    assert (
        training["config"] == asdict(replace(SMALL, chunks=4)) and "torch" in training["hardware"]
    )
    pretrain.pretrain(SMALL, work / "again", work, seconds=9)  # nothing is left to do
    (work / "checkpoint").rename(work / "finished")
    pretrain.pretrain(replace(SMALL, chunks=4), work / "told", work)
    planned, again, told = (weights(work / name) for name in ("planned", "again", "told"))
    for name in planned:
        assert torch.equal(planned[name], told[name]) and torch.equal(planned[name], again[name])


def test_a_plan_has_at_least_its_own_chunks_and_leaves_time_for_the_end():
    fitted = pretrain._fitted(SMALL, 0.5, 108.0)
    assert fitted == replace(SMALL, chunks=186)  # 0.93 of 100 s
    assert pretrain._fitted(SMALL, 60.0, 108.0) == SMALL


def test_a_chunk_that_is_not_finite_is_not_saved(work: Path, monkeypatch: pytest.MonkeyPatch):
    loss_of, calls = pretrain.next_token_loss, []

    def breaks_later(*args):
        calls.append(args)
        return loss_of(*args) * (float("nan") if len(calls) > 12 else 1.0)

    monkeypatch.setattr(pretrain, "next_token_loss", breaks_later)
    with pytest.raises(NonFiniteStep, match=r"step 12: loss nan .*--matrix-rate"):
        pretrain.pretrain(SMALL, work / "out", work, save_every=0)
    header = json.loads((work / "checkpoint" / "state.json").read_text())
    assert header["state"]["step"] <= 12 and header["state"]["chunk"] >= 1
    assert not (work / "out").exists()
