"""The loop for unpaired feedback: mismatched rows, directions, balance, resuming."""

from __future__ import annotations

from functools import partial

import pytest
from loop_inputs import FEEDBACK as ROWS
from loop_inputs import LIKED, TOKENIZER, small, stop_at
from same_weights import same, weights
from tiny_models import tiny_llama

from minialign.core.tokens import encode
from minialign.variants.loops.unpaired_loop import (
    UnpairedConfig,
    balanced,
    mismatched,
    train_unpaired,
)

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


@pytest.mark.parametrize("loss", ["kto", "bco"])
def test_liked_completions_rise_above_disliked_ones(loss: str):
    policy, seen = tiny_llama(), []
    before = weights(policy)
    history = train_unpaired(
        policy, TOKENIZER, ROWS, LIKED, settings(steps=40, loss=loss), on_step=seen.append
    )
    names = ["loss", "kl", "liked", "disliked", "grad_norm", "learning_rate"]
    assert sorted(history.names) == sorted(names) and len(seen) == 40
    assert history["liked"][-1] > history["disliked"][-1] + 2
    assert history["kl"][0] == pytest.approx(0.0, abs=1e-4)
    assert not same(before, weights(policy))


@pytest.mark.parametrize("loss", ["kto", "bco"])
def test_an_interrupted_run_ends_bit_equal(tmp_path, loss: str):
    config, whole, resumed = settings(steps=6, loss=loss), tiny_llama(), tiny_llama()
    train_unpaired(whole, TOKENIZER, ROWS, LIKED, config)

    with pytest.raises(KeyboardInterrupt):
        train_unpaired(
            tiny_llama(), TOKENIZER, ROWS, LIKED, config, on_step=stop_at(3),
            checkpoint_dir=tmp_path / "c",
        )  # fmt: skip
    history = train_unpaired(resumed, TOKENIZER, ROWS, LIKED, config, checkpoint_dir=tmp_path / "c")
    assert same(weights(whole), weights(resumed)) and len(history["loss"]) == 6


def test_classes_are_balanced_by_their_weights():
    up, down = balanced([True] + [False] * 5)
    assert up * 1 == pytest.approx(down * 5)
    with pytest.raises(ValueError, match="2 liked and 0 disliked: give some of each"):
        balanced([True, True])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "x"}, "loss is 'x'; use one of kto, bco"),
        ({"batch_size": 1}, "batch_size=1: use 1, 1 and 2 or more"),
        ({"liked_weight": 0.0}, "liked_weight=0.0"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        settings(**changes)
    with pytest.raises(ValueError, match="4 rows and 3 labels"):
        train_unpaired(tiny_llama(), TOKENIZER, ROWS, LIKED[:3], settings())
