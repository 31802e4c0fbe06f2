"""Values and gradients equal to those of TRL's trainers on random inputs."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch

from minialign.variants.reward_losses import adjusted_bradley_terry

trl = pytest.importorskip("trl")


@pytest.mark.parametrize(("margin", "centering"), [(0.0, 0.0), (0.7, 0.0), (0.0, 0.01)])
def test_reward_loss(margin: float, centering: float):
    """`RewardTrainer.compute_loss`, called with stand-ins for trainer and model."""
    scores = torch.randn(8, dtype=torch.float64).requires_grad_()
    inputs = {"input_ids": torch.zeros(8, 1, dtype=torch.long)}
    if margin:
        inputs["margin"] = torch.full((4,), margin, dtype=torch.float64)
    trainer = SimpleNamespace(
        args=SimpleNamespace(center_rewards_coefficient=centering or None),
        model=SimpleNamespace(training=False),
        accelerator=SimpleNamespace(gather=lambda x: x, gather_for_metrics=lambda x: x),
        _metrics={"eval": defaultdict(list)},
        _total_train_tokens=0,
    )

    def model(**inputs) -> SimpleNamespace:
        return SimpleNamespace(logits=scores[:, None])

    theirs = trl.RewardTrainer.compute_loss(trainer, model, inputs)
    ours = adjusted_bradley_terry(scores[:4], scores[4:], margin=margin, centering=centering).mean()
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    (one,) = torch.autograd.grad(ours, scores, retain_graph=True)
    (two,) = torch.autograd.grad(theirs, scores)
    torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-12)
