"""TRL's own losses and advantages, called with stand-ins for its trainers and models.

Each function hands a method of an installed trainer the few attributes that it reads, and a model
that returns given numbers, so what comes back was computed by TRL's code and by nothing else. No
weights are loaded and no trainer is built. Rows that belong to one pair stand one under the other
here, chosen above rejected, as in minialign's loops; TRL wants all chosen rows first.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from types import CodeType, SimpleNamespace

import torch
from torch import Tensor
from trl import DPOTrainer, KTOTrainer, RewardTrainer, SFTTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_trainer import RLOOTrainer

LIMIT = 32  # longest completion, the constant of Dr. GRPO
CPU = torch.device("cpu")


def _same(x: Tensor) -> Tensor:
    return x


def stand_in(**state: object) -> SimpleNamespace:
    """What every trainer reads besides its settings: one process, metrics, no experts."""
    accelerator = SimpleNamespace(
        device=CPU, gather=_same, gather_for_metrics=_same, reduce=lambda x, reduction: x,
        num_processes=1, sync_gradients=True, parallelism_config=None,
    )  # fmt: skip
    common = {
        "accelerator": accelerator, "model": SimpleNamespace(training=False),
        "aux_loss_enabled": False, "_total_train_tokens": 0,
        "_metrics": defaultdict(lambda: defaultdict(list)),
    }  # fmt: skip
    return SimpleNamespace(**(common | state))


def _outputs(logprobs: Tensor, mask: Tensor, **others: Tensor) -> SimpleNamespace:
    """A fused head's output: (B, T - 1) about the next token, 0 where nothing is imitated."""
    blank = torch.zeros_like(logprobs[:, 1:]).detach()
    return SimpleNamespace(
        log_probs=(logprobs * mask)[:, 1:], label_mask=mask[:, 1:].bool(), entropy=blank,
        mean_logits=blank, is_top1=blank.bool(), **others,
    )  # fmt: skip


def _chosen_first(rows: Tensor) -> Tensor:
    """Rows of pairs, in turn, as all chosen and then all rejected."""
    return torch.cat([rows[::2], rows[1::2]])


def sft_of(model: Callable, inputs: dict, tokens: Tensor | None = None) -> Tensor:
    """`SFTTrainer.compute_loss` of a model; `tokens` are those of all micro-batches."""
    args = SimpleNamespace(loss_type="nll", average_tokens_across_devices=False, max_length=None)
    trainer = stand_in(args=args, compute_loss_func=None, label_smoother=None)
    return SFTTrainer.compute_loss(trainer, model, inputs, num_items_in_batch=tokens)


