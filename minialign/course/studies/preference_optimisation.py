"""Studies of DPO: where its pairs come from, its frontier, noisy labels, planted bugs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from random import Random
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import Row
from minialign.core.models import frozen_reference
from minialign.core.models.loading import load_policy
from minialign.core.optim import reference_sums
from minialign.course.pipeline import policy_and_scorer, stage
from minialign.course.profiles import Profile
from minialign.course.session import pick_device
from minialign.course.stages.presets import dpo_config
from minialign.course.stages.recipes import comparison_rows, dpo_prompts, ppo_prompts
from minialign.course.studies import Point, Study, patched
from minialign.evaluate.village import judge, summary
from minialign.rewards.learnt import reward_model_score
from minialign.variants.loops import preference_loop
from minialign.variants.loops.preference_loop import Ranking, train_preference
from minialign.variants.loops.rounds import (
    by_reward,
    own_rankings,
    train_on_own_replies,
)
from minialign.world.own_replies import by_annotators
from minialign.world.tasks import instructions

# Two more sources: sampled while the policy learns, so not ahead -> whether pairs are weighted.
ROUNDS = {"own, two rounds": False, "two rounds, weighted": True}
BETAS = (0.1, 0.3, 1.0, 3.0)  # reward per nat
FLIPS = (0.0, 0.2, 0.4)  # shares of labels that are swapped on top of the annotators' own noise
SHARES = ("follows", "stops", "rude", "flattering", "unsafe", "untrue", "too_long", "any")
LISTED = 4  # completions of a ranking, for the losses that read more than pairs


def start(profile: Profile, seed: int) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The tuned policy of a seed, and its tokenizer."""
    return load_policy(stage("sft", profile=profile, seed=seed), device=pick_device())


def examine(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    reference: PreTrainedModel,
    profile: Profile,
) -> dict[str, float]:
    """Held-out phrasings, one sampled reply each, and held-out comparisons.

    Gold utility, its spread, KL in nats per reply, tokens and shares; the share of comparisons
    that the implicit reward orders as the annotator did, and the mean logratios of their chosen
    and rejected completions.
    """
    asked = instructions(profile.eval_prompts, "phrasings", seed=5)
    found = judge(
        policy, tokenizer, asked, max_new_tokens=profile.max_new_tokens, seed=1, reference=reference
    )
    pairs = comparison_rows(tokenizer, profile.eval_prompts, seed=9, split="phrasings")
    sums = [reference_sums(model, tokenizer, pairs) for model in (policy, reference)]
    chosen, rejected = (sums[0] - sums[1]).unbind(1)
    return {
        **summary(found, SHARES).to_dict(),
        "utility_sd": float(found["utility"].std()),
        "kl": float(found["kl"].mean()),
        "accuracy": (chosen > rejected).float().mean().item(),
        "chosen": chosen.mean().item(),
        "rejected": rejected.mean().item(),
    }


def measured(
    profile: Profile, seed: int, learn: Callable[[PreTrainedModel, PreTrainedTokenizerBase], Any]
) -> dict[str, float]:
    """Let a tuned policy learn, then examine it.

    train_minutes are those of learning, without the reference's pass where it is shared.
    """
    policy, tokenizer = start(profile, seed)
    reference = frozen_reference(policy)
    began = time.time()
    learn(policy, tokenizer)
    minutes = (time.time() - began) / 60
    return {**examine(policy, tokenizer, reference, profile), "train_minutes": minutes}


def _written(profile: Profile, seed: int) -> list[Ranking]:
    """What authors wrote and annotators compared: the reward model's data."""
    return comparison_rows(start(profile, seed)[1], profile.comparisons, seed=seed)


