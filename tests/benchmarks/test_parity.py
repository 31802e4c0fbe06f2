"""Losses and advantages equal TRL's, the page that says so is what is measured, and faults show."""

from __future__ import annotations

import ast
import doctest
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

pytest.importorskip("trl")
from benchmarks import (
    parity,
    parity_cases,
    parity_draws,
    parity_models,
    parity_policy,
    trl_calls,
)
from benchmarks.parity import BOUND, CASES, FILE, absent, compared, measure, notes, text
from minialign.core.kl import k3
from minialign.variants import preference as p
from minialign.variants.averages import sequence_mean
from minialign.variants.group_advantages import batch_scaled, group_centred
from minialign.variants.loops.preference_loop import wpo_weights
from minialign.variants.methods import registry
from minialign.variants.reference_free import cpo_loss

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "minialign"
FEW = 12  # draws, where a fault is to be found
WITHOUT_LEAVES = {"`mix_into`": "share", "`soft_overlong`": "margin"}
INSTEAD = WITHOUT_LEAVES | {
    one.ours: "temperature" for one in parity_models.MODELS
}  # of a leaf, what is changed


def case(ours: str) -> parity_cases.Case:
    """The first case whose name begins so."""
    return next(one for one in CASES if one.name.startswith(ours))


@pytest.fixture(scope="module")
def errors() -> list[parity.Error]:
    return [measure(one) for one in CASES]


# --- what is measured


@pytest.mark.parametrize("i", range(len(CASES)), ids=lambda i: CASES[i].name)
def test_ours_is_theirs(errors, i: int):
    """Value and gradient, over 100 random inputs."""
    error, bound = errors[i], BOUND[CASES[i].dtype]
    assert error.value < bound and error.gradient < bound
    assert error.steepest > 1e-3 or CASES[i].ours in WITHOUT_LEAVES


def test_the_page_is_what_is_measured(errors):
    """Line by line; an error is below the power of ten that is written."""
    written = FILE.read_text(encoding="utf-8")
    found = text(errors, re.search(r"code of TRL (\S+) itself", written)[1])
    power = re.compile(r"(?<=\| < )1e-\d+")
    assert power.sub("", found) == power.sub("", written), "run python -m benchmarks.parity"
    held = iter(map(float, power.findall(written)))
    for one, error in zip(CASES, errors, strict=True):
        if one.value:
            assert error.value < next(held), one.name
        if error.steepest:
            assert error.gradient < next(held), one.name
    assert not list(held)


def test_examples_of_the_docstrings():
    assert doctest.testmod(parity).failed == 0


# --- what is compared


def test_every_row_of_the_registry_is_compared_or_held():
    parity.require_whole()
    assert {one.name for one in CASES} and len({one.name for one in CASES}) == len(CASES)


def test_a_row_without_an_entry_is_refused(monkeypatch):
    more = registry() | {"brand_new": registry()["dpo"]}
    monkeypatch.setattr(parity, "registry", lambda: more)
    with pytest.raises(ValueError, match=r"row brand_new of methods\.toml is not compared"):
        parity.require_whole()
    less = {name: row for name, row in registry().items() if name != "dpop"}
    monkeypatch.setattr(parity, "registry", lambda: less)
    with pytest.raises(ValueError, match=r"dpop is no row of methods\.toml"):
        parity.require_whole()


@pytest.mark.parametrize("row", sorted(compared() - set(absent())))
def test_what_a_row_is_made_of_is_compared(row: str):
    """Every function that a row names, unless something of the row is held by other tests."""
    shown = " ".join(one.ours for one in CASES)
    for entry in registry()[row].functions.values():
        path = entry if isinstance(entry, str) else entry["function"]
        assert f"`{path.rpartition('.')[2]}`" in shown