def sft(logprobs: Tensor, mask: Tensor, micro_batches: int = 1) -> Tensor:
    """The same of given logprobs, of each micro-batch, added up as the trainer does."""
    tokens = mask[:, 1:].sum() if micro_batches > 1 else None

    def of(part: slice) -> Tensor:
        out = _outputs(logprobs[part], mask[part])
        return sft_of(lambda **_: out, {"input_ids": mask[part], "labels": mask[part]}, tokens)

    size = -(-len(mask) // micro_batches)
    return torch.stack([of(slice(i, i + size)) for i in range(0, len(mask), size)]).sum()


def reward(
    chosen: Tensor, rejected: Tensor, margin: Tensor | None = None, centering: float | None = None
) -> Tensor:
    """`RewardTrainer.compute_loss`."""
    trainer = stand_in(args=SimpleNamespace(center_rewards_coefficient=centering))
    logits = torch.cat([chosen, rejected])[:, None]
    inputs = {} if margin is None else {"margin": margin}
    return RewardTrainer.compute_loss(trainer, lambda **_: SimpleNamespace(logits=logits), inputs)


def dpo_of(model: Callable, inputs: dict, *types: str, **settings: object) -> Tensor:
    """`DPOTrainer._compute_loss` of a model."""
    state = {
        "beta": 0.1, "label_smoothing": 0.0, "ld_alpha": None, "f_divergence_type": "reverse_kl",
        "f_alpha_divergence_coef": 0.5, "use_weighting": False, "precompute_ref_logps": True,
        "args": SimpleNamespace(discopop_tau=0.05),
        "loss_types": list(types), "loss_weights": [1.0] * len(types),
    }  # fmt: skip
    return DPOTrainer._compute_loss(
        stand_in(**(state | settings)), model, inputs, return_outputs=False
    )


def dpo(
    logprobs: Tensor, mask: Tensor, ref_sums: Tensor, *types: str, collisions: Tensor | None = None,
    **settings: object,
) -> Tensor:  # fmt: skip
    """The same of (2 B, T) logprobs and (B, 2) sums under the reference."""
    logprobs, mask = _chosen_first(logprobs), _chosen_first(mask)
    squares = {} if collisions is None else {"log_sum_sq_probs": _chosen_first(collisions)[:, 1:]}
    out = _outputs(logprobs, mask, **squares)
    inputs = {
        "input_ids": mask, "attention_mask": mask, "completion_mask": mask,
        "ref_chosen_logps": ref_sums[:, 0], "ref_rejected_logps": ref_sums[:, 1],
    }  # fmt: skip
    return dpo_of(lambda **_: out, inputs, *types, **settings)


def kto(
    logprobs: Tensor, mask: Tensor, ref_sums: Tensor, liked: Tensor, mismatched: Tensor,
    **settings: object,
) -> Tensor:  # fmt: skip
    """`KTOTrainer._compute_loss`; `mismatched` are the log-ratios of the mismatched rows."""
    state = {
        "beta": 0.1, "desirable_weight": 1.0, "undesirable_weight": 1.0, "loss_type": "kto",
        "calculate_KL": True, "precompute_ref_logps": True,
    }  # fmt: skip
    trainer = stand_in(**(state | settings), _compute_kl_logps=lambda model, batch: mismatched)
    inputs = {
        "input_ids": mask, "completion_mask": mask, "label": liked, "ref_logps": ref_sums,
        "ref_KL_logps": torch.zeros_like(mismatched),
    }  # fmt: skip
    out = _outputs(logprobs, mask)
    return KTOTrainer._compute_loss(trainer, lambda **_: out, inputs, return_outputs=False)


def _cpo_state(**settings: object) -> dict:
    return {
        "beta": 0.1, "alpha": 0.0, "cpo_alpha": 0.0, "label_smoothing": 0.0, "simpo_gamma": 0.0,
        "loss_type": "sigmoid", "is_encoder_decoder": False, "pad_token_id": 0, "padding_value": 0,
    } | settings  # fmt: skip


def cpo_formula(chosen: Tensor, rejected: Tensor, **settings: object) -> Tensor:
    """`CPOTrainer.cpo_loss` of (B,) numbers, to (B,)."""
    return CPOTrainer.cpo_loss(stand_in(**_cpo_state(**settings)), chosen, rejected)[0]


def without_reference(
    trainer_class: type, logits: Tensor, ids: Tensor, lengths: list[int], prompt: int,
    pairs: int = 1, **settings: object,
) -> Tensor:  # fmt: skip
    """`get_batch_loss_metrics` of CPOTrainer or ORPOTrainer, from (2 B, T, V) logits.

    `pairs` make a micro-batch, of which the means are averaged, as accumulated gradients are. The
    tokens before `prompt` are the prompt.
    """
    trainer = stand_in(**_cpo_state(**settings))
    for name in ("concatenated_inputs", "get_batch_logps"):
        setattr(trainer, name, getattr(trainer_class, name))
    for name in ("concatenated_forward", "cpo_loss", "odds_ratio_loss"):
        if hasattr(trainer_class, name):
            setattr(trainer, name, getattr(trainer_class, name).__get__(trainer))
    losses = []
    for i in range(0, len(ids), 2 * pairs):
        rows = slice(i, i + 2 * pairs)
        batch = _cpo_batch(ids[rows, : max(lengths[rows])], lengths[rows], prompt)
        model = _model_of(_chosen_first(logits[rows, : max(lengths[rows])]))
        losses.append(trainer_class.get_batch_loss_metrics(trainer, model, batch)[0])
    return torch.stack(losses).mean()


def _cpo_batch(ids: Tensor, lengths: list[int], prompt: int) -> dict[str, Tensor]:
    """What CPO's collator makes of rows of pairs."""
    mask = (torch.arange(ids.shape[1]) < torch.tensor(lengths)[:, None]).long()
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, :prompt] = -100
    columns = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    return {
        f"{which}_{name}": column[first::2]
        for first, which in enumerate(("chosen", "rejected"))
        for name, column in columns.items()
    }


def _model_of(logits: Tensor) -> Callable[..., SimpleNamespace]:
    return lambda *ids, **_: SimpleNamespace(logits=logits)


