"""Token logprobs: hand values, padding, packing, number types and memory."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from tiny_models import FAMILIES, padded, tiny, tiny_llama
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from minialign.core import logprobs as module
from minialign.core.logprobs import (
    gather_logprobs,
    masked_mean,
    masked_sum,
    token_logprobs,
)
from minialign.core.models.architecture import position_ids

ROWS = [[1, 40, 50, 60, 70, 80, 2], [1, 90, 2], [1, 33, 44, 55, 2]]


class Table(nn.Module):
    """A model whose logits are given."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits, self.dtype = logits, logits.dtype

    def forward(self, **inputs) -> SimpleNamespace:
        return SimpleNamespace(logits=self.logits)


def naive(model: nn.Module, row: list[int], temperature: float = 1.0) -> Tensor:
    """(T,) one row alone, without mask and positions: log_softmax, gather, shift."""
    logits = model(input_ids=torch.tensor([row])).logits[0]
    logp = torch.log_softmax(logits / temperature, -1)
    found = [0.0] + [float(logp[t - 1, row[t]]) for t in range(1, len(row))]
    return torch.tensor(found)


def real(values: Tensor, mask: Tensor, row: int) -> Tensor:
    return values[row][mask[row] > 0]


# --- values


def test_hand_value():
    """Logits log 1, log 3 say 1/4 and 3/4 for every next token, whatever the last logits say.

    Tokens 0 1 1 0: nothing predicts the first; then log 3/4, log 3/4, log 1/4.
    """
    logits = torch.tensor([1.0, 3.0]).log().expand(1, 4, 2)
    found = token_logprobs(Table(logits), torch.tensor([[0, 1, 1, 0]]), torch.ones(1, 4).long())
    expected = [0.0, math.log(3 / 4), math.log(3 / 4), math.log(1 / 4)]
    torch.testing.assert_close(found, torch.tensor([expected]))


def test_logits_of_a_column_are_about_the_next_token():
    """Trap 15: each column of logits is sure of one token; only the token after it is likely."""
    sure = torch.full((1, 3, 4), -30.0)
    for t, token in enumerate([2, 3, 1]):
        sure[0, t, token] = 30.0
    mask = torch.ones(1, 3).long()
    right = token_logprobs(Table(sure), torch.tensor([[0, 2, 3]]), mask)
    torch.testing.assert_close(right, torch.zeros(1, 3))
    unshifted = token_logprobs(Table(sure), torch.tensor([[2, 3, 1]]), mask)
    assert (unshifted[:, 1:] < -50).all()


def test_temperature_divides_the_logits():
    """Logits 0 and log 3 at temperature 1/2 are 0 and log 9: probabilities 1/10 and 9/10."""
    logits = torch.tensor([0.0, math.log(3)]).expand(1, 2, 2)
    ids, mask = torch.tensor([[0, 1]]), torch.ones(1, 2).long()
    found = token_logprobs(Table(logits), ids, mask, temperature=0.5)
    assert found[0, 1].item() == pytest.approx(math.log(0.9), abs=1e-6)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match="must be > 0"):
        gather_logprobs(torch.zeros(2, 3), torch.tensor([0, 1]), temperature)


def test_bfloat16_logits_give_float32_logprobs():
    logits = torch.randn(2, 5, 300, dtype=torch.bfloat16)
    ids = torch.randint(300, (2, 5))
    found = token_logprobs(Table(logits), ids, torch.ones(2, 5).long())
    exact = token_logprobs(Table(logits.double()), ids, torch.ones(2, 5).long())
    assert found.dtype == torch.float32 and exact.dtype == torch.float64
    torch.testing.assert_close(found, exact.float(), atol=1e-5, rtol=0)


# --- padding


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("extra", [0, 3])
@torch.no_grad()
def test_padding_changes_nothing(family, side, extra):
    """Trap 16: absolute positions break where positions do not come from the mask."""
    model = tiny(family)
    ids, mask = padded(ROWS, side, extra)
    found = token_logprobs(model, ids, mask)
    for i, row in enumerate(ROWS):
        torch.testing.assert_close(real(found, mask, i), naive(model, row), atol=1e-5, rtol=0)
    assert (found[mask == 0] == 0).all() and (found[:, 0] == 0).all()


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_temperature_of_a_model(family):
    model = tiny(family)
    ids, mask = padded(ROWS, "left")
    found = token_logprobs(model, ids, mask, temperature=0.7)
    for i, row in enumerate(ROWS):
        torch.testing.assert_close(real(found, mask, i), naive(model, row, 0.7), atol=1e-5, rtol=0)


@torch.no_grad()
def test_ratio_is_one_on_the_first_pass_for_any_padding():
    """Trap 9: rollouts pad on the left, a training batch may pad elsewhere and wider."""
    model = tiny("gpt2")
    left, right = padded(ROWS, "left"), padded(ROWS, "right", extra=5)
    old, new = token_logprobs(model, *left), token_logprobs(model, *right)
    for i in range(len(ROWS)):
        ratio = (real(new, right[1], i) - real(old, left[1], i)).exp()
        torch.testing.assert_close(ratio, torch.ones(len(ROWS[i])), atol=1e-5, rtol=0)


def test_positions_restart_at_each_document():
    mask = torch.tensor([[0, 1, 1, 2, 2, 2, 3, 0], [1, 1, 1, 1, 0, 0, 0, 0]])
    expected = [[0, 0, 1, 0, 1, 2, 0, 0], [0, 1, 2, 3, 0, 0, 0, 0]]
    assert position_ids(mask).tolist() == expected


