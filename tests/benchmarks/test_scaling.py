"""The benchmark of scaling: what it counts, what it fits, and what it writes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import tiny_llama
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import scaling, scaling_report
from benchmarks.flops import Batch, Costs, done, needed
from minialign.core.models.heads import RewardModel
from minialign.core.models.loading import load_policy
from minialign.core.tokens import prompt_ids

LIKE, TOKENIZER = load_policy()
POINT = scaling.Point(4, 32, 2, scaling.Size(64, 2))


def policies() -> list:
    """Grouped queries, and tiny-base's kind in two sizes."""
    random = [scaling.random_policy(LIKE, scaling.Size(64, n)) for n in (1, 2)]
    return [tiny_llama(), *random]


@pytest.mark.parametrize("policy", policies(), ids=["grouped queries", "one layer", "two layers"])
def test_the_formula_is_what_torch_counts(policy):
    policy.set_attn_implementation("eager")
    ids = torch.randint(9, 300, (3, 24), generator=torch.Generator().manual_seed(0))
    with FlopCounterMode(display=False) as forward:
        logits = policy(ids, use_cache=False).logits
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    formula = Costs.of(policy).forward(ids.numel(), ids.shape[1], predicted=ids.numel())
    assert forward.get_total_flops() == pytest.approx(formula, rel=0.02)
    assert backward.get_total_flops() == pytest.approx(2 * formula, rel=0.02)


def test_a_body_without_a_head_needs_less():
    policy = scaling.random_policy(LIKE, scaling.Size(64, 2))
    ids = torch.full((2, 16), 9)
    with FlopCounterMode(display=False) as counter:
        RewardModel.from_policy(policy)(ids, torch.ones_like(ids)).sum()
    # The score head's own product, and the trial pass that learns its width, are beside it.
    assert counter.get_total_flops() == pytest.approx(Costs.of(policy).forward(32, 16), rel=0.05)


@pytest.mark.parametrize(
    ("loop", "passes"), [("sft", 3), ("dpo", 3), ("grpo", 5), ("reward model", 3), ("ppo", 9)]
)
def test_a_step_is_so_many_passes_of_what_is_needed(loop, passes):
    """PPO with one pass over the rollout: 5 of the policy, and 4 of the critic, which has no head.

    Prompts that are shared are counted once.
    """
    costs, batch = Costs(body=100, attention=3, head=0), Batch(8, 2, 6, 4)
    one = (2 * 6 + 8 * 4) * (100 + 3 * 10)
    assert needed(loop, costs, batch) == passes * one
    headed = Costs(body=0, attention=0, head=7)
    of_policy = {"reward model": 0, "ppo": 5}.get(loop, passes)
    assert needed(loop, headed, batch) == of_policy * 7 * 8 * 4
    with pytest.raises(ValueError, match="loop is 'sgd'; use one of sft, reward model"):
        needed("sgd", costs, batch)


def test_what_a_step_does_is_counted_without_what_comes_before():
    """SFT with the whole sequence as what is needed: three passes, the head on what is read."""
    costs = Costs.of(scaling.random_policy(LIKE, POINT.size))

    def steps(count: int) -> None:
        policy = scaling.random_policy(LIKE, POINT.size)
        scaling.train("sft", policy, TOKENIZER, POINT, count)

    full = 3 * costs.forward(4 * 32, 32, predicted=4 * 32)
    least = needed("sft", costs, POINT.batch("sft"))
    assert least < done(steps) * 1.03 and done(steps) < full * 1.03


@pytest.mark.parametrize("loop", scaling.LOOPS)
def test_a_loop_trains_on_sequences_of_the_length_that_was_asked_for(loop, monkeypatch):
    """A row is prompt and completion; where completions share a prompt, it stands before them."""
    seen, policy = [], scaling.random_policy(LIKE, POINT.size)

    def note(module, inputs, given, output) -> None:
        seen.append(tuple(given["input_ids"].shape))

    hook = policy.model.register_forward_hook(note, with_kwargs=True)
    metrics = []
    scaling.train(loop, policy, TOKENIZER, POINT, 1, metrics.append)
    hook.remove()
    alone = loop in ("sft", "ppo")
    half = POINT.length // 2  # of prompt and completion alike
    assert max(width for _, width in seen) == half * (2 if alone else 3)  # pairs, groups of two
    if loop in ("grpo", "ppo"):
        assert metrics[0]["length"] == POINT.batch(loop).completion_length
        assert metrics[0]["stops"] == 0
    if loop == "sft":
        assert metrics[0]["tokens"] == POINT.sequences * POINT.length / 2