def _chosen(profile: Profile, seed: int, group_size: int = 2) -> list[Ranking]:
    """The tuned policy's own replies, and as many annotators' choices."""
    asked = ppo_prompts(profile, seed)[: 2 * profile.comparisons // group_size]
    return own_rankings(
        *start(profile, seed),
        asked,
        by_annotators(seed),
        group_size=group_size,
        max_new_tokens=profile.max_new_tokens,
        seed=seed,
    )


def _scored(profile: Profile, seed: int) -> list[Ranking]:
    """The tuned policy's own replies, as the reward model ranks them: no label is new."""
    policy, tokenizer, scorer = policy_and_scorer(profile, seed)
    return own_rankings(
        policy,
        tokenizer,
        dpo_prompts(profile, seed),
        by_reward(reward_model_score(scorer, tokenizer)),
        least=0.1,
        max_new_tokens=profile.max_new_tokens,
        seed=seed,
    )


SOURCES: dict[str, Callable[[Profile, int], list[Ranking]]] = {
    "written": _written,
    "own, chosen": _chosen,
    "own, scored": _scored,
    "own, ranked": partial(_chosen, group_size=LISTED),
}


@lru_cache(maxsize=2)
def pairs_from(source: str, profile: Profile, seed: int) -> tuple[list[Ranking], float]:
    """Comparisons by where they come from, and the minutes that it took to have them."""
    began = time.time()
    return SOURCES[source](profile, seed), (time.time() - began) / 60


@lru_cache(maxsize=2)
def known_sums(source: str, profile: Profile, seed: int) -> Tensor:
    """(N, K) of the reference, which all methods on these pairs share."""
    return reference_sums(*start(profile, seed), pairs_from(source, profile, seed)[0])


def _dpo(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    profile: Profile,
    seed: int,
    source: str = "own, chosen",
    flip: float = 0.0,
    change: Callable[[Ranking], Ranking] | None = None,
    **changes: Any,
) -> None:
    """`train_preference` on pairs of a source, a share of them swapped, or each of them changed."""
    rng, config = Random(f"flips {seed}"), replace(dpo_config(profile, seed), **changes)
    pairs, _ = pairs_from(source, profile, seed)
    if change is not None:
        changed = [change(pair) for pair in pairs]  # some may be alike after it
        different = [pair for pair in changed if pair[0].ids != pair[-1].ids]
        train_preference(policy, tokenizer, different, config)
        return
    swapped = torch.tensor([rng.random() < flip for _ in pairs])
    known = known_sums(source, profile, seed)
    known = torch.where(swapped[:, None].to(known.device), known.flip(1), known)
    pairs = [pair[::-1] if swap else pair for pair, swap in zip(pairs, swapped, strict=True)]
    train_preference(policy, tokenizer, pairs, config, references=known)


def _frontier_points(profile: Profile, seeds: int) -> list[Point]:
    return [
        {"pairs": source, "beta": beta, "seed": seed}
        for seed in range(seeds)
        for source in ("written", "own, chosen", "own, scored", *ROUNDS)
        for beta in BETAS
    ]


def _rounds(profile: Profile, point: Point, policy, tokenizer) -> None:
    """Stage "dpo" at another beta, or without its weights."""
    seed, changes = point["seed"], {"options": {"beta": point["beta"]}}
    *_, scorer = policy_and_scorer(profile, seed)
    train_on_own_replies(
        policy,
        tokenizer,
        dpo_prompts(profile, seed),
        by_reward(reward_model_score(scorer, tokenizer)),
        replace(dpo_config(profile, seed), weigh=ROUNDS[point["pairs"]], **changes),
        max_new_tokens=profile.max_new_tokens,
    )


def _measure_frontier(profile: Profile, point: Point) -> dict[str, float]:
    source, seed = point["pairs"], point["seed"]
    if source in ROUNDS:
        return measured(profile, seed, partial(_rounds, profile, point))
    _, minutes = pairs_from(source, profile, seed)
    known_sums(source, profile, seed)
    learn = partial(
        _dpo, profile=profile, seed=seed, source=source, options={"beta": point["beta"]}
    )
    return {**measured(profile, seed, learn), "sample_minutes": minutes}


# Name -> settings, given the share of labels that is swapped.
NOISE_LOSSES: dict[str, Callable[[float], dict[str, Any]]] = {
    "dpo": lambda flip: {},
    "cdpo": lambda flip: {"options": {"beta": 0.5, "label_smoothing": flip}},
    "robust_dpo": lambda flip: {"loss": "robust", "options": {"beta": 0.5, "flip": flip}},
    "ipo": lambda flip: {"loss": "ipo", "options": {"beta": 0.25, "per_token": False}},
}


def _noise_points(profile: Profile, seeds: int) -> list[Point]:
    return [
        {"loss": loss, "flip": flip, "seed": seed}
        for seed in range(seeds)
        for flip in FLIPS
        for loss in NOISE_LOSSES
        if flip or loss in ("dpo", "ipo")  # without flips the other two are DPO
    ]


def _measure_noise(profile: Profile, point: Point) -> dict[str, float]:
    flip, seed = point["flip"], point["seed"]
    changes = NOISE_LOSSES[point["loss"]](flip)
    learn = partial(_dpo, profile=profile, seed=seed, flip=flip, **changes)
    return measured(profile, seed, learn)


def without_eos(pair: Ranking) -> Ranking:
    """A pair whose end of text is not learnt from (trap 42)."""
    return tuple(Row(row.prompt_ids, row.completion_ids[:-1]) for row in pair)


def cut_apart(pair: Ranking, longest: int = 40) -> Ranking:
    """A pair each of whose rows is cut from the left by itself (trap 40)."""
    return tuple(
        Row(row.prompt_ids[-max(1, longest - len(row.completion_ids)) :], row.completion_ids)
        for row in pair
    )


def _noisy_references(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rankings: Sequence[Ranking],
    *args: Any, dropout: float = 0.1, **named: Any,
) -> Tensor:  # fmt: skip
    """`reference_sums` with a tenth of the attention dropped at random (trap 10)."""
    layers = [m for m in policy.modules() if hasattr(m, "attention_dropout")]
    policy.train()
    for layer in layers:
        layer.attention_dropout = dropout
    try:
        return reference_sums(policy, tokenizer, rankings, *args, **named)
    finally:
        policy.eval()
        for layer in layers:
            layer.attention_dropout = 0.0


# Fault -> (settings of `_dpo`, names of the loop's module and what replaces them).
FAULTS: dict[str, tuple[dict[str, Any], dict[str, Callable]]] = {
    "healthy": ({}, {}),
    "mean for sum": ({"loss": "dpo_norm", "options": {"beta": 0.5}}, {}),
    "reference with dropout": ({"change": tuple}, {"reference_sums": _noisy_references}),
    "prompts cut apart": ({"change": cut_apart}, {"_check": lambda *_: None}),
    "EOS left out": ({"change": without_eos}, {}),
}


def _fault_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"fault": fault, "seed": seed} for seed in range(seeds) for fault in FAULTS]


def _measure_fault(profile: Profile, point: Point) -> dict[str, float]:
    (changes, patches), seed = FAULTS[point["fault"]], point["seed"]
    with patched(preference_loop, patches):
        return measured(profile, seed, partial(_dpo, profile=profile, seed=seed, **changes))


STUDIES = {
    "dpo_frontier": Study(
        "how much gold utility does DPO buy per nat of KL?", _frontier_points, _measure_frontier
    ),
    "dpo_noise": Study("which loss bears swapped labels?", _noise_points, _measure_noise),
    "dpo_faults": Study("what do four bugs of DPO do?", _fault_points, _measure_fault),
}
