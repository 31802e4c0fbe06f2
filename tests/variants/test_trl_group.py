"""Policy objectives and group advantages equal TRL's GRPO and RLOO, in float64."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections import defaultdict
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from minialign.algorithms.grpo import group_zscore
from minialign.core.kl import k3
from minialign.variants import group_advantages as g
from minialign.variants import policy as o
from minialign.variants.averages import fixed_length, sequence_mean, sequence_sum, token_mean

pytest.importorskip("trl")
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_trainer import RLOOTrainer

B, T, LIMIT = 6, 7, 9


@pytest.fixture(params=[0, 1])
def world(request) -> SimpleNamespace:
    """B ragged completions, off-policy by about a tenth per token."""
    torch.manual_seed(request.param)
    draw = partial(torch.randn, dtype=torch.float64)
    mask = (torch.arange(T) < torch.randint(1, T + 1, (B, 1))).long()
    old = -draw(B, T).abs() - 0.5
    return SimpleNamespace(
        logprobs=(old + 0.15 * draw(B, T)).requires_grad_(),
        old=old,
        ref=old + 0.2 * draw(B, T),
        advantages=draw(B),
        mask=mask,
    )


def theirs(w: SimpleNamespace, trainer_class: type = GRPOTrainer, **settings) -> Tensor:
    """The trainer's `_compute_loss`, called with stand-ins for trainer and model."""
    state = {
        "loss_type": "grpo", "importance_sampling_level": "token", "beta": 0.0, "epsilon_low": 0.2,
        "epsilon_high": 0.2, "top_entropy_quantile": 1.0, "off_policy_mask_threshold": None,
        "max_completion_length": LIMIT, "aux_loss_enabled": False, "use_vllm": False,
        "_entropy_bonus_enabled": False, "current_gradient_accumulation_steps": 1,
    } | settings  # fmt: skip
    args = SimpleNamespace(
        delta=None, use_bias_correction_kl=False, steps_per_generation=1,
        sapo_temperature_pos=1.0, sapo_temperature_neg=1.05,
        vespo_k_pos=2.0, vespo_lambda_pos=3.0, vespo_k_neg=3.0, vespo_lambda_neg=2.0,
    )  # fmt: skip
    accelerator = SimpleNamespace(
        gather=lambda x: x, reduce=lambda x, reduction: x, num_processes=1, sync_gradients=True
    )
    trainer = SimpleNamespace(
        **state, args=args, accelerator=accelerator, model=SimpleNamespace(training=True),
        _metrics=defaultdict(lambda: defaultdict(list)),
        _get_per_token_logps_and_entropies=lambda *a, **k: (w.logprobs, 0 * w.old, None),
        get_gamma_weights=getattr(trainer_class, "get_gamma_weights", None),
    )  # fmt: skip
    ids = torch.ones_like(w.mask)
    inputs = {
        "prompt_ids": ids[:, :1], "prompt_mask": ids[:, :1], "completion_ids": ids,
        "completion_mask": w.mask, "advantages": w.advantages, "old_per_token_logps": w.old,
        "ref_per_token_logps": w.ref, "num_items_in_batch": w.mask.sum(),
        "old_logps": (w.old * w.mask).sum(1),
    }  # fmt: skip
    return trainer_class._compute_loss(trainer, None, inputs)


def ours(w: SimpleNamespace, objective, average, beta: float = 0.0, **options) -> Tensor:
    advantages = w.advantages[:, None].expand(B, T)
    gain = objective(w.logprobs, w.old, advantages, w.mask, **options)
    return (average(w.mask, LIMIT) * (beta * k3(w.logprobs, w.ref) - gain)).sum()


CASES = {
    "grpo": ({"loss_type": "grpo"}, o.clipped, sequence_mean, {}),
    "clip-higher": ({"loss_type": "grpo", "epsilon_high": 0.28}, o.clipped, sequence_mean,
                    {"clip_high": 0.28}),
    "kl": ({"loss_type": "grpo", "beta": 0.04}, o.clipped, sequence_mean, {"beta": 0.04}),
    "bnpo": ({"loss_type": "bnpo"}, o.clipped, token_mean, {}),
    "dapo": ({"loss_type": "dapo"}, o.clipped, token_mean, {}),
    "dr_grpo": ({"loss_type": "dr_grpo"}, o.clipped, fixed_length, {}),
    "cispo": ({"loss_type": "cispo", "epsilon_high": 1.1}, o.cispo, token_mean, {"cap": 1.1}),
    "sapo": ({"loss_type": "sapo"}, o.sapo, sequence_mean, {}),
    "gspo": ({"importance_sampling_level": "sequence", "epsilon_low": 0.05, "epsilon_high": 0.06},
             o.gspo, sequence_mean, {"clip": 0.05, "clip_high": 0.06}),
    "luspo": ({"loss_type": "luspo", "importance_sampling_level": "sequence"}, o.gspo, sequence_sum,
              {"clip": 0.2, "clip_high": 0.2}),
    "vespo": ({"loss_type": "vespo"}, o.vespo, token_mean, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_equal_trl(world, name: str):
    settings, objective, average, options = CASES[name]
    same(world, theirs(world, **settings), ours(world, objective, average, **options))


def test_rloo_clips_the_ratio_of_the_whole(world):
    found = ours(world, o.gspo, sequence_mean, clip=0.2, clip_high=0.2, per_token=False)
    same(world, theirs(world, RLOOTrainer), found)


def same(w: SimpleNamespace, a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-12)
    slopes = [torch.autograd.grad(x, w.logprobs, retain_graph=True)[0] * w.mask for x in (a, b)]
    torch.testing.assert_close(*slopes, rtol=1e-6, atol=1e-12)
    assert slopes[0].abs().max() > 1e-4


def advantages_of_trl(method, start: str, rewards: Tensor, **settings) -> Tensor:
    """(P, G) advantages by TRL's own lines, cut out of a method that samples before them."""
    source = inspect.getsource(method)
    lines = source[source.index(start) : source.index("advantages = torch.nan_to_num(")]
    indent = source[: source.index(start)].rpartition("\n")[2]
    trainer = SimpleNamespace(
        reward_weights=torch.ones(1), reward_funcs=[None], normalize_advantages=False, **settings
    )
    names = vars(sys.modules[method.__module__]) | {
        "self": trainer, "device": "cpu", "num_generations": rewards.shape[1],
        "rewards": rewards.flatten(), "rewards_per_func": rewards.view(-1, 1),
        "unscorable_mask": torch.zeros(rewards.numel(), dtype=torch.bool),
    }  # fmt: skip
    exec(textwrap.dedent(indent + lines), names)
    return names["advantages"].view_as(rewards)


SCALES = {"group": group_zscore, "none": g.group_centred}


@pytest.mark.parametrize("scale", SCALES)
def test_advantages_equal_those_of_grpo(scale: str):
    rewards = torch.randn(3, 4, dtype=torch.float64)
    theirs = advantages_of_trl(
        GRPOTrainer._generate_and_score_completions, "if self.multi_objective_aggregation ==",
        rewards, multi_objective_aggregation="sum_then_normalize", scale_rewards=scale,
    )  # fmt: skip
    torch.testing.assert_close(SCALES[scale](rewards), theirs)


def test_advantages_equal_those_of_rloo():
    rewards = torch.randn(3, 4, dtype=torch.float64)
    theirs = advantages_of_trl(
        RLOOTrainer._generate_and_score_completions, "grouped_rewards = rewards.view", rewards
    )
    torch.testing.assert_close(g.leave_one_out(rewards), theirs)
