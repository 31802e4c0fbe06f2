"""Exercises on what is added to a model: noise to its embeddings, an adapter to its weights."""

from __future__ import annotations

import torch
from torch import Tensor

from minialign.course.exercises.compare import Exercise, drawn


def _noise(uniform: Tensor, mask: Tensor, scale: Tensor | float) -> Tensor:
    """(B, T, d) uniform numbers times a (B,) scale, 0 at padding."""
    return uniform * torch.as_tensor(scale).view(-1, 1, 1) * mask[..., None]


def _neftune_noise(uniform: Tensor, mask: Tensor, alpha: float) -> Tensor:
    """(B, T, d) alpha / sqrt(L d) times uniform numbers, L real tokens in the row, d columns.

    Jain et al. 2023 (NEFTune), arXiv:2310.05914, algorithm 1.
    """
    return _noise(uniform, mask, alpha / (mask.sum(1) * uniform.shape[2]).sqrt())


def _uniform(seed: int, *shape: int) -> Tensor:
    return 2 * torch.rand(shape, generator=drawn(seed)) - 1


neftune_noise = Exercise(
    "neftune_noise",
    _neftune_noise,
    (
        (
            _uniform(10, 3, 5, 4),
            torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]]),
            5.0,
        ),
        (_uniform(11, 2, 4, 3), torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1]]), 10.0),
    ),
    {
        "L is the width with padding: count the row's real tokens, attention_mask.sum(1)":
            lambda uniform, mask, alpha:
                _noise(uniform, mask, alpha / (mask.shape[1] * uniform.shape[2]) ** 0.5),
        "L is the width with padding, and padding gets noise: use the attention mask for both":
            lambda uniform, mask, alpha:
                uniform * alpha / (mask.shape[1] * uniform.shape[2]) ** 0.5,
        "the root is missing: divide by the square root of L d":
            lambda uniform, mask, alpha:
                _noise(uniform, mask, alpha / (mask.sum(1) * uniform.shape[2])),
        "** 1 / 2 raises to the power of 1 and halves: write ** 0.5, or sqrt()":
            lambda uniform, mask, alpha:
                _noise(uniform, mask, 2 * alpha / (mask.sum(1) * uniform.shape[2])),
        "d is missing: the root is of L d, so that the length of the noise is like alpha":
            lambda uniform, mask, alpha: _noise(uniform, mask, alpha / mask.sum(1).sqrt()),
        "L is missing: the root is of L d, so a long row gets less noise at each token":
            lambda uniform, mask, alpha: _noise(uniform, mask, alpha / uniform.shape[2] ** 0.5),
        "alpha is missing: multiply by it": lambda uniform, mask, alpha:
            _neftune_noise(uniform, mask, 1.0),
        "alpha is under the root: divide alpha by the square root of L d":
            lambda uniform, mask, alpha: _neftune_noise(uniform, mask, alpha**0.5),
        "padding gets noise: multiply by the attention mask": lambda uniform, mask, alpha:
            uniform * alpha / (mask.sum(1) * uniform.shape[2]).sqrt()[:, None, None],
        "L is the number of real tokens in the whole batch: count each row's own, sum(1)":
            lambda uniform, mask, alpha:
                _noise(uniform, mask, alpha / (mask.sum() * uniform.shape[2]).sqrt()),
        "L is the number of real tokens in the whole batch, and padding gets noise: count each "
        "row's own, sum(1), and multiply by the attention mask": lambda uniform, mask, alpha:
            uniform * alpha / (mask.sum() * uniform.shape[2]).sqrt(),
        "L is the mean over the rows: count each row's own real tokens, sum(1)":
            lambda uniform, mask, alpha:
                _noise(uniform, mask, alpha / (mask.sum() / len(mask) * uniform.shape[2]).sqrt()),
        "the root is missing and padding gets noise: divide by sqrt(L d), and use the mask":
            lambda uniform, mask, alpha:
                uniform * alpha / (mask.sum(1) * uniform.shape[2])[:, None, None],
        "uniform is in [-1, 1] already: multiply it as it is":
            lambda uniform, mask, alpha: _neftune_noise(2 * uniform - 1, mask, alpha),
        "L d is missing: divide alpha by the square root of L d":
            lambda uniform, mask, alpha: _noise(uniform, mask, alpha),
        "the scale is upside down: alpha is divided by the root of L d, not multiplied":
            lambda uniform, mask, alpha:
                _noise(uniform, mask, alpha * (mask.sum(1) * uniform.shape[2]).sqrt()),
        "only one of L and d is under the root: take the square root of their product":
            lambda uniform, mask, alpha:
                _noise(uniform, mask, alpha / (mask.sum(1).sqrt() * uniform.shape[2])),
        "the noise is not scaled: multiply by alpha / sqrt(L d)":
            lambda uniform, mask, alpha: _noise(uniform, mask, 1.0),
    },
)  # fmt: skip


def _merged_weight(weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    """(d_out, d_in) weight + alpha / r b a, with r rows of a.

    Hu et al. 2021 (LoRA), arXiv:2106.09685, section 4.1.
    """
    return weight + alpha / len(a) * b @ a


def _weights(seed: int, d_out: int, d_in: int, r: int, alpha: float) -> tuple:
    shapes = (d_out, d_in), (r, d_in), (d_out, r)
    generator = drawn(seed)
    return (*(torch.randn(shape, generator=generator) for shape in shapes), alpha)


merged_weight = Exercise(
    "merged_weight",
    _merged_weight,
    (_weights(12, 5, 7, 2, 6.0), _weights(13, 6, 6, 4, 1.0), _weights(14, 3, 8, 1, 2.0)),
    {
        "the scale is alpha alone: divide it by the rank r, the number of rows of a":
            lambda weight, a, b, alpha: weight + alpha * b @ a,
        "the update is not scaled: multiply it by alpha / r":
            lambda weight, a, b, alpha: weight + b @ a,
        "the scale is upside down, r / alpha: it is alpha / r":
            lambda weight, a, b, alpha: weight + len(a) / alpha * b @ a,
        "it is the update alone: add it to the weight":
            lambda weight, a, b, alpha: alpha / len(a) * b @ a,
        "the update is subtracted: add it":
            lambda weight, a, b, alpha: weight - alpha / len(a) * b @ a,
        "alpha is divided by d_in: the rank r is the number of rows of a, a.shape[0]":
            lambda weight, a, b, alpha: weight + alpha / a.shape[1] * b @ a,
        "alpha is divided by d_out: the rank r is the number of columns of b, b.shape[1]":
            lambda weight, a, b, alpha: weight + alpha / len(b) * b @ a,
        "alpha is left out: the scale is alpha / r":
            lambda weight, a, b, alpha: weight + b @ a / len(a),
        "alpha is divided by the square root of r, which is the variant rsLoRA: divide by r":
            lambda weight, a, b, alpha: weight + alpha / len(a) ** 0.5 * b @ a,
        "the update is scaled twice: alpha / r comes once":
            lambda weight, a, b, alpha: weight + (alpha / len(a)) ** 2 * b @ a,
        "the weight is scaled in place of the update: alpha / r belongs to b @ a":
            lambda weight, a, b, alpha: alpha / len(a) * weight + b @ a,
        "the weight is scaled too: alpha / r belongs to the update alone":
            lambda weight, a, b, alpha: alpha / len(a) * (weight + b @ a),
    },
)  # fmt: skip
