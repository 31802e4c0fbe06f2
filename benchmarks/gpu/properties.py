"""Properties of the loops on a card, which the tests hold on the CPU bit by bit.

On a card a sum may be added up in any order, so two runs that are one algorithm end near to each
other, not equal. How near is measured against how far training went: `APART` of the way is allowed.
In bfloat16, other kernels (one way to compute attention in place of another) make up to 0.11 of it
on the CPU; another learning rate, loss or order of the rows makes most of it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.gpu.models import Rows, Sizes, Spec, build, draw_rows
from benchmarks.gpu.ours import even_share
from minialign.algorithms import grpo as grpo_essay
from minialign.algorithms import ppo as ppo_essay
from minialign.algorithms.dpo import DpoConfig, train_dpo
from minialign.algorithms.grpo import GrpoConfig, train_grpo
from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.algorithms.reward_model import RewardConfig, train_reward
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.logprobs import token_logprobs
from minialign.core.models import fast_matmul, frozen_reference
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.sampling import Rollout, sample
from minialign.variants.averages import token_mean
from minialign.variants.loops.critic import Critic
from minialign.variants.loops.offline_loop import train_rankings, train_supervised
from minialign.variants.loops.policy_loop import PolicyConfig, train_policy
from minialign.variants.loops.preference_loop import PreferenceConfig, train_preference
from minialign.variants.preference import logistic_loss

APART = 0.2  # of the way that training went
ROUNDING = {"float32": (1e-4, 1e-2), "bfloat16": (0.05, 1.0)}  # nats: on average, at most
SIZES = Sizes(batch_size=4, prompts=4, group_size=4, prompt_tokens=48, new_tokens=16)
OFFLINE = {"steps": 2, "batch_size": 4, "learning_rate": 1e-4}
ONLINE = {"steps": 1, "prompts": 4, "max_new_tokens": 16, "learning_rate": 1e-4, "epochs": 2}

Trained = list[torch.nn.Module]
Loop = Callable[[PreTrainedModel, PreTrainedTokenizerBase, Rows], Trained]


def _sft(train: Callable) -> Loop:
    def loop(policy, tokenizer, rows):
        train(policy, tokenizer, rows.demonstrations, SftConfig(**OFFLINE))
        return [policy]

    return loop


def _reward(train: Callable) -> Loop:
    def loop(policy, tokenizer, rows):
        model = RewardModel.from_policy(policy)
        train(model, tokenizer, rows.pairs, RewardConfig(**OFFLINE))
        return [model]

    return loop


def _dpo(policy, tokenizer, rows) -> Trained:
    train_dpo(policy, tokenizer, rows.pairs, DpoConfig(**OFFLINE))
    return [policy]


def _preference(policy, tokenizer, rows, reference=None) -> Trained:
    train_preference(
        policy, tokenizer, rows.pairs, PreferenceConfig(**OFFLINE),
        loss=partial(logistic_loss, beta=0.1), reference=reference,
    )  # fmt: skip
    return [policy]


def _grpo(policy, tokenizer, rows) -> Trained:
    config = GrpoConfig(**ONLINE, group_size=4, beta=0.04)
    train_grpo(policy, tokenizer, rows.prompts, even_share, config)
    return [policy]


def _policy(policy, tokenizer, rows) -> Trained:
    config = PolicyConfig(**ONLINE, group_size=4, beta=0.04)
    train_policy(policy, tokenizer, rows.prompts, even_share, config)
    return [policy]


def _ppo(policy, tokenizer, rows) -> Trained:
    critic = ValueModel.from_policy(policy)
    config = PpoConfig(**ONLINE, minibatches=2, beta=0.05)
    train_ppo(policy, tokenizer, rows.prompts, even_share, config, value_model=critic)
    return [policy, critic]


def _policy_critic(policy, tokenizer, rows) -> Trained:
    critic = ValueModel.from_policy(policy)
    config = PolicyConfig(**ONLINE, minibatches=2, group_size=1, beta=0.05, kl="reward")
    train_policy(
        policy, tokenizer, rows.prompts, even_share, config, critic=Critic(critic),
        average=token_mean,
    )  # fmt: skip
    return [policy, critic]


PAIRS: dict[str, tuple[Loop, Loop]] = {  # essay and general loop
    "sft": (_sft(train_sft), _sft(train_supervised)),
    "reward": (_reward(train_reward), _reward(train_rankings)),
    "dpo": (_dpo, _preference),
    "grpo": (_grpo, _policy),
    "ppo": (_ppo, _policy_critic),
}


def _weights(models: Trained) -> Tensor:
    return torch.cat([p.detach().flatten() for model in models for p in model.parameters()])


def _start(name: str, policy: PreTrainedModel) -> Trained:
    """What a loop's models are before its first step."""
    if name == "reward":
        return [RewardModel.from_policy(policy)]
    return [policy, ValueModel.from_policy(policy)] if name == "ppo" else [policy]


