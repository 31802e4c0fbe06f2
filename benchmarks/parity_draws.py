"""Random inputs for losses: ragged masks, batches of any size, log-ratios from none to far.

Every function takes a generator and returns what a loss reads, as a namespace; `leaves` names the
tensors that gradients are compared with respect to. What stands outside a mask is noise, as padding
is, and must not matter.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Generator, Tensor

SCALES = (0.01, 0.3, 3.0)  # nats of a token's log-ratio: on-policy but for rounding, near, far
FAR = 60.0  # nats of a completion's log-ratio at most


def _whole(generator: Generator, low: int, high: int, size: tuple = ()) -> Tensor:
    return torch.randint(low, high + 1, size, generator=generator)


def _normal(generator: Generator, *size: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(size, generator=generator, dtype=dtype)


def _pick(generator: Generator, choices: tuple) -> float:
    return choices[int(_whole(generator, 0, len(choices) - 1))]


def _ratios(generator: Generator, mask: Tensor, most: float) -> Tensor:
    """(B, T) log-ratios whose sum over a completion is at most `most` nats."""
    ratios = _pick(generator, SCALES) * _normal(generator, *mask.shape)
    whole = (ratios * mask).sum(1).abs().max().item()
    return ratios * min(1.0, most / max(whole, 1e-9))


def pairs(
    generator: Generator, most: float = FAR, dtype: torch.dtype = torch.float64
) -> SimpleNamespace:
    """1 to 6 comparisons: (2 B, T) logprobs of policy and reference, rows of a pair in turn."""
    size, columns = int(_whole(generator, 1, 6)), int(_whole(generator, 4, 24))
    mask = torch.zeros(2 * size, columns, dtype=torch.long)
    starts = _whole(generator, 1, columns // 2, (size,)).repeat_interleave(2)
    for row, start in enumerate(starts.tolist()):
        mask[row, start : start + int(_whole(generator, 1, columns - start))] = 1
    logprobs = -8 * torch.rand(mask.shape, generator=generator, dtype=torch.float64).square()
    ref_logprobs = logprobs - _ratios(generator, mask, most)
    return SimpleNamespace(
        mask=mask, logprobs=logprobs.to(dtype).requires_grad_(), leaves=("logprobs",),
        ref_logprobs=ref_logprobs.to(dtype),
        collisions=-torch.rand(mask.shape, generator=generator, dtype=dtype),
        liked=torch.rand(2 * size, generator=generator) < 0.5,
        mismatched=10 * _normal(generator, 2 * size, dtype=dtype),
    )  # fmt: skip


def group(generator: Generator, most: float = FAR) -> SimpleNamespace:
    """1 to 3 prompts of 2 to 6 completions: logprobs now, of the sampler, of the reference."""
    prompts, size = int(_whole(generator, 1, 3)), int(_whole(generator, 2, 6))
    columns = int(_whole(generator, 2, 24))
    rows = prompts * size
    mask = (torch.arange(columns) < _whole(generator, 1, columns, (rows, 1))).long()
    old = -8 * torch.rand(rows, columns, generator=generator, dtype=torch.float64).square()
    kl = _ratios(generator, mask, most)
    return SimpleNamespace(
        mask=mask, old=old, shape=(prompts, size), leaves=("logprobs",),
        logprobs=(old + _ratios(generator, mask, most)).requires_grad_(),
        ref=old - kl, kl=kl, advantages=_pick(generator, SCALES) * _normal(generator, rows),
        token_advantages=_normal(generator, rows, columns),
        rewards=_normal(generator, prompts, size),
    )  # fmt: skip


def rewards(generator: Generator) -> SimpleNamespace:
    """`group`, with rewards of any size and spread as the leaf."""
    draw = group(generator)
    spread, centre = _pick(generator, SCALES), _normal(generator, draw.shape[0], 1)
    draw.rewards = (centre + spread * draw.rewards).requires_grad_()
    draw.leaves = ("rewards",)
    return draw


def scores(generator: Generator) -> SimpleNamespace:
    """1 to 12 scores of chosen and rejected replies, near one another or far apart."""
    size, scale = int(_whole(generator, 1, 12)), _pick(generator, (0.1, 1.0, 20.0))
    chosen, rejected = scale * _normal(generator, 2, size)
    return SimpleNamespace(
        chosen=chosen.requires_grad_(), rejected=rejected.requires_grad_(),
        margin=torch.rand(size, generator=generator, dtype=torch.float64) * 3,
        leaves=("chosen", "rejected"),
    )  # fmt: skip


def ranked_scores(generator: Generator) -> SimpleNamespace:
    """1 to 6 rankings of 2 to 5 scores."""
    size, k = int(_whole(generator, 1, 6)), int(_whole(generator, 2, 5))
    found = _pick(generator, (0.1, 1.0, 20.0)) * _normal(generator, size, k)
    return SimpleNamespace(scores=found.requires_grad_(), leaves=("scores",))


def logits(generator: Generator, dtype: torch.dtype = torch.float64) -> SimpleNamespace:
    """1 to 4 comparisons as logits over 7 words, after prompts of one token."""
    size, columns, words = int(_whole(generator, 1, 4)), int(_whole(generator, 3, 12)), 7
    lengths = _whole(generator, 2, columns, (2 * size,))
    found = _pick(generator, (0.3, 3.0)) * _normal(generator, 2 * size, columns, words)
    ids = _whole(generator, 1, words - 1, (2 * size, columns))
    ids[1::2, 0] = ids[::2, 0]
    ids = ids * (torch.arange(columns) < lengths[:, None])
    mask = (torch.arange(columns) < lengths[:, None]).long()
    mask[:, 0] = 0
    return SimpleNamespace(
        logits=found.to(dtype).requires_grad_(), ids=ids, mask=mask, lengths=lengths.tolist(),
        temperature=_pick(generator, (0.5, 1.0, 1.7)), leaves=("logits",),
    )  # fmt: skip


def embeddings(generator: Generator) -> SimpleNamespace:
    """A batch of embedded rows in float32, and the seed of the noise on it."""
    size = [int(_whole(generator, 1, 6)) for _ in range(3)]
    vectors = _normal(generator, *size, dtype=torch.float32).requires_grad_()
    return SimpleNamespace(
        vectors=vectors, seed=int(_whole(generator, 0, 1 << 20)), leaves=("vectors",),
    )  # fmt: skip


def lengths(generator: Generator) -> SimpleNamespace:
    """Completions of 0 to 40 tokens, a limit and a margin below it."""
    limit = int(_whole(generator, 8, 40))
    return SimpleNamespace(
        ids=[[1] * n for n in _whole(generator, 0, 40, (8,)).tolist()], limit=limit,
        margin=int(_whole(generator, 1, limit)), leaves=(),
    )  # fmt: skip


def models(generator: Generator) -> SimpleNamespace:
    """Weights of a policy and a reference, and how far the reference moves."""
    policy, reference = (torch.nn.Linear(5, 3, dtype=torch.float64) for _ in range(2))
    for model in (policy, reference):
        for weight in model.parameters():
            weight.data = _normal(generator, *weight.shape)
    share = torch.rand((), generator=generator).item()
    return SimpleNamespace(policy=policy, reference=reference, share=share, leaves=())