# --- packing


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_packed_documents_equal_the_same_rows_apart(family):
    """Trap 49. The mask of ones in place of numbers, the well-known bug, gives other values."""
    model = tiny(family)
    packed = torch.tensor([ROWS[0] + ROWS[1] + [0, 0], ROWS[2] + ROWS[1] + [0, 0, 0, 0]])
    numbers = torch.tensor([[1] * 7 + [2] * 3 + [0] * 2, [1] * 5 + [2] * 3 + [0] * 4])
    found = token_logprobs(model, packed, numbers)
    wrong = token_logprobs(model, packed, (numbers > 0).long())
    for i, (first, second) in enumerate([(0, 1), (2, 1)]):
        apart = torch.cat([naive(model, ROWS[first]), naive(model, ROWS[second])])
        torch.testing.assert_close(real(found, numbers, i), apart, atol=1e-5, rtol=0)
        start = len(ROWS[first])
        assert found[i, start] == 0  # nothing predicts the first token of a document
        assert (wrong[i, start + 1 : start + 3] - found[i, start + 1 : start + 3]).abs().max() > 0.1
    assert (found[numbers == 0] == 0).all()


@torch.no_grad()
def test_packing_under_bfloat16_autocast():
    model, numbers = tiny_llama(), torch.tensor([[1] * 7 + [2] * 3])
    ids = torch.tensor([ROWS[0] + ROWS[1]])
    exact = token_logprobs(model, ids, numbers)
    with torch.autocast("cpu", torch.bfloat16):
        found = token_logprobs(model, ids, numbers)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, atol=0.3, rtol=0)


# --- memory


class Largest(TorchDispatchMode):
    """Bytes of the largest tensor that an operation allocates."""

    def __init__(self, known: Tensor) -> None:
        super().__init__()
        self.known, self.bytes = known.untyped_storage().data_ptr(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for one in tree_iter(out):
            if isinstance(one, Tensor) and one.untyped_storage().data_ptr() != self.known:
                self.bytes = max(self.bytes, one.untyped_storage().nbytes())
        return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_no_second_copy_of_all_logits_is_held(dtype, monkeypatch):
    monkeypatch.setattr(module, "MAX_CHUNK", 4 * 500)
    logits = torch.randn(4, 16, 500, dtype=dtype)
    ids = torch.randint(500, (4, 16))
    with Largest(logits) as largest:
        module.gather_logprobs(logits, ids)
    assert 0 < largest.bytes <= 4 * 500 * 4  # one chunk in float32


@pytest.mark.parametrize("chunk", [1, 5 * 300, 10**9])
def test_chunks_change_neither_values_nor_gradients(chunk, monkeypatch):
    ids = torch.randint(300, (3, 8), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(3, 8).long()
    mask[1, :3] = 0
    weights = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    found = []
    for size in (10**9, chunk):
        monkeypatch.setattr(module, "MAX_CHUNK", size)
        table = torch.randn(3, 8, 300, generator=torch.Generator().manual_seed(2))
        table.requires_grad_()
        values = token_logprobs(Table(table), ids, mask)
        (values * weights).sum().backward()
        found.append((values.detach(), table.grad))
    torch.testing.assert_close(found[1], found[0], atol=1e-6, rtol=0)
    assert (found[1][1][:, -1] == 0).all()  # the last logits are about no token of the row


def test_gradient_is_the_onehot_minus_the_softmax():
    table = torch.randn(1, 2, 5, requires_grad=True)
    token_logprobs(Table(table), torch.tensor([[0, 3]]), torch.ones(1, 2).long()).sum().backward()
    expected = nn.functional.one_hot(torch.tensor(3), 5) - table[0, 0].softmax(-1)
    torch.testing.assert_close(table.grad[0, 0], expected.detach(), atol=1e-6, rtol=0)


# --- reductions


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_what_is_under_the_mask_is_ignored(bad):
    values = torch.tensor([[bad, 1.0, 2.0], [bad, bad, 5.0]], requires_grad=True)
    mask = torch.tensor([[0, 1, 1], [0, 0, 1]])
    assert masked_sum(values, mask).tolist() == [3.0, 5.0]
    assert masked_mean(values, mask).item() == pytest.approx(8 / 3)
    assert masked_mean(values, mask, dim=-1).tolist() == [1.5, 5.0]
    masked_sum(values, mask).sum().backward()
    assert values.grad.tolist() == mask.tolist()


def test_token_mean_differs_from_mean_of_row_means():
    """Trap 26: rows of 1 and 3 tokens with values 0 and 4 have mean 3 by token, 2 by row."""
    values = torch.tensor([[0.0, 9, 9], [4.0, 4, 4]])
    mask = torch.tensor([[1, 0, 0], [1, 1, 1]])
    assert masked_mean(values, mask).item() == 3
    assert masked_mean(values, mask, dim=-1).mean().item() == 2


def test_an_empty_mask_gives_zero():
    """Trap 43: an empty completion is 0 / 0 without the clamp."""
    values, mask = torch.full((2, 3), math.nan), torch.zeros(2, 3).long()
    assert masked_sum(values, mask).tolist() == [0, 0]
    assert masked_mean(values, mask).item() == 0
    assert masked_mean(values, mask, dim=-1).tolist() == [0, 0]
