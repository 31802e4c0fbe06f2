"""The benchmark of sampling: what it counts, and what it keeps of earlier runs."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from tiny_models import small_tokenizer, tiny_llama

from benchmarks import sampling, sampling_report
from benchmarks.records import Places, replace_rows
from minialign.core.tokens import end_ids

TOKENIZER = small_tokenizer()
ENDS = end_ids(TOKENIZER)
WORK = sampling.Workload("few", ["the cat", "what is 2 plus 3?", "a dog"], 2, 5)
ABOUT = {
    "max_new_tokens": 5, "sft_steps": 0, "clock": "wall", "machine": "A machine.",
    "completions": 6, "prompts": 3,
}  # fmt: skip


def test_the_floor_reads_prompts_once_and_predicts_every_sampled_token():
    policy = tiny_llama()
    rollout = sampling.ours(policy, TOKENIZER, WORK, 0)
    rows = sampling.floor_rows(rollout)
    sampled = int(rollout.lengths.sum())
    prompts = int((rollout.attention_mask.sum(1) - rollout.lengths)[::2].sum())
    again = len(WORK.prompts)  # the last token of each prompt, before its second completion
    assert sum(map(len, rows)) == prompts + again + sampled - len(rollout)
    heads = []
    hook = policy.get_output_embeddings().register_forward_hook(
        lambda module, inputs, logits: heads.append(logits.shape[:-1].numel())
    )
    assert sampling.forward(policy, rows, TOKENIZER.pad_token_id, 4) == sampled
    hook.remove()
    assert sum(heads) == sampled


def test_the_floor_of_a_first_completion_has_the_logprobs_of_the_rollout():
    """It is the model's own forward pass over the same tokens."""
    policy, logits = tiny_llama(), []
    rollout = sampling.ours(policy, TOKENIZER, WORK, 0)
    hook = policy.get_output_embeddings().register_forward_hook(
        lambda module, inputs, output: logits.append(output)
    )
    sampling.forward(policy, sampling.floor_rows(rollout)[:1], TOKENIZER.pad_token_id, 4)
    hook.remove()
    ids = torch.tensor(rollout.completion_ids[0])
    logprobs = logits[0].log_softmax(-1).gather(1, ids[:, None])[:, 0]
    expected = rollout.logprobs[0][rollout.completion_mask[0].bool()]
    assert torch.allclose(logprobs, expected, atol=1e-4)


def test_without_ends_both_samplers_fill_their_room():
    policy = tiny_llama()
    with sampling.NeverStop(policy, ENDS):
        rollout = sampling.ours(policy, TOKENIZER, WORK, 0)
        assert rollout.lengths.tolist() == [5] * 6
        assert sampling.theirs(policy, TOKENIZER, WORK, 0) == 30
    with torch.no_grad():
        logits = policy(torch.ones(1, 1, dtype=torch.long)).logits
    assert logits[..., list(ENDS)].min() > torch.finfo(logits.dtype).min  # it lasts no longer


def test_an_end_is_counted_and_what_follows_is_not(monkeypatch):
    policy, pad, end = tiny_llama(), TOKENIZER.pad_token_id, ENDS[0]
    new = torch.tensor([[9, end, pad, pad], [end, pad, pad, pad], [9, 9, 9, 9]])

    def generate(input_ids, **settings):
        return torch.cat([input_ids, new], 1)

    monkeypatch.setattr(policy, "generate", generate)
    work = sampling.Workload("few", WORK.prompts, 1, 4)
    assert sampling.theirs(policy, TOKENIZER, work, 0) == 2 + 1 + 4


def rows_of(model: str, seconds: dict[str, float]) -> pd.DataFrame:
    """Two turns with 60 tokens of each tool; the second takes twice as long."""
    records = [
        {"repeat": turn, "tool": tool, "tokens": 60, "seconds": turn * each}
        for turn in (1, 2)
        for tool, each in seconds.items()
    ]
    about = {"model": model, "precision": "float32", "workload": "few", **ABOUT}
    return pd.DataFrame(records).assign(**about)


FAST = {"sample": 2.0, "generate": 6.0, "forward": 1.0}


def test_ratios_are_taken_within_a_turn():
    measured = sampling_report.turns(rows_of("a", FAST))
    assert measured["sample"].tolist() == [30.0, 15.0]
    assert measured["faster"].tolist() == pytest.approx([3.0, 3.0])
    assert measured["sample_passes"].tolist() == pytest.approx([2.0, 2.0])
    assert measured["generate_passes"].tolist() == pytest.approx([6.0, 6.0])


def test_a_second_model_leaves_the_rows_of_the_first(tmp_path):
    places, key = Places.of("sampling", tmp_path), ["model", "precision"]
    for model in ("first", "second"):
        rows = replace_rows(rows_of(model, FAST), places.records, key)
        sampling_report.write(rows, places)
    assert rows["model"].tolist() == ["first"] * 6 + ["second"] * 6
    slow = rows_of("first", FAST | {"sample": 4.0})
    rows = replace_rows(slow, places.records, key)
    sampling_report.write(rows, places)
    assert len(rows) == 12 and (rows["model"] == "first").sum() == 6
    text = places.results.read_text()
    assert text.count(f"## `{sampling_report.COMMAND}`") == 1
    lines = {line.split(",")[0]: line for line in text.splitlines() if line.startswith("| ")}
    assert "| 4.00 (4.00 to 4.00) |" in lines["| first"]
    assert "| 2.00 (2.00 to 2.00) |" in lines["| second"]


def test_a_run_writes_section_rows_and_figure(tmp_path):
    few = ["--sft-steps", "0", "--prompts", "2", "--max-new-tokens", "3", "--repeats", "2"]
    sampling.main([*few, "--into", str(tmp_path)])
    rows = pd.read_csv(tmp_path / "bench_sampling.csv")
    assert rows.groupby(["workload", "tool"])["repeat"].nunique().eq(2).all()
    assert set(rows["tool"]) == {"sample", "generate", "forward"} and len(rows) == 4 * 2 * 3
    assert (rows["seconds"] > 0).all() and (rows["tokens"] > 0).all()
    equal = rows[rows["workload"].str.startswith("equal") & (rows["tool"] != "generate")]
    assert (equal["tokens"] == 3 * equal["completions"]).all()
    assert "(bench_sampling.png)" in (tmp_path / "RESULTS.md").read_text()
    assert 0 < (tmp_path / "bench_sampling.png").stat().st_size < 100_000