@pytest.mark.parametrize("entry", notes()["held"], ids=lambda entry: entry["rows"][0])
def test_what_holds_the_rest_is_there(entry):
    for name in entry["tests"]:
        path, _, function = name.partition("::")
        body = ast.parse((TESTS / path).read_text(encoding="utf-8")).body
        assert function in {node.name for node in body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("point", notes()["point"], ids=lambda point: point["about"])
def test_the_place_of_a_point_is_there(point):
    for place in re.findall(r"`(.+?)`", point["where"]):
        path, _, name = place.partition(": ")
        file = PACKAGE / path
        if file.is_dir():
            file = file / "__init__.py"
        assert name in file.read_text(encoding="utf-8"), place


# --- faults show


def uneven(one: parity_cases.Case) -> Callable[[SimpleNamespace], Tensor]:
    """The case's own function of a draw of which something is off by up to a percent."""
    name = INSTEAD.get(one.ours)

    def of(d: SimpleNamespace) -> Tensor:
        off = name or d.leaves[0]
        value = getattr(d, off)
        factor = 0.99 if name else torch.linspace(0.99, 1.01, value.numel()).view_as(value)
        return one.of_ours(SimpleNamespace(**vars(d) | {off: factor * value}))

    return of


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_an_input_that_is_off_by_a_percent_shows(one):
    found = measure(replace(one, of_ours=uneven(one)), FEW)
    assert max(found.value, found.gradient) > 10 * BOUND[one.dtype]


def swapped(d: SimpleNamespace) -> Tensor:
    ranks = parity_cases.ranks_of(d)
    turned = replace(
        ranks, logprobs=ranks.logprobs.flip(1), ref_logprobs=ranks.ref_logprobs.flip(1)
    )
    return p.logistic_loss(turned).mean()


def shifted(d: SimpleNamespace) -> Tensor:
    """Every logprob taken for that of the token before."""
    batch, logprobs = parity_models.ours(d)
    return parity_models.cross_entropy(logprobs.roll(-1, 1), batch.completion_mask).sum() / (
        batch.completion_mask.sum()
    )


FAULTS = {
    "beta off by a percent": ("`logistic_loss` |", lambda d: p.logistic_loss(
        parity_cases.ranks_of(d), beta=0.101).mean()),
    "chosen and rejected swapped": ("`logistic_loss` |", swapped),
    "IPO of sums": ("`ipo_loss` |", lambda d: p.ipo_loss(
        parity_cases.ranks_of(d), per_token=False).mean()),
    "a mean of each row": ("`cross_entropy`", lambda d: -(
        (d.logprobs * d.mask).sum(1) / d.mask.sum(1)).mean()),
    "the sign of a policy gradient": ("`clipped`, `token_mean` |", lambda d: -parity_policy.loss_of(
        parity_policy.o.clipped, parity_policy.token_mean)(d)),
    "no upper clip of its own": ("`clipped`, `token_mean`, clip_high", parity_policy.loss_of(
        parity_policy.o.clipped, parity_policy.token_mean)),
    "the KL turned round": ("`k3`", lambda d: (
        sequence_mean(d.mask.double(), 1) * k3(d.ref, d.logprobs)).sum()),
    "no Bessel's correction": ("`group_zscore`", lambda d: group_centred(d.rewards)
        / (d.rewards.std(1, correction=0, keepdim=True) + 1e-4)),
    "another eps": ("`group_zscore`", lambda d: group_centred(d.rewards)
        / (d.rewards.std(1, keepdim=True) + 1e-6)),
    "a shift of one": ("`collate`, `token_logprobs`, `cross_entropy`", shifted),
    "the mean for a baseline": ("`leave_one_out` |", lambda d: group_centred(d.rewards)),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_shows(fault: str):
    name, wrong = FAULTS[fault]
    one = case(name)
    assert measure(one, FEW).gradient < BOUND[one.dtype]
    assert measure(replace(one, of_ours=wrong), FEW).gradient > 10 * BOUND[one.dtype]


def test_what_is_not_finite_or_of_another_shape_is_no_match():
    nothing = torch.tensor([float("nan")])
    assert parity.relative(nothing, nothing, 1e-3) == float("inf")
    with pytest.raises(ValueError, match="cannot be compared"):
        parity.relative(torch.zeros(1), torch.zeros(2), 1e-3)


# --- where the page says that TRL differs, it does


def test_scaled_by_the_batch_is_another_thing_in_trl():
    """Theirs divides by the deviation of the raw rewards, ours by that of the centred ones."""
    rewards = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).double()
    theirs = trl_calls.advantages(rewards, scale_rewards="batch")
    raw = group_centred(rewards) / (rewards.std() + 1e-4)
    torch.testing.assert_close(theirs, raw, rtol=1e-6, atol=0)
    assert batch_scaled(rewards)[0, 0] > 1.2 * theirs[0, 0]


def draw_of(make: Callable, wanted: Callable[[SimpleNamespace], bool]) -> SimpleNamespace:
    """The first draw that has something."""
    drawn = (make(torch.Generator().manual_seed(seed)) for seed in range(100))
    return next(d for d in drawn if wanted(d))


def test_trl_averages_cross_entropy_over_the_tokens_of_a_micro_batch():
    d = draw_of(parity_draws.logits, lambda d: len(set(d.lengths[::2])) > 1 and len(d.lengths) == 4)
    both = partial(trl_calls.without_reference, trl_calls.CPOTrainer, d.logits, d.ids, d.lengths, 1)
    ours = cpo_loss(parity_cases.ranks_of_logits(d)).mean()
    torch.testing.assert_close(both(cpo_alpha=1.0), ours)
    assert (both(pairs=2, cpo_alpha=1.0) - ours).abs() > 1e-3


def test_trl_smooths_no_labels_of_dpo():
    d = draw_of(parity_draws.pairs, lambda d: True)
    smooth, plain = (parity_cases.by_dpo("sigmoid", label_smoothing=e)(d) for e in (0.3, 0.0))
    assert smooth == plain


def test_trl_caps_no_weight():
    """Where a completion's weight is above 1, ours is 1."""
    d = draw_of(parity_draws.pairs, lambda d: len(d.mask) == 2)
    d.collisions = d.logprobs.detach() - 0.5  # weights of exp(0.5)
    theirs = parity_cases.by_wpo(d) / parity_cases.by_dpo("sigmoid")(d)
    assert theirs.item() == pytest.approx(torch.tensor(1.0).exp().item())
    assert (wpo_weights(d.logprobs, d.collisions, d.mask) == 1).all()


def test_trls_unbiased_kl_is_another_loss_than_k3():
    d = draw_of(partial(parity_draws.group, most=15.0), lambda d: True)
    given = d.logprobs, None, 0 * d.advantages, d.mask, d.ref
    plain, unbiased = (
        trl_calls.policy_gradient(*given, beta=1.0, unbiased_kl=which) for which in (False, True)
    )
    slopes = [torch.autograd.grad(x, d.logprobs)[0] for x in (plain, unbiased)]
    torch.testing.assert_close(plain, unbiased)  # fresh samples: the ratio is 1
    inside = d.mask.bool()
    more = (sequence_mean(d.mask.double(), 1) * k3(d.logprobs, d.ref).detach())[inside]
    torch.testing.assert_close((slopes[1] - slopes[0])[inside], more)
