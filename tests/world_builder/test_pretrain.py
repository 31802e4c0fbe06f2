"""Pretraining: seeded batches without waste, and a stopped run that goes on to the same weights."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from minialign.core import checkpoint
from tools.world_builder import pretrain
from tools.world_builder.corpus import corpus

SMALL = pretrain.PretrainConfig(
    hidden=32, layers=1, heads=2, mlp=32, chunks=3, chunk_documents=24, batch_tokens=512, warmup=2
)
TOKENIZER = AutoTokenizer.from_pretrained(pretrain.MODEL_FOLDER)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A work folder that already has a tokenizer."""
    TOKENIZER.save_pretrained(tmp_path / "tokenizer")
    return tmp_path


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_batches_hold_every_document_once():
    rows = [row for ids in pretrain.batches(TOKENIZER, SMALL, 1) for row in ids.tolist()]
    texts = sorted(TOKENIZER.decode(row, skip_special_tokens=True) for row in rows)
    n = SMALL.chunk_documents
    expected = [TOKENIZER(d.text)["input_ids"][: SMALL.max_tokens - 1] for d in corpus(n, start=n)]
    assert texts == sorted(TOKENIZER.decode(ids) for ids in expected)
    assert all(row[0] == TOKENIZER.bos_token_id for row in rows)
    assert all(row.count(TOKENIZER.eos_token_id) <= 1 for row in rows)


def test_batches_are_seeded_bounded_and_hardly_padded():
    config = pretrain.PretrainConfig(chunk_documents=512)
    one, two = (list(pretrain.batches(TOKENIZER, config, 0)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    longest = [int((ids != TOKENIZER.pad_token_id).sum(1).max()) for ids in one]
    padded = [len(ids) * width for ids, width in zip(one, longest, strict=True)]
    assert all(tokens <= config.batch_tokens for tokens in padded)
    assert {ids.shape[1] % 16 for ids in one} == {0}
    padding = sum(int((ids == TOKENIZER.pad_token_id).sum()) for ids in one)
    assert padding < 0.1 * sum(ids.numel() for ids in one)


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
