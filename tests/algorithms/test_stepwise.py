"""Rounds of preference optimisation: where the reference is, and resuming between rounds."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from loop_inputs import PAIRS, TOKENIZER, small, stop_at
from same_weights import same, weights
from tiny_models import tiny_llama

from minialign.variants import methods
from minialign.variants.loops.preference_loop import PreferenceConfig
from minialign.variants.loops.rounds import mix_into, train_stepwise

settings = partial(small, PreferenceConfig)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_the_reference_moves_by_its_share_after_each_round(monkeypatch, share: float):
    seen, real = [], stepwise.train_preference

    def watched(policy, *args, reference, **named):
        seen.append((weights(policy), weights(reference)))
        return real(policy, *args, reference=reference, **named)

    monkeypatch.setattr(stepwise, "train_preference", watched)
    histories = train_stepwise(
        tiny_llama(), TOKENIZER, [PAIRS[:2], PAIRS[2:]], settings(steps=3), share=share
    )
    (first_policy, first_reference), (policy, reference) = seen
    assert len(histories) == 2 and same(first_policy, first_reference)
    for start, now, moved in zip(first_reference, policy, reference, strict=True):
        torch.testing.assert_close(moved, torch.lerp(start, now, share))
    zero = abs(histories[1]["margin"][0]) < 1e-4
    assert zero == (share == 1.0)  # only then does the second round start at its reference


@pytest.mark.parametrize("name", methods.table("train_stepwise").index)
def test_every_method_of_the_registry_widens_the_margin(name: str):
    policy = tiny_llama()
    before = weights(policy)
    rounds = [PAIRS[:2], PAIRS[2:]]
    given = methods.method(name).settings
    histories = train_stepwise(policy, TOKENIZER, rounds, settings(steps=4), **given)
    assert len(histories) == 2 and not same(before, weights(policy))
    assert histories[0]["margin"][-1] > histories[0]["margin"][0] == pytest.approx(0, abs=1e-3)


def test_an_interrupted_run_goes_on_in_its_round(tmp_path):
    rounds, config = [PAIRS[:2], PAIRS[2:]], settings(steps=4)
    whole, resumed = tiny_llama(), tiny_llama()
    train_stepwise(whole, TOKENIZER, rounds, config)

    with pytest.raises(KeyboardInterrupt):
        train_stepwise(
            tiny_llama(), TOKENIZER, rounds, config, on_step=stop_at(7), checkpoint_dir=tmp_path
        )
    train_stepwise(resumed, TOKENIZER, rounds, config, checkpoint_dir=tmp_path)
    assert same(weights(whole), weights(resumed))


def test_a_share_outside_the_way_is_refused():
    with pytest.raises(ValueError, match=r"share is 1\.5"):
        mix_into(tiny_llama(), tiny_llama(), 1.5)


def test_as_many_settings_as_rounds():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        train_stepwise(tiny_llama(), TOKENIZER, [PAIRS, PAIRS], [settings(steps=1)])