def near(name: str, one: Loop, two: Loop, spec: Spec, device: str) -> dict[str, Any]:
    """Two runs that are one algorithm end near to each other.

    Raises:
        AssertionError: if nothing was learnt, or they are farther apart than `APART` of the way.
    """
    policy, tokenizer = build(spec, device)
    rows = draw_rows(tokenizer, policy.config.vocab_size, SIZES)
    first, second = (_weights(f(copy.deepcopy(policy), tokenizer, rows)) for f in (one, two))
    way = (first - _weights(_start(name, policy))).norm()
    assert way > 0, "no weight has moved"
    share = ((first - second).norm() / way).item()
    assert share <= APART, f"the two are {share:.3f} of the way apart"
    return {"apart": "bit-equal" if torch.equal(first, second) else f"{share:.1e} of the way"}


def reference_unchanged(name: str, spec: Spec, device: str) -> dict[str, Any]:
    """The reference has the weights that it began with, bit by bit, and the policy has not."""
    policy, tokenizer = build(spec, device)
    rows = draw_rows(tokenizer, policy.config.vocab_size, SIZES)
    before, made = _weights([policy]), []

    def noted(model: PreTrainedModel) -> PreTrainedModel:
        made.append(frozen_reference(model))
        return made[-1]

    if name == "preference":
        _preference(policy, tokenizer, rows, reference=noted(policy))
    else:
        essay, loop = {"grpo": (grpo_essay, _grpo), "ppo": (ppo_essay, _ppo)}[name]
        with mock.patch.object(essay, "frozen_reference", noted):
            loop(policy, tokenizer, rows)
    (reference,) = made
    assert torch.equal(_weights([reference]), before), "the reference has moved"
    assert not torch.equal(_weights([policy]), before), "the policy has not moved"
    return {"weights": "bit-equal"}


def _rollout(spec: Spec, device: str, fast: bool = True) -> tuple[PreTrainedModel, Rollout]:
    """A model and its completions, without autocast of its own."""
    policy, tokenizer = build(spec, device)
    prompts = [row["prompt"] for row in draw_rows(tokenizer, 2000, SIZES).prompts[:4]]
    return policy, sample(policy, tokenizer, prompts, group_size=4, max_new_tokens=16, fast=fast)


def same_samples(spec: Spec, device: str) -> dict[str, Any]:
    """One seed gives the same tokens twice, and the same logprobs."""
    with fast_matmul(torch.device(device)):
        (_, one), (_, two) = (_rollout(spec, device) for _ in range(2))
    assert torch.equal(one.input_ids, two.input_ids), "other tokens were sampled"
    assert torch.equal(one.logprobs, two.logprobs), "the logprobs differ"
    return {"tokens": int(one.lengths.sum()), "logprobs": "bit-equal"}


def sampled_logprobs(spec: Spec, device: str, dtype: str) -> dict[str, Any]:
    """What sampling says of its tokens is what `token_logprobs` says of them, within rounding."""
    with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=dtype == "bfloat16"):
        policy, rollout = _rollout(spec, device)
        with torch.no_grad():
            again = token_logprobs(policy, rollout.input_ids, rollout.attention_mask)
    apart = (rollout.logprobs - again)[rollout.completion_mask.bool()].abs()
    mean, most = apart.mean().item(), apart.max().item()
    allowed = ROUNDING[dtype]
    assert mean <= allowed[0] and most <= allowed[1], f"apart by {mean:.2g}, at most {most:.2g}"
    return {"mean_nats": f"{mean:.1e}", "most_nats": f"{most:.1e}"}


def fast_equals_reference(spec: Spec, device: str) -> dict[str, Any]:
    """The sampler with a cache draws what the reference draws, in float32."""
    (_, fast), (_, slow) = (_rollout(spec, device, fast=one) for one in (True, False))
    pairs = list(zip(fast.completion_ids, slow.completion_ids, strict=True))
    same = sum(one == two for one, two in pairs)
    # A draw that lies on the edge of a token's interval may fall either way.
    assert same >= 0.9 * len(pairs), f"{same} of {len(pairs)} completions are the same"
    return {"same": f"{same} of {len(pairs)} completions"}


def properties(spec: Spec, device: str) -> dict[str, Callable[[], dict[str, Any]]]:
    """Every property by its name."""
    found: dict[str, Callable[[], dict[str, Any]]] = {}
    for name in ("preference", "grpo", "ppo"):
        found[f"{name}: reference unchanged"] = partial(reference_unchanged, name, spec, device)
    found["one seed, the same samples"] = partial(same_samples, spec, device)
    for dtype in ROUNDING:
        found[f"sampled logprobs, {dtype}"] = partial(sampled_logprobs, spec, device, dtype)
    found["fast sampler equals the reference"] = partial(fast_equals_reference, spec, device)
    for name, (essay, general) in PAIRS.items():
        found[f"{name}: one seed, the same twice"] = partial(near, name, essay, essay, spec, device)
        found[f"{name}: essay equals general loop"] = partial(
            near, name, essay, general, spec, device
        )
    return found
