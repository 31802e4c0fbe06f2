"""Preference losses equal TRL's in value and gradient, on random inputs in float64."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from minialign.core.logprobs import masked_sum
from minialign.variants import preference as p
from minialign.variants.loops.preference_loop import tail_sum, wpo_weights
from minialign.variants.preference import fdpo_loss
from minialign.variants.ranks import RankLogprobs
from minialign.variants.reference_free import cpo_loss, orpo_loss, simpo_loss
from minialign.variants.unpaired import kto_loss, mismatched_kl

trl = pytest.importorskip("trl")
B, T = 5, 7


def world() -> SimpleNamespace:
    """2B rows of T columns, chosen above rejected, with ragged completions."""
    torch.manual_seed(3)
    draw = partial(torch.rand, dtype=torch.float64)
    mask = torch.zeros(2 * B, T, dtype=torch.long)
    for row, length in enumerate(torch.randint(1, T - 1, (2 * B,)).tolist()):
        mask[row, 1 : 1 + length] = 1
    return SimpleNamespace(
        logprobs=(-3 * draw(2 * B, T)).requires_grad_(),
        ref_logprobs=-3 * draw(2 * B, T),
        log_collisions=-draw(2 * B, T),
        mask=mask,
    )


def pair_of(w: SimpleNamespace, tail: float = 1.0) -> RankLogprobs:
    def in_turn(rows: Tensor) -> Tensor:
        """Chosen and rejected of each pair one under the other, as the loop has them."""
        return torch.stack(rows.chunk(2), 1).flatten(0, 1)

    def sums(logprobs: Tensor) -> Tensor:
        rows, mask = in_turn(logprobs), in_turn(w.mask)
        total = masked_sum(rows, mask) if tail == 1 else tail_sum(rows, mask, k=2, tail=tail)
        return total.view(-1, 2)

    lengths = in_turn(w.mask).sum(1).view(-1, 2)
    return RankLogprobs(sums(w.logprobs), sums(w.ref_logprobs), lengths)


def theirs(w: SimpleNamespace, loss_type: str, **settings) -> Tensor:
    """`DPOTrainer._compute_loss`, called with stand-ins for trainer and model."""
    state = {
        "beta": 0.1, "label_smoothing": 0.0, "ld_alpha": None, "f_divergence_type": "reverse_kl",
        "f_alpha_divergence_coef": 0.5, "use_weighting": False, "aux_loss_enabled": False,
        "precompute_ref_logps": True, "loss_types": [loss_type], "loss_weights": [1.0],
    } | settings  # fmt: skip
    ref = pair_of(w, 1.0 if state["ld_alpha"] is None else state["ld_alpha"])
    trainer = SimpleNamespace(
        **state,
        args=SimpleNamespace(discopop_tau=0.05),
        model=SimpleNamespace(training=False),
        accelerator=SimpleNamespace(
            device=torch.device("cpu"), gather=lambda x: x, gather_for_metrics=lambda x: x
        ),
        _metrics={"eval": defaultdict(list)},
        _total_train_tokens=0,
    )
    inputs = {
        "input_ids": torch.zeros(2 * B, T, dtype=torch.long),
        "attention_mask": torch.ones(2 * B, T, dtype=torch.long),
        "completion_mask": w.mask,
        "ref_chosen_logps": ref.ref_chosen.detach(),
        "ref_rejected_logps": ref.ref_rejected.detach(),
    }

    def model(**_) -> SimpleNamespace:
        shifted = (w.logprobs * w.mask)[:, 1:]
        blank = torch.zeros_like(shifted)
        return SimpleNamespace(
            log_probs=shifted, log_sum_sq_probs=w.log_collisions[:, 1:], entropy=blank,
            mean_logits=blank, is_top1=blank.bool(),
        )  # fmt: skip

    return trl.DPOTrainer._compute_loss(trainer, model, inputs, return_outputs=False)


def assert_equal(w: SimpleNamespace, ours: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(ours, other, rtol=1e-6, atol=0)
    (one,) = torch.autograd.grad(ours, w.logprobs, retain_graph=True)
    (two,) = torch.autograd.grad(other, w.logprobs)
    torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-12)
    assert one.abs().max() > 0


@pytest.mark.parametrize(
    ("loss_type", "ours", "settings"),
    [
        ("sigmoid", p.logistic_loss, {}),
        ("robust", partial(p.robust_dpo_loss, flip=0.2), {"label_smoothing": 0.2}),
        ("ipo", p.ipo_loss, {}),
        ("hinge", p.hinge_loss, {}),
        ("sigmoid_norm", partial(p.dpo_norm_loss, beta=0.1), {}),
        ("exo_pair", partial(p.exo_loss, label_smoothing=0.01), {"label_smoothing": 0.01}),
        ("sppo_hard", p.sppo_loss, {}),
        ("nca_pair", p.nca_loss, {}),
        ("bco_pair", p.bco_pair_loss, {}),
        ("apo_zero", p.apo_zero_loss, {}),
        ("apo_down", p.apo_down_loss, {}),
        ("discopop", partial(p.discopop_loss, beta=0.1), {}),
        ("aot", p.aot_loss, {}),
        ("aot_unpaired", partial(p.aot_loss, paired=False), {}),
    ],
)
def test_pairs(loss_type: str, ours, settings):
    w = world()
    assert_equal(w, ours(pair_of(w)).mean(), theirs(w, loss_type, **settings))


@pytest.mark.parametrize(
    ("ours", "theirs_name", "alpha"),
    [("forward_kl", "forward_kl", 0.5), ("jensen_shannon", "js_divergence", 0.5)],
)
def test_divergences(ours: str, theirs_name: str, alpha: float):
    w = world()
    loss = fdpo_loss(pair_of(w), divergence=ours, alpha=alpha).mean()
    assert_equal(w, loss, theirs(w, "sigmoid", f_divergence_type=theirs_name))


def test_the_alpha_divergence_is_theirs_at_one_minus_alpha():
    """In float32, which theirs insists on."""
    w = world()
    w.logprobs = w.logprobs.detach().float().requires_grad_()
    w.ref_logprobs = w.ref_logprobs.float()
    loss = fdpo_loss(pair_of(w), divergence="alpha", alpha=0.3).mean()
    other = theirs(w, "sigmoid", f_divergence_type="alpha_divergence", f_alpha_divergence_coef=0.7)
    torch.testing.assert_close(loss, other, rtol=1e-5, atol=0)


def test_length_desensitised():
    w = world()
    assert_equal(w, p.logistic_loss(pair_of(w, 0.3)).mean(), theirs(w, "sigmoid", ld_alpha=0.3))


def test_weighted_pairs():
    w = world()
    w.log_collisions = torch.zeros_like(w.log_collisions)  # weights below 1, where none is capped
    weights = wpo_weights(w.logprobs, w.log_collisions, w.mask)
    chosen, rejected = weights.chunk(2)
    loss = (p.logistic_loss(pair_of(w)) * chosen * rejected).mean()
    assert weights.max() < 1
    assert_equal(w, loss, theirs(w, "sigmoid", use_weighting=True))


def test_unpaired_with_the_reference_point_of_mismatched_rows():
    """`KTOTrainer._compute_loss`, called with stand-ins."""
    w = world()
    liked = torch.tensor([True, False, True, True, False, True, False, True, True, False])
    sums, ref = masked_sum(w.logprobs, w.mask), masked_sum(w.ref_logprobs, w.mask)
    strange = torch.rand(2 * B, dtype=torch.float64)
    trainer = SimpleNamespace(
        beta=0.1, desirable_weight=1.0, undesirable_weight=1.5, loss_type="kto",
        calculate_KL=True, precompute_ref_logps=True, aux_loss_enabled=False,
        model=SimpleNamespace(training=False),
        accelerator=SimpleNamespace(device=torch.device("cpu"), gather_for_metrics=lambda x: x),
        _metrics={"eval": defaultdict(list)},
        _total_train_tokens=0,
        _compute_kl_logps=lambda model, batch: strange,
    )  # fmt: skip
    inputs = {
        "input_ids": torch.zeros(2 * B, T, dtype=torch.long), "completion_mask": w.mask,
        "label": liked, "ref_logps": ref, "ref_KL_logps": torch.zeros_like(strange),
    }  # fmt: skip

    def model(**_) -> SimpleNamespace:
        shifted = (w.logprobs * w.mask)[:, 1:]
        blank = torch.zeros_like(shifted)
        return SimpleNamespace(log_probs=shifted, entropy=blank, mean_logits=blank)

    other = trl.KTOTrainer._compute_loss(trainer, model, inputs, return_outputs=False)
    ours = kto_loss(sums - ref, liked, mismatched_kl(strange), disliked_weight=1.5).mean()
    assert_equal(w, ours, other)


def test_without_a_reference():
    """`CPOTrainer.cpo_loss` as CPO and as SimPO, and `ORPOTrainer.odds_ratio_loss` in float32."""
    cpo = pytest.importorskip("trl.experimental.cpo").CPOTrainer.cpo_loss
    orpo = pytest.importorskip("trl.experimental.orpo").ORPOTrainer.odds_ratio_loss
    w = world()
    pair = pair_of(w)
    accelerator = SimpleNamespace(device=torch.device("cpu"))
    state = {"alpha": 0.0, "label_smoothing": 0.0, "accelerator": accelerator}
    trainer = SimpleNamespace(beta=0.1, loss_type="sigmoid", **state)
    other = cpo(trainer, pair.chosen, pair.rejected)[0].mean()
    assert_equal(w, cpo_loss(pair, nll=0.0).mean(), other)
    trainer = SimpleNamespace(beta=2.0, loss_type="simpo", simpo_gamma=1.0, **state)
    pair = pair_of(w)
    other = cpo(trainer, pair.chosen_mean, pair.rejected_mean)[0].mean()
    assert_equal(w, simpo_loss(pair).mean(), other)
    pair = pair_of(w)
    trainer = SimpleNamespace(beta=1.0, accelerator=accelerator)
    gain = orpo(trainer, pair.chosen_mean, pair.rejected_mean)[0]
    torch.testing.assert_close(
        orpo_loss(pair, weight=1.0).float(), (-pair.chosen_mean - gain).float(), rtol=1e-5, atol=0
    )
