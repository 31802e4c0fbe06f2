"""What is compared with TRL of policy gradients and of what all methods stand on; as `Case`s."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import torch
from torch import Tensor
from transformers.integrations.neftune import neftune_post_forward_hook
from trl.rewards import get_soft_overlong_punishment
from trl.trainer.callbacks import SyncRefModelCallback
from trl.trainer.utils import selective_log_softmax

from benchmarks import parity_draws as draws
from benchmarks import trl_calls as trl
from benchmarks.parity_cases import NEAR, Case, Draw, Function
from minialign.algorithms.grpo import group_zscore, grpo_loss
from minialign.algorithms.ppo import policy_loss
from minialign.core.kl import k1, k3
from minialign.core.logprobs import gather_logprobs, masked_sum
from minialign.rewards.verifiers import soft_overlong
from minialign.variants import group_advantages as g
from minialign.variants import policy as o
from minialign.variants.averages import fixed_length, sequence_mean, sequence_sum, token_mean
from minialign.variants.loops.offline_loop import embedding_noise
from minialign.variants.loops.rounds import mix_into

POLICY, ADVANTAGES, PARTS = "Policy gradients", "Advantages", "What all stand on"
EPS = 0.2


def per_token(d: Draw, advantages: Tensor | None = None) -> Tensor:
    """(B,) advantages at every token."""
    return (d.advantages if advantages is None else advantages)[:, None].expand_as(d.old)


def loss_of(objective: Callable, average: Callable, **options: object) -> Function:
    """The loss of the policy loop: what is to be maximised, averaged, with the sign turned."""
    return lambda d: (
        -(
            average(d.mask.double(), trl.LIMIT)
            * objective(d.logprobs, d.old, per_token(d), d.mask, **options)
        )
    ).sum()


def by_trl(trainer_class: type = trl.GRPOTrainer, **settings: object) -> Function:
    """TRL's loss of the same."""
    return lambda d: trl.policy_gradient(
        d.logprobs, d.old, d.advantages, d.mask, d.ref, trainer_class, **settings
    )


def policy_case(
    objective: Callable, average: Callable, theirs: str, *rows: str, most: float = draws.FAR,
    trainer_class: type = trl.GRPOTrainer, ours: dict | None = None,
    dtype: torch.dtype = torch.float64, **settings: object,
) -> Case:  # fmt: skip
    """An objective and an average of minialign beside a trainer of TRL with settings."""
    options = {} if ours is None else ours
    named = "".join(f", {key}={value}" for key, value in options.items())
    return Case(
        POLICY, f"`{objective.__name__}`, `{average.__name__}`{named}", theirs,
        partial(draws.group, most=most), loss_of(objective, average, **options),
        by_trl(trainer_class, **settings), rows, dtype=dtype,
    )  # fmt: skip


def essay(beta: float) -> Function:
    """The loss of `train_grpo`."""
    return lambda d: (
        sequence_mean(d.mask.double(), trl.LIMIT)
        * grpo_loss(d.logprobs, d.old, d.ref, per_token(d), clip=EPS, beta=beta)
    ).sum()


def ppo_essay(d: Draw) -> Tensor:
    """The policy's loss of `train_ppo`."""
    cost = policy_loss((d.logprobs - d.old).exp(), d.token_advantages, clip=EPS)
    return (token_mean(d.mask.double(), trl.LIMIT) * cost).sum()


def per_token_by_trl(loss_type: str) -> Function:
    """TRL's loss with an advantage for each token, as it allows subclasses."""
    return lambda d: trl.policy_gradient(
        d.logprobs, d.old, d.token_advantages, d.mask, loss_type=loss_type
    )


def process_loss(d: Draw) -> Tensor:
    """The loss of the policy loop with advantages of steps."""
    gain = o.clipped(d.logprobs, d.old, d.token_advantages, d.mask)
    return -(sequence_mean(d.mask.double(), trl.LIMIT) * gain).sum()


def fresh(advantage: Callable, trainer_class: type, average: Callable, **settings: object) -> dict:
    """Both losses on the policy's own samples, with an advantage of minialign's."""

    def of(d: Draw) -> Tensor:
        return advantage(d.rewards).flatten()

    def ours(d: Draw) -> Tensor:
        gain = o.reinforce(d.logprobs, d.logprobs.detach(), per_token(d, of(d)), d.mask)
        return -(average(d.mask.double(), trl.LIMIT) * gain).sum()

    def theirs(d: Draw) -> Tensor:
        return trl.policy_gradient(
            d.logprobs, None, of(d), d.mask, trainer_class=trainer_class, **settings
        )

    return {"of_ours": ours, "of_theirs": theirs, "draw": draws.group}


