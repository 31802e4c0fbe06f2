"""The loop for unpaired feedback: mismatched rows, directions, balance, resuming."""

from __future__ import annotations

import pytest
import torch
from tiny_models import small_tokenizer, tiny_llama

from minialign.core.tokens import encode
from minialign.variants.unpaired_loop import UnpairedConfig, balanced, mismatched, train_unpaired

TOKENIZER = small_tokenizer()
TEXTS = [("the cat", "is here", True), ("a dog", "sat on a red mat", False),
         ("it is", "2", True), ("what is 2 plus 3?", "five cats", False)]  # fmt: skip
ROWS = [encode(TOKENIZER, q, a) for q, a, _ in TEXTS]
LIKED = [liked for *_, liked in TEXTS]


def settings(**changes) -> UnpairedConfig:
    small = {"steps": 4, "batch_size": 4, "warmup": 1, "save_every": 2, "learning_rate": 1e-3}
    return UnpairedConfig(**small | changes)


def weights(model) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def same(a, b) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


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

    def kill(metrics: dict) -> None:
        kill.steps += 1
        if kill.steps == 3:
            raise KeyboardInterrupt

    kill.steps = 0
    with pytest.raises(KeyboardInterrupt):
        train_unpaired(
            tiny_llama(), TOKENIZER, ROWS, LIKED, config, on_step=kill,
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