def policy_gradient(
    logprobs: Tensor, old: Tensor | None, advantages: Tensor, mask: Tensor,
    ref: Tensor | None = None, trainer_class: type = GRPOTrainer, *, unbiased_kl: bool = False,
    **settings: object,
) -> Tensor:  # fmt: skip
    """`_compute_loss` of GRPOTrainer or RLOOTrainer; without `old` the policy sampled just now.

    `unbiased_kl` is TRL's use_bias_correction_kl: k3 times the ratio.
    """
    state = {
        "loss_type": "grpo", "importance_sampling_level": "token", "beta": 0.0, "epsilon_low": 0.2,
        "epsilon_high": 0.2, "top_entropy_quantile": 1.0, "off_policy_mask_threshold": None,
        "max_completion_length": LIMIT, "use_vllm": False, "_entropy_bonus_enabled": False,
        "current_gradient_accumulation_steps": 1, "model": SimpleNamespace(training=True),
    } | settings  # fmt: skip
    args = SimpleNamespace(
        delta=None, use_bias_correction_kl=unbiased_kl, steps_per_generation=1,
        sapo_temperature_pos=1.0, sapo_temperature_neg=1.05,
        vespo_k_pos=2.0, vespo_lambda_pos=3.0, vespo_k_neg=3.0, vespo_lambda_neg=2.0,
    )  # fmt: skip
    blank = torch.zeros_like(logprobs).detach()
    trainer = stand_in(
        **state, args=args, get_gamma_weights=GRPOTrainer.get_gamma_weights,
        _get_per_token_logps_and_entropies=lambda *a, **k: (logprobs, blank, None),
    )  # fmt: skip
    ids = torch.ones_like(mask)
    sampled_by = logprobs.detach() if old is None else old
    inputs = {
        "prompt_ids": ids[:, :1], "prompt_mask": ids[:, :1], "completion_ids": ids,
        "completion_mask": mask, "advantages": advantages, "num_items_in_batch": mask.sum(),
        "old_per_token_logps": old, "old_logps": (sampled_by * mask).sum(1),
        "ref_per_token_logps": ref,
    }  # fmt: skip
    return trainer_class._compute_loss(trainer, None, inputs)


ADVANTAGES = {  # trainer -> the first of its own lines that make advantages of rewards
    GRPOTrainer: "if self.multi_objective_aggregation ==",
    RLOOTrainer: "# Include the KL penalty in the reward",
}


@cache
def _advantage_lines(trainer_class: type) -> CodeType:
    """TRL's own lines, cut out of the method that samples before them."""
    source = inspect.getsource(trainer_class._generate_and_score_completions)
    start = ADVANTAGES[trainer_class]
    lines = source[source.index(start) : source.index("advantages = torch.nan_to_num(")]
    indent = source[: source.index(start)].rpartition("\n")[2]
    return compile(textwrap.dedent(indent + lines), trainer_class.__name__, "exec")


def advantages(
    rewards: Tensor, trainer_class: type = GRPOTrainer, *, old: Tensor | None = None,
    ref: Tensor | None = None, mask: Tensor | None = None, **settings: object,
) -> Tensor:  # fmt: skip
    """(P, G) rewards to (P, G) advantages; `old` and `ref` where the reward pays for their KL."""
    state = {
        "multi_objective_aggregation": "sum_then_normalize", "scale_rewards": "group", "beta": 0.0,
        "normalize_advantages": False,
    } | settings  # fmt: skip
    flat = rewards.flatten()
    names = vars(sys.modules[trainer_class.__module__]) | {
        "self": SimpleNamespace(**state, reward_weights=torch.ones(1), reward_funcs=[None]),
        "device": CPU, "gather": _same, "num_generations": rewards.shape[1],
        "rewards": flat, "rewards_per_func": flat[:, None],
        "unscorable_mask": torch.zeros(rewards.numel(), dtype=torch.bool),
        "old_per_token_logps": old, "ref_per_token_logps": ref, "completion_mask": mask,
    }  # fmt: skip
    exec(_advantage_lines(trainer_class), names)
    return names["advantages"].view_as(rewards)


__all__ = [
    "LIMIT", "CPOTrainer", "GRPOTrainer", "ORPOTrainer", "RLOOTrainer", "advantages",
    "cpo_formula", "dpo", "dpo_of", "kto", "policy_gradient", "reward", "sft", "sft_of",
    "stand_in", "without_reference",
]  # fmt: skip