CISPO = {"loss_type": "cispo", "epsilon_high": 5.0}
OF_WHOLE = {"importance_sampling_level": "sequence"}
PPO_OF_THE_LOOP = (
    "ppo_adaptive_kl", "ppo_ptx", "ppo_normalised_rewards", "ppo_max", "ppo_whitened_rewards",
)  # fmt: skip
GRADIENTS = (
    Case(POLICY, "`grpo_loss`, the essay, beta=0.04", "GRPO, `grpo`, beta=0.04",
         partial(draws.group, most=NEAR), essay(0.04), by_trl(beta=0.04), ("grpo",)),
    policy_case(o.clipped, sequence_mean, "GRPO, `grpo`", "grpo"),
    Case(POLICY, "`clipped`, `sequence_mean`, advantages per token",
         "GRPO, `grpo`, advantages per token", draws.group, process_loss, per_token_by_trl("grpo"),
         ("grpo_process",)),
    policy_case(o.clipped, sequence_mean, "GRPO, `grpo`, `epsilon_high`", ours={"clip_high": 0.28},
                epsilon_high=0.28),
    policy_case(o.clipped, token_mean, "GRPO, `dapo`, `epsilon_high`", "dapo",
                ours={"clip_high": 0.28}, loss_type="dapo", epsilon_high=0.28),
    policy_case(o.clipped, token_mean, "GRPO, `bnpo`", *PPO_OF_THE_LOOP, loss_type="bnpo"),
    policy_case(o.clipped, fixed_length, "GRPO, `dr_grpo`", "dr_grpo", loss_type="dr_grpo"),
    policy_case(o.cispo, token_mean, "GRPO, `cispo`", "cispo", **CISPO),
    policy_case(o.sapo, sequence_mean, "GRPO, `sapo`", "sapo", dtype=torch.float32,
                loss_type="sapo"),
    policy_case(o.gspo, sequence_mean, "GRPO, level `sequence`", "gspo", epsilon_low=3e-4,
                epsilon_high=4e-4, **OF_WHOLE),
    policy_case(o.gspo, sequence_sum, "GRPO, `luspo`, level `sequence`", "luspo", epsilon_low=3e-4,
                epsilon_high=4e-4, loss_type="luspo", **OF_WHOLE),
    policy_case(o.vespo, token_mean, "GRPO, `vespo`", "vespo", loss_type="vespo"),
    policy_case(o.gspo, sequence_mean, "RLOO", trainer_class=trl.RLOOTrainer, most=NEAR,
                ours={"clip": EPS, "clip_high": EPS, "per_token": False}),
    Case(POLICY, "`policy_loss`, `token_mean`", "GRPO, `bnpo`, advantages per token",
         partial(draws.group, most=NEAR), ppo_essay, per_token_by_trl("bnpo"), ("ppo",)),
    Case(POLICY, "`reinforce`, `sequence_sum`", "RLOO, fresh samples", value=False,
         rows=("reinforce", "rloo", "remax", "maxrl", "p3o"),
         **fresh(g.leave_one_out, trl.RLOOTrainer, sequence_sum)),
    Case(POLICY, "`reinforce`, `best_of_group`, `token_mean`", "GRPO, `cispo`, fresh samples",
         rows=("raft",), **fresh(g.best_of_group, trl.GRPOTrainer, token_mean, **CISPO)),
    Case(POLICY, "`reinforce`, `above_zero`, `token_mean`", "GRPO, `cispo`, fresh samples",
         rows=("expert_iteration",), **fresh(g.above_zero, trl.GRPOTrainer, token_mean, **CISPO)),
)  # fmt: skip


def advantage_case(
    name: str, ours: Callable, theirs: str, *rows: str, given: Callable | None = None,
    trainer_class: type = trl.GRPOTrainer, dtype: torch.dtype = torch.float64, **settings: object,
) -> Case:  # fmt: skip
    """(P, G) rewards to (P, G) advantages; `given` makes what TRL is given of them."""
    return Case(
        ADVANTAGES, name, theirs, draws.rewards, lambda d: ours(d.rewards),
        lambda d: trl.advantages(
            d.rewards if given is None else given(d.rewards), trainer_class, **settings
        ),
        rows, dtype=dtype,
    )  # fmt: skip


def paying(d: Draw) -> Tensor:
    """Leave-one-out advantages of rewards less the KL of the completion, as the policy loop has."""
    whole = masked_sum(k1(d.old, d.ref), d.mask).view(d.shape)
    return g.leave_one_out(d.rewards - 0.03 * whole)