def test_prompts_have_an_exact_length():
    rows = scaling.prompts_of(TOKENIZER, 5, 16)
    assert [len(prompt_ids(TOKENIZER, row["prompt"])) for row in rows] == [16] * 5
    with pytest.raises(ValueError, match="prompts of 2 tokens came out as"):
        scaling.prompts_of(TOKENIZER, 1, 2)


def test_one_thing_changes_at_a_time():
    points = list(scaling.points("grpo", scaling.BASE, scaling.AXES))
    assert len(points) == 16 and len(list(scaling.points("ppo", scaling.BASE, scaling.AXES))) == 12
    for axis, point in points:
        changed = {name for name, x in vars(point).items() if x != getattr(scaling.BASE, name)}
        assert changed <= {axis, *(["sequences"] if axis == "group_size" else [])}
    prompts = {point.batch("grpo").prompts for axis, point in points if axis == "group_size"}
    assert prompts == {4}


def synthetic() -> pd.DataFrame:
    """Steps whose seconds follow a known power on each axis; share 25% at the base."""
    powers = {"sequences": 1.0, "length": 1.3, "group_size": 0.7, "size": 0.9}
    rows = []
    for axis, power in powers.items():
        for factor in (1, 2, 4, 8):
            size = dict.fromkeys(("sequences", "group_size", "parameters", "prompt_length"), 4)
            size["completion_length"] = 4
            if axis == "length":
                size["prompt_length"] = size["completion_length"] = 4 * factor
            else:
                size["parameters" if axis == "size" else axis] *= factor
            for step, noise in ((2, 1.0), (3, 0.5), (4, 3.0)):
                rows.append({
                    "loop": "grpo", "axis": axis, "base": factor == 1, **size, "step": step,
                    "seconds": 2.0 * factor**power * noise, "tokens": 100, "needed": 5e9,
                    "done": 6e9, "limit_before": 9e9, "limit_after": 10e9,
                    "precision": "float32", "clock": "wall", "machine": "A machine.",
                })  # fmt: skip
    return pd.DataFrame(rows)


def test_exponents_are_found_again():
    found = scaling_report.exponents(scaling_report.with_rates(synthetic()))
    assert found.loc["grpo"].tolist() == pytest.approx([1.0, 1.3, 0.7, 0.9])
    sizes = np.array([1.0, 3.0, 10.0])
    assert scaling_report.exponent(sizes, 7 * sizes**1.5) == pytest.approx(1.5)


def test_a_share_is_what_is_needed_over_the_faster_limit():
    rows = scaling_report.with_rates(synthetic())
    at = rows[rows["base"] & (rows["step"] == 2)]
    assert at["share"].tolist() == pytest.approx([0.25] * 4)
    assert at["rate"].tolist() == [50.0] * 4


def test_loops_without_groups_are_shown_too(tmp_path):
    rows = synthetic()
    rows = rows[rows["axis"] != "group_size"].assign(loop="sft")
    scaling_report.write(rows, scaling.Places.of("scaling", tmp_path))
    assert "| sft | 1.00 | 1.30 |  | 0.90 |" in (tmp_path / "RESULTS.md").read_text()


def test_another_section_stays(tmp_path):
    places = scaling.Places.of("scaling", tmp_path)
    places.results.write_text("# Results\n\n## `python -m benchmarks.other`\n\nKept.\n")
    scaling_report.write(synthetic(), places)
    text = places.results.read_text()
    assert "Kept." in text and text.count("\n## ") == 2
    assert "| grpo | 2.000 (1.000 to 6.000) | 50 | 5.0 | 1.20 | 25.0% |" in text
    assert "| grpo | 1.00 | 1.30 | 0.70 | 0.90 |" in text


def test_a_quick_run_writes_section_rows_and_figure(tmp_path):
    scaling.main(["--quick", "--loops", "sft", "grpo", "--repeats", "1", "--into", str(tmp_path)])
    rows = pd.read_csv(tmp_path / "bench_scaling.csv")
    assert set(rows["loop"]) == {"sft", "grpo"}
    assert len(rows) == 2 * 3 * 2 + 2  # loops, axes and values, and the groups of GRPO
    assert (rows["seconds"] > 0).all() and (rows["limit_after"] > 0).all()
    base = rows[rows["base"]]
    assert (base["done"] > 0.98 * base["needed"]).all()  # the last token sampled is not read again
    text = (tmp_path / "RESULTS.md").read_text()
    assert f"## `{scaling_report.COMMAND}`" in text and "(bench_scaling.png)" in text
    assert 0 < (tmp_path / "bench_scaling.png").stat().st_size < 100_000
