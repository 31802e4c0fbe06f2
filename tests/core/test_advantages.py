"""Advantages against their definition, written out in plain Python, and on the enumerable world."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from minialign.core.advantages import gae, token_rewards, whiten

MASK = torch.tensor([[0, 1, 1, 1, 0], [1, 1, 0, 0, 0], [0, 0, 0, 1, 1]])


def drawn(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(MASK.shape, generator=generator, dtype=torch.float64)


def by_definition(rewards, values, discount, lam, after) -> list[float]:
    """Sum over later tokens k of (discount lam)^(k - t) d_k, for the tokens of one completion."""
    following = [*values[1:], after]
    steps = [r + discount * v2 - v for r, v, v2 in zip(rewards, values, following, strict=True)]
    return [
        sum((discount * lam) ** (k - t) * steps[k] for k in range(t, len(steps)))
        for t in range(len(steps))
    ]


@pytest.mark.parametrize("discount, lam", [(1.0, 0.95), (0.9, 0.5), (1.0, 0.0), (1.0, 1.0)])
@pytest.mark.parametrize("cut", [False, True])
def test_gae_is_its_definition_wherever_the_completion_stands(discount, lam, cut):
    """Trap 19: after the last token the value is 0, unless the completion was cut."""
    rewards, values = drawn(0), drawn(1)
    after = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64) if cut else None
    found = gae(rewards, values, MASK, discount=discount, lam=lam, last_values=after)
    for i, kept in enumerate(MASK.bool()):
        end = after[i].item() if cut else 0.0
        expected = by_definition(
            rewards[i][kept].tolist(), values[i][kept].tolist(), discount, lam, end
        )
        assert found[i][kept].tolist() == pytest.approx(expected)
        assert (found[i][~kept] == 0).all()


def test_lambda_1_is_return_minus_value_and_lambda_0_the_temporal_difference():
    rewards, values, kept = drawn(0), drawn(1), MASK.bool()
    full = gae(rewards, values, MASK, lam=1.0)
    for i, row in enumerate(kept):
        to_go = rewards[i][row].flip(0).cumsum(0).flip(0)
        torch.testing.assert_close(full[i][row], to_go - values[i][row])
    short = gae(rewards, values, MASK, lam=0.0)
    expected = rewards[0, 1] + values[0, 2] - values[0, 1]
    torch.testing.assert_close(short[0, 1], expected)
    torch.testing.assert_close(short[0, 3], rewards[0, 3] - values[0, 3])


def test_the_last_token_gets_the_score_less_its_value():
    """Trap 14: value and reward of the last token stand in its own column."""
    rewards, values = torch.zeros(1, 4), torch.tensor([[9.0, 0.25, 0.5, 9.0]])
    rewards[0, 2] = 1.0
    found = gae(rewards, values, torch.tensor([[0, 1, 1, 0]]), lam=0.0)
    assert found.tolist() == [[0.0, 0.25, 0.5, 0.0]]


def test_gae_refuses_what_is_no_share():
    for settings in ({"lam": 1.5}, {"discount": -0.1}):
        with pytest.raises(ValueError, match="both are shares"):
            gae(drawn(0), drawn(1), MASK, **settings)


def test_whitening_sees_the_mask_only_and_rewards_keep_their_mean():
    """Trap 17: mask first, then whiten; advantages lose their mean, rewards keep it."""
    values = drawn(2)
    noisy = torch.where(MASK.bool(), values, 1e6)
    for shift, mean in ((True, 0.0), (False, values[MASK.bool()].mean().item())):
        found = whiten(noisy, MASK, shift_mean=shift)
        kept = found[MASK.bool()]
        assert kept.mean().item() == pytest.approx(mean, abs=1e-6)
        assert kept.var().item() == pytest.approx(1.0, rel=1e-6)
        assert (found[~MASK.bool()] == 0).all()


def test_equal_advantages_are_no_noise_after_whitening():
    """Trap 29: rounding must not become a large advantage."""
    equal = torch.full((2, 3), 0.1) + 1e-9 * torch.arange(6.0).view(2, 3)
    assert whiten(equal, torch.ones(2, 3)).abs().max() < 1e-3
    one = torch.tensor([[3.0, 4.0]])
    assert whiten(one, torch.tensor([[1, 0]])).tolist() == [[0.0, 0.0]]
    kept = whiten(one, torch.tensor([[1, 0]]), shift_mean=False)
    assert kept.tolist() == [[3.0, 0.0]]


def test_rewards_of_tokens_add_up_to_the_score_less_the_penalty():
    """By hand: the last completion token has the score, wherever it stands; beta times KL each."""
    scores = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
    kl = drawn(3)
    found = token_rewards(scores, torch.where(MASK.bool(), kl, 1e6), MASK, beta=0.1)
    for i, row in enumerate(MASK.bool()):
        expected = (-0.1 * kl[i][row]).tolist()
        expected[-1] += scores[i].item()
        assert found[i][row].tolist() == pytest.approx(expected)
        assert (found[i][~row] == 0).all()