def paying_by_trl(d: Draw) -> Tensor:
    """TRL's, with a KL in the reward."""
    return trl.advantages(d.rewards, trl.RLOOTrainer, old=d.old, ref=d.ref, mask=d.mask, beta=0.03)


OF_GROUPS = (
    advantage_case("`group_zscore`", group_zscore, "GRPO, `scale_rewards=\"group\"`", "grpo",
                   "dapo", dtype=torch.float32),
    advantage_case("`group_centred`", g.group_centred, "GRPO, `scale_rewards=\"none\"`", "dr_grpo",
                   scale_rewards="none"),
    advantage_case("`leave_one_out`", g.leave_one_out, "RLOO", "rloo", "p3o",
                   trainer_class=trl.RLOOTrainer),
    Case(ADVANTAGES, "`leave_one_out`, `k1` summed in the reward", "RLOO, beta=0.03", draws.rewards,
         paying, paying_by_trl, ("rloo",)),
    advantage_case("`batch_zscore` of `leave_one_out`",
                   lambda r: g.batch_zscore(g.leave_one_out(r)),
                   "RLOO, `normalize_advantages`", "reinforce_pp", trainer_class=trl.RLOOTrainer,
                   normalize_advantages=True, dtype=torch.float32),
    advantage_case("`batch_scaled`", g.batch_scaled,
                   "RLOO, `normalize_advantages`, given (G - 1) / G of the rewards",
                   "reinforce_pp_baseline", given=lambda r: r * (1 - 1 / r.shape[1]),
                   trainer_class=trl.RLOOTrainer, normalize_advantages=True,
                   dtype=torch.float32),
)  # fmt: skip


def noisy(d: Draw) -> Tensor:
    """The embeddings with minialign's noise."""
    module = torch.nn.Identity()
    model = SimpleNamespace(get_input_embeddings=lambda: module)
    torch.manual_seed(d.seed)
    with embedding_noise(model, 5.0):
        return module(d.vectors)


def noisy_by_trl(d: Draw) -> Tensor:
    """The embeddings with the noise that SFTTrainer takes from transformers."""
    torch.manual_seed(d.seed)
    module = SimpleNamespace(training=True, neftune_noise_alpha=5.0)
    return neftune_post_forward_hook(module, None, d.vectors)


def moved(move: Callable[[torch.nn.Module, torch.nn.Module, float], None]) -> Function:
    """The weights of a reference after a step of it towards the policy."""

    def of(d: Draw) -> Tensor:
        copy = torch.nn.Linear(5, 3, dtype=torch.float64)
        copy.load_state_dict(d.reference.state_dict())
        move(copy, d.policy, d.share)
        return torch.cat([weight.detach().flatten() for weight in copy.parameters()])

    return of


def overlong(reward: Callable) -> Function:
    """What a penalty of length pays."""
    return lambda d: torch.tensor(
        reward(d)(prompts=d.ids, completions=d.ids, completion_ids=d.ids), dtype=torch.float64
    )


FOUNDATIONS = (
    Case(PARTS, "`gather_logprobs`, temperature", "`selective_log_softmax`, temperature",
         draws.logits, lambda d: gather_logprobs(d.logits, d.ids, d.temperature),
         lambda d: selective_log_softmax(d.logits, d.ids, temperature=d.temperature)),
    Case(PARTS, "`k3`", "GRPO, the KL term", partial(draws.group, most=NEAR),
         lambda d: (sequence_mean(d.mask.double(), trl.LIMIT) * k3(d.logprobs, d.ref)).sum(),
         lambda d: trl.policy_gradient(
             d.logprobs, d.old, 0 * d.advantages, d.mask, d.ref, beta=1.0)),
    Case(PARTS, "`embedding_noise`", "SFT, `neftune_noise_alpha`", draws.embeddings, noisy,
         noisy_by_trl, ("neftune",), dtype=torch.float32),
    Case(PARTS, "`mix_into`", "DPO, `sync_ref_model`", draws.models,
         moved(mix_into), moved(lambda reference, policy, share:
                                SyncRefModelCallback._sync_target_model(policy, reference, share)),
         ("sdpo", "tr_dpo")),
    Case(PARTS, "`soft_overlong`", "`get_soft_overlong_punishment`", draws.lengths,
         overlong(lambda d: soft_overlong(d.limit, d.margin)),
         overlong(lambda d: get_soft_overlong_punishment(d.limit, d.margin))),
)  # fmt: skip
