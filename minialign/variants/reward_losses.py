"""Reward-model losses and aggregates: pure functions of scores.

Scores have no fixed zero: comparison losses see differences, which are log-odds, only.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid
from transformers import PreTrainedTokenizerBase

from minialign.algorithms.reward_model import bradley_terry
from minialign.core.batching import Row, RowPair
from minialign.core.logprobs import masked_mean
from minialign.core.tokens import Messages, completion_ids, prompt_ids


def adjusted_bradley_terry(
    chosen: Tensor,
    rejected: Tensor,
    *,
    margin: Tensor | float = 0.0,
    label_smoothing: float = 0.0,
    centering: float = 0.0,
) -> Tensor:
    """-log P(chosen beats rejected) under Bradley and Terry: (B,), (B,) to (B,), in nats.

    With d = chosen - rejected - margin: -(1 - e) log sigmoid(d) - e log sigmoid(-d) + c (chosen +
    rejected)^2. Ouyang et al. 2022, arXiv:2203.02155, equation 1, is e = c = margin = 0.

    Args:
        chosen: (B,) scores of the preferred replies.
        rejected: (B,) scores of the others.
        margin: by how much chosen should win, in units of score; (B,) or one number. Touvron et al.
            2023 (Llama 2), arXiv:2307.09288, equation 2.
        label_smoothing: e, the share of labels taken to be wrong, in [0, 0.5). The loss is then
            least at a finite d, log((1 - e) / e).
        centering: c, pulls the mean of the two scores to 0; comparisons alone leave it free.
            Eisenstein et al. 2023, arXiv:2312.09244.

    Raises:
        ValueError: if label_smoothing is not in [0, 0.5) or centering is negative.

    Equal scores cost log 2 = 0.6931; a lead of log 3 is a chance of 3/4 and costs log(4/3):

    >>> adjusted_bradley_terry(torch.tensor([0.0, 1.0986]), torch.zeros(2))
    tensor([0.6931, 0.2877])
    """
    if not 0 <= label_smoothing < 0.5 or centering < 0:
        raise ValueError(
            f"label_smoothing={label_smoothing}, centering={centering}: the first must be in "
            "[0, 0.5), since half of the labels wrong is no information; the second at least 0"
        )
    gap = chosen - rejected - margin
    loss = -(1 - label_smoothing) * logsigmoid(gap) - label_smoothing * logsigmoid(-gap)
    return loss + centering * (chosen + rejected) ** 2


def plackett_luce(scores: Tensor, ranked: Tensor | None = None) -> Tensor:
    """-log P(ranking), the best chosen first from all, then the next from the rest: (B, K) to (B,).

    sum over k of logsumexp(s_k .. s_K) - s_k. Plackett 1975, Luce 1959; for reward models Zhu et
    al. 2023, arXiv:2301.11270. With K = 2 it is `bradley_terry`.

    Args:
        scores: (B, K), best first; column k is the reply of rank k.
        ranked: (B, K), 1 where there is a reply; short rankings are padded on the right. None: all.

    Three equal scores: log 3! = 1.7918.

    >>> plackett_luce(torch.zeros(1, 3))
    tensor([1.7918])
    """
    present = torch.ones_like(scores) if ranked is None else ranked.to(scores.dtype)
    inside = scores.masked_fill(present == 0, -torch.inf)
    # (B, K): log of the sum over this rank and those below
    rest = inside.flip(-1).logcumsumexp(-1).flip(-1)
    return torch.where(present > 0, rest - scores, 0.0).sum(-1)


def split_pairs(scores: Tensor) -> Tensor:
    """Mean `bradley_terry` over all K (K - 1) / 2 pairs of a ranking: (B, K), best first, to (B,).

    Ouyang et al. 2022, equation 1: all pairs of a prompt in one batch element, with weight 1 / C(K,
    2). It treats pairs of one ranking as independent, which they are not.

    >>> split_pairs(torch.zeros(1, 3))
    tensor([0.6931])
    """
    better, worse = torch.triu_indices(scores.shape[-1], scores.shape[-1], 1)
    return bradley_terry(scores[..., better], scores[..., worse]).mean(-1)


def correctness(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy of right or wrong, a mean over marked tokens: (B, T) x 3 to (B,).

    One marked token, the last, makes an outcome model; one at the end of each step makes a process
    model. Uesato et al. 2022, arXiv:2211.14275; Lightman et al. 2023, arXiv:2305.20050.

    Args:
        logits: (B, T) log-odds of being right so far.
        labels: (B, T) 1 right, 0 wrong; read where mask is 1.
        mask: (B, T) 1 at the tokens that are judged.

    >>> correctness(torch.zeros(1, 2), torch.ones(1, 2), torch.tensor([[0, 1]]))
    tensor([0.6931])
    """
    per_token = binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none")
    return masked_mean(per_token, mask, dim=-1)


def ensemble(scores: Tensor, how: str = "mean", *, penalty: float = 1.0) -> Tensor:
    """One score from those of M reward models: (M, B) to (B,).

    Coste et al. 2023, arXiv:2310.02743. "mean"; "worst", the least (worst-case optimisation);
    "cautious", mean - penalty * variance (uncertainty-weighted optimisation), with the variance
    over the M models, divided by M.

    Raises:
        ValueError: if there is no such way.

    >>> ensemble(torch.tensor([[1.0], [3.0]]), "cautious", penalty=0.5)
    tensor([1.5000])
    """
    if how == "mean":
        return scores.mean(0)
    if how == "worst":
        return scores.amin(0)
    if how == "cautious":
        return scores.mean(0) - penalty * scores.var(0, correction=0)
    raise ValueError(f"how is {how!r}; use mean, worst or cautious")


def average_weights(models: list[torch.nn.Module]) -> dict[str, Tensor]:
    """The mean of the models' weights, to load into one of them.

    WARM, Rame et al. 2024, arXiv:2401.12187: reward models fine-tuned from one start stay linearly
    connected, so their mean is one model that costs one forward pass, where an ensemble costs M.

    Raises:
        ValueError: if the models' weights differ in name or shape, or there is none.
    """
    states = [model.state_dict() for model in models]
    shapes = [{name: tuple(w.shape) for name, w in state.items()} for state in states]
    if not states or any(shape != shapes[0] for shape in shapes):
        raise ValueError(
            f"{len(models)} models of different shapes: average at least one, of one architecture"
        )
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(weight.dtype)
        for name, weight in states[0].items()
    }


def both_orders(
    tokenizer: PreTrainedTokenizerBase, prompt: str | Messages, chosen: str, rejected: str
) -> RowPair:
    """A comparison for a model that reads both replies at once, in either order.

    The first row holds chosen before rejected, the second the reverse, so `bradley_terry` trains
    sigmoid(s(a, b) - s(b, a)) to be the chance that a beats b, and no order is preferred. The idea
    of PairRM: Jiang et al. 2023 (LLM-Blender), arXiv:2306.02561, section 3.
    """
    start = prompt_ids(tokenizer, prompt)
    a, b = (completion_ids(tokenizer, text) for text in (chosen, rejected))
    return Row(start, a + b), Row(start, b + a)
