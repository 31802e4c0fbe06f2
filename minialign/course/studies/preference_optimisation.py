"""Studies of DPO: where its pairs come from, its frontier, noisy labels, planted bugs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from random import Random
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from minialign.core.batching import Row
from minialign.core.optim import reference_sums
from minialign.course.pipeline import policy_and_scorer
from minialign.course.profiles import Profile
from minialign.course.stages.presets import dpo_config
from minialign.course.stages.recipes import comparison_rows, dpo_prompts, ppo_prompts
from minialign.course.studies import Point, study
from minialign.course.studies.measuring import (
    SHARES,
    Fault,
    Learn,
    Start,
    attention_dropout,
    planted_in,
)
from minialign.evaluate.village import summary
from minialign.rewards.learnt import reward_model_score
from minialign.variants.loops import preference_loop
from minialign.variants.loops.preference_loop import Ranking, train_preference
from minialign.variants.loops.rounds import (
    by_reward,
    own_rankings,
    train_on_own_replies,
)
from minialign.world.replies.preferences import by_annotators

LISTED = 4  # completions of a ranking, for the losses that read more than pairs
FLIPS = (0.0, 0.2, 0.4)  # shares of labels that are swapped on top of the annotators' own noise


def examine(start: Start, reference: PreTrainedModel) -> dict[str, float]:
    """Held-out phrasings, one sampled reply each, and held-out comparisons.

    Gold utility, its spread, KL in nats per reply, tokens and shares; the share of comparisons
    that the implicit reward orders as the annotator did, and the mean logratios of their chosen
    and rejected completions.
    """
    tokenizer, n = start.tokenizer, start.profile.eval_prompts
    judged = start.judged(reference=reference)
    pairs = comparison_rows(tokenizer, n, seed=9, split="phrasings")
    sums = [reference_sums(model, tokenizer, pairs) for model in (start.policy, reference)]
    chosen, rejected = (sums[0] - sums[1]).unbind(1)
    return {
        **summary(judged, SHARES).to_dict(),
        "utility_sd": float(judged["utility"].std()),
        "kl": float(judged["kl"].mean()),
        "accuracy": (chosen > rejected).float().mean().item(),
        "chosen": chosen.mean().item(),
        "rejected": rejected.mean().item(),
    }


def measured(profile: Profile, seed: int, learn: Learn, **changes: Any) -> dict[str, float]:
    """Let a tuned policy learn, then examine it.

    train_minutes are those of learning, without the reference's pass where it is shared.
    """
    return Start.tuned(profile, seed).learn(learn, examine, **changes)[0]


def _written(profile: Profile, seed: int) -> list[Ranking]:
    """What authors wrote and annotators compared: the reward model's data."""
    return comparison_rows(Start.tuned(profile, seed).tokenizer, profile.comparisons, seed=seed)


