"""Advantages: how much better a token, or a completion, was than expected.

Every (B, T) tensor follows the package's one convention: column t is about token t, and values[:,
t] is the value of the prefix *before* token t. Rewards are given for a token, so the last token of
a completion carries the score of the whole. `mask` is 1 at completion tokens, which stand side by
side; nothing outside it is read.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from minialign.core.sampling import Rollout

EPS = 1e-8  # under the square root of a variance


def gae(
    rewards: Tensor,
    values: Tensor,
    mask: Tensor,
    *,
    discount: float = 1.0,
    lam: float = 0.95,
    last_values: Tensor | None = None,
) -> Tensor:
    """Generalised advantage estimates: (B, T) rewards, values and mask to (B, T), 0 outside mask.

    A_t = d_t + discount * lam * A_{t+1} with the temporal difference d_t = r_t + discount * V_{t+1}
    - V_t. Schulman et al. 2015, arXiv:1506.02438, equations 11 to 16. lam = 1 gives return minus
    value (no bias from a wrong critic, most variance), lam = 0 the temporal difference alone. Add
    `values` to get the returns that the critic learns, before any whitening.

    Args:
        rewards: of each token, KL penalty included.
        values: of the prefix before each token.
        mask: 1 at completion tokens.
        discount: of later rewards; 1 in language models, where a reply is one act.
        lam: in [0, 1].
        last_values: (B,) value after the last token. None is 0: the reply is over. A reply that
            was cut by a limit which the task does not know is not over; give its value here.

    Raises:
        ValueError: if lam or discount is outside [0, 1].

    Two tokens, a reward of 1 at the end, values 0.5, lam = 1: returns 1 and 1, advantages 0.5.

    >>> gae(torch.tensor([[0.0, 1.0]]), torch.full((1, 2), 0.5), torch.ones(1, 2), lam=1.0)
    tensor([[0.5000, 0.5000]])
    """
    if not (0 <= lam <= 1 and 0 <= discount <= 1):
        raise ValueError(f"lam={lam}, discount={discount}: both are shares, use 0 to 1")
    after = torch.zeros_like(rewards[:, 0]) if last_values is None else last_values
    advantage = torch.zeros_like(after)
    advantages = torch.zeros_like(rewards)
    for t in range(rewards.shape[1] - 1, -1, -1):
        here = mask[:, t].bool()
        difference = rewards[:, t] + discount * after - values[:, t]
        smoothed = difference + discount * lam * advantage
        advantage = torch.where(here, smoothed, advantage)
        advantages[:, t] = torch.where(here, advantage, 0.0)
        after = torch.where(here, values[:, t], after)
    return advantages


def whiten(values: Tensor, mask: Tensor, *, shift_mean: bool = True) -> Tensor:
    """Values over the mask scaled to variance 1, and with shift_mean to mean 0; 0 outside.

    Advantages lose their mean; rewards are only scaled (shift_mean=False), since their sign means
    something. Huang et al. 2024, arXiv:2403.17031, details 24 and 25.

    >>> whiten(torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([[1, 1, 0]]))
    tensor([[-0.7071,  0.7071,  0.0000]])
    """
    inside = values[mask.bool()]
    if inside.numel() < 2:
        return torch.where(mask.bool(), values - values if shift_mean else values, 0.0)
    scaled = (values - inside.mean()) * (inside.var() + EPS).rsqrt()
    if not shift_mean:
        scaled = scaled + inside.mean()
    return torch.where(mask.bool(), scaled, 0.0)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns) over the mask: 1 a perfect critic, 0 a constant.

    >>> explained_variance(torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 2.0]]), torch.ones(1, 2))
    0.0
    """
    inside = mask.bool()
    spread = returns[inside].var().clamp(min=1e-12)
    return (1 - (returns - values)[inside].var() / spread).item()


def token_rewards(scores: Tensor, kl: Tensor, mask: Tensor, beta: float) -> Tensor:
    """(B,) scores and (B, T) log pi - log pi_ref as rewards per token: (B, T), 0 outside the mask.

    -beta * kl at every completion token, and the score at the last one: Ouyang et al. 2022,
    equation 2, spread over tokens.

    >>> kl = torch.tensor([[0.0, 1.0, 2.0]])
    >>> token_rewards(torch.tensor([3.0]), kl, torch.tensor([[0, 1, 1]]), beta=0.5)
    tensor([[ 0.0000, -0.5000,  2.0000]])
    """
    last = mask.shape[1] - 1 - mask.flip(1).long().argmax(1)
    rewards = torch.where(mask.bool(), -beta * kl, 0.0)
    return rewards.scatter_add(1, last[:, None], scores[:, None].to(rewards.dtype))


def minibatches(
    rollout: Rollout, epochs: int, count: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, slice]]:
    """`epochs` times `count` disjoint parts of a rollout, rows of like length, new in every epoch.

    Each is an index of any (B, T) of the rollout, as those of `Rollout.parts`. Each part is a step
    of its own, with the mean over its tokens as loss: a token of a part with short completions
    weighs a little more.
    """
    lengths = rollout.attention_mask.sum(1).cpu()
    for _ in range(epochs):
        noise = 8 * torch.rand(len(lengths), generator=generator)
        parts = (lengths + noise).argsort().tensor_split(count)
        for i in torch.randperm(count, generator=generator).tolist():
            yield parts[i], slice(int(lengths[parts[i]].max()))
