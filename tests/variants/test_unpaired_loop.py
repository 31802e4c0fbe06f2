"""The loop for unpaired feedback: mismatched rows, directions, balance, resuming."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from loop_inputs import FEEDBACK as ROWS
from loop_inputs import LIKED, TOKENIZER, small, stop_at
from same_weights import same, weights
from tiny_models import tiny_llama

from minialign.core.tokens import encode
from minialign.variants.loops.unpaired_loop import (
    UnpairedConfig,
    balanced,
    mismatched,
    running_point,
    train_unpaired,
)
from minialign.variants.methods import method
from minialign.variants.unpaired import kto_loss

settings = partial(small, UnpairedConfig)


def test_a_mismatched_row_has_its_own_prompt_and_anothers_completion():
    """Trap 44; repeated prompts are skipped."""
    rows = [ROWS[0], encode(TOKENIZER, "the cat", "ran"), ROWS[1]]
    found = mismatched(rows)
    assert [f.prompt_ids for f in found] == [r.prompt_ids for r in rows]
    assert [f.completion_ids for f in found] == [
        rows[2].completion_ids, rows[2].completion_ids, rows[0].completion_ids,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="all rows have one prompt"):
        mismatched(rows[:2])


@pytest.mark.parametrize("name", ["kto", "bco"])
def test_liked_completions_rise_above_disliked_ones(name: str):
    policy, seen = tiny_llama(), []
    before = weights(policy)
    train = method(name).trainer()
    history = train(policy, TOKENIZER, ROWS, LIKED, settings(steps=40), on_step=seen.append)
    names = ["loss", "kl", "liked", "disliked", "grad_norm", "learning_rate"]
    assert sorted(history.names) == sorted(names) and len(seen) == 40
    assert history["liked"][-1] > history["disliked"][-1] + 2
    assert history["kl"][0] == pytest.approx(0.0, abs=1e-4)
    assert not same(before, weights(policy))


@pytest.mark.parametrize("name", ["kto", "bco"])
def test_an_interrupted_run_ends_bit_equal(tmp_path, name: str):
    config, whole, resumed = settings(steps=6), tiny_llama(), tiny_llama()
    train = method(name).trainer()
    expected = train(whole, TOKENIZER, ROWS, LIKED, config)

    saved = {"checkpoint_dir": tmp_path / "c"}
    with pytest.raises(KeyboardInterrupt):
        train(tiny_llama(), TOKENIZER, ROWS, LIKED, config, on_step=stop_at(3), **saved)
    history = train(resumed, TOKENIZER, ROWS, LIKED, config, **saved)
    assert same(weights(whole), weights(resumed)) and len(history["loss"]) == 6
    assert history.to_rows() == expected.to_rows()  # BCO's running mean was kept


def test_bcos_point_is_the_mean_of_all_batches_so_far():
    state: dict = {}
    points = [
        running_point(torch.tensor([x, x + 2.0]), lambda: torch.zeros(2), state)
        for x in (0.0, 3.0, -1.0)
    ]
    assert points == pytest.approx([1.0, 2.5, 5 / 3]) and state["seen"] == 3


def test_classes_are_balanced_by_their_weights():
    up, down = balanced([True] + [False] * 5)
    assert up * 1 == pytest.approx(down * 5)
    loss = partial(kto_loss, liked_weight=up, disliked_weight=down)
    history = train_unpaired(
        tiny_llama(), TOKENIZER, ROWS, [True, False, False, False], settings(steps=1), loss=loss
    )
    plain = kto_loss(torch.zeros(4), torch.tensor([True, False, False, False]), 0.0)
    assert plain.tolist() == [0.5] * 4
    assert history["loss"][0] == pytest.approx((up * 0.5 + 3 * down * 0.5) / 4, abs=0.01)
    with pytest.raises(ValueError, match=r"liked_weight=0\.0, disliked_weight=1\.0: use above 0"):
        kto_loss(torch.zeros(2), torch.tensor([True, False]), 0.0, liked_weight=0.0)
    with pytest.raises(ValueError, match="2 liked and 0 disliked: give some of each"):
        balanced([True, True])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 1}, "batch_size is 1, but a reference point needs 2 or more"),
        ({"steps": 0}, "steps is 0; use 1 or more"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0; use a number above 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        settings(**changes)
    with pytest.raises(ValueError, match="4 rows and 3 labels"):
        train_unpaired(tiny_llama(), TOKENIZER, ROWS, LIKED[:3], settings())