def _chosen(profile: Profile, seed: int, group_size: int = 2) -> list[Ranking]:
    """The tuned policy's own replies, and as many annotators' choices."""
    start = Start.tuned(profile, seed)
    return own_rankings(
        start.policy,
        start.tokenizer,
        ppo_prompts(profile, seed)[: 2 * profile.comparisons // group_size],
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
# Two more sources: sampled while the policy learns, so not ahead -> whether pairs are weighted.
ROUNDS = {"own, two rounds": False, "two rounds, weighted": True}


@lru_cache(maxsize=2)
def pairs_from(source: str, profile: Profile, seed: int) -> tuple[list[Ranking], float]:
    """Comparisons by where they come from, and the minutes that it took to have them."""
    began = time.time()
    return SOURCES[source](profile, seed), (time.time() - began) / 60


@lru_cache(maxsize=2)
def known_sums(source: str, profile: Profile, seed: int) -> Tensor:
    """(N, K) of the reference, which all methods on these pairs share."""
    start = Start.tuned(profile, seed)
    return reference_sums(start.policy, start.tokenizer, pairs_from(source, profile, seed)[0])


def _dpo(
    start: Start,
    *,
    source: str = "own, chosen",
    flip: float = 0.0,
    edit: Callable[[Ranking], Ranking] | None = None,
    **changes: Any,
) -> None:
    """`train_preference` on pairs of a source, a share of them swapped, or each of them edited."""
    config = replace(dpo_config(start.profile, start.seed), **changes)
    pairs, _ = pairs_from(source, start.profile, start.seed)
    if edit is not None:
        edited = [edit(pair) for pair in pairs]  # some may be alike after it
        different = [pair for pair in edited if pair[0].ids != pair[-1].ids]
        train_preference(start.policy, start.tokenizer, different, config)
        return
    rng = Random(f"flips {start.seed}")
    swapped = torch.tensor([rng.random() < flip for _ in pairs])
    known = known_sums(source, start.profile, start.seed)
    known = torch.where(swapped[:, None].to(known.device), known.flip(1), known)
    pairs = [pair[::-1] if swap else pair for pair, swap in zip(pairs, swapped, strict=True)]
    train_preference(start.policy, start.tokenizer, pairs, config, references=known)


def _rounds(start: Start, **changes: Any) -> None:
    """Stage "dpo" at another beta, or without its weights."""
    *_, scorer = policy_and_scorer(start.profile, start.seed)
    train_on_own_replies(
        start.policy,
        start.tokenizer,
        dpo_prompts(start.profile, start.seed),
        by_reward(reward_model_score(scorer, start.tokenizer)),
        replace(dpo_config(start.profile, start.seed), **changes),
        max_new_tokens=start.profile.max_new_tokens,
    )


@study(
    "dpo_frontier",
    "how much gold utility does DPO buy per nat of KL?",
    pairs=("written", "own, chosen", "own, scored", *ROUNDS),
    beta=(0.1, 0.3, 1.0, 3.0),  # reward per nat
)
def frontier(profile: Profile, seed: int, pairs: str, beta: float) -> dict[str, float]:
    """DPO on pairs of a source, with the minutes that it took to sample them ahead."""
    options = {"beta": beta}
    if pairs in ROUNDS:
        return measured(profile, seed, _rounds, weigh=ROUNDS[pairs], options=options)
    _, minutes = pairs_from(pairs, profile, seed)
    known_sums(pairs, profile, seed)
    return {
        **measured(profile, seed, _dpo, source=pairs, options=options),
        "sample_minutes": minutes,
    }


# Name -> settings, given the share of labels that is swapped.
NOISE_LOSSES: dict[str, Callable[[float], dict[str, Any]]] = {
    "dpo": lambda flip: {},
    "cdpo": lambda flip: {"options": {"beta": 0.5, "label_smoothing": flip}},
    "robust_dpo": lambda flip: {"loss": "robust", "options": {"beta": 0.5, "flip": flip}},
    "ipo": lambda flip: {"loss": "ipo", "options": {"beta": 0.25, "per_token": False}},
}


def _noise_settings(profile: Profile) -> list[Point]:
    return [
        {"loss": loss, "flip": flip}
        for flip in FLIPS
        for loss in NOISE_LOSSES
        if flip or loss in ("dpo", "ipo")  # without flips the other two are DPO
    ]


@study("dpo_noise", "which loss bears swapped labels?", _noise_settings)
def noise(profile: Profile, seed: int, loss: str, flip: float) -> dict[str, float]:
    """A loss of `NOISE_LOSSES` on pairs of which a share is swapped."""
    return measured(profile, seed, _dpo, flip=flip, **NOISE_LOSSES[loss](flip))


def without_eos(pair: Ranking) -> Ranking:
    """A pair whose end of text is not learnt from."""
    return tuple(Row(row.prompt_ids, row.completion_ids[:-1]) for row in pair)


def cut_apart(pair: Ranking, longest: int = 40) -> Ranking:
    """A pair each of whose rows is cut from the left by itself."""
    return tuple(
        Row(row.prompt_ids[-max(1, longest - len(row.completion_ids)) :], row.completion_ids)
        for row in pair
    )


def _noisy_references(policy: PreTrainedModel, *args: Any, **named: Any) -> Tensor:
    """`reference_sums` with a tenth of the attention dropped at random."""
    with attention_dropout(policy):
        return reference_sums(policy, *args, **named)


FAULTS: dict[str, Fault] = {
    "healthy": ({}, {}),
    "mean for sum": ({"loss": "dpo_norm", "options": {"beta": 0.5}}, {}),
    "reference with dropout": ({"edit": tuple}, {"reference_sums": _noisy_references}),
    "prompts cut apart": ({"edit": cut_apart}, {"_check": lambda *_: None}),
    "EOS left out": ({"edit": without_eos}, {}),
}


@study("dpo_faults", "what do four bugs of DPO do?", fault=tuple(FAULTS))
def fault_planted(profile: Profile, seed: int, fault: str) -> dict[str, float]:
    """DPO with one of `FAULTS`."""
    with planted_in(preference_loop, FAULTS[fault]) as changes:
        return measured(profile, seed, _dpo, **changes)
