"""Studies of DPO: where its pairs come from, its frontier, noisy labels, planted bugs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import lru_cache, partial
from random import Random
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from transformers import PreTrainedModel

from minialign.algorithms import dpo
from minialign.core.batching import Row, RowRanking
from minialign.core.logprobs import masked_mean
from minialign.core.models import references
from minialign.core.models.references import completion_logprobs
from minialign.course.pipeline import policy_and_scorer
from minialign.course.profiles import Profile
from minialign.course.stages import presets, recipes
from minialign.course.studies import Point, measuring, study
from minialign.course.studies.measuring import Fault, Start
from minialign.rewards.learnt import reward_model_score
from minialign.variants.loops.preference_loop import PreferenceConfig, train_preference
from minialign.variants.loops.rounds import Values, by_reward, own_rankings, train_on_own_replies
from minialign.variants.preference import ipo_loss, logistic_loss, robust_dpo_loss
from minialign.variants.ranks import RankLogprobs
from minialign.world.replies.preferences import CROWD, by_annotators, comparisons

Loss = Callable[[RankLogprobs], Tensor]

BETA = 0.5  # of every study that does not vary it: that of notebook 04
LENGTH_BIAS = 2.0  # utility per doubling of the words, of annotators who love length
FLIPS = (0.0, 0.35)  # shares of labels that are swapped on top of the annotators' own noise


@lru_cache(maxsize=2)
def untrained(profile: Profile, seed: int) -> dict[str, float]:
    """Gold utility of the tuned policy on the same held-out prompts, and its spread."""
    utility = Start.tuned(profile, seed).judged()["utility"]
    return {"utility_before": float(utility.mean()), "sd_before": float(utility.std())}


def examine(start: Start, reference: PreTrainedModel) -> dict[str, float]:
    """Held-out phrasings, one sampled reply each, and held-out comparisons.

    Gold utility and its spread, both of the start as well, KL in nats per reply, tokens and shares;
    the share of comparisons that the implicit reward orders as the annotator did, and the mean
    logratios of their chosen and rejected completions.
    """
    judged = start.judged(reference=reference)
    tokenizer, n = start.tokenizer, start.profile.eval_prompts
    pairs = recipes.comparison_rows(tokenizer, n, seed=9, split="phrasings")
    models = (start.policy, reference)
    now, before = (completion_logprobs(one, pairs, tokenizer.pad_token_id) for one in models)
    chosen, rejected = (now - before).unbind(1)
    return {
        **measuring.shares(judged),
        **untrained(start.profile, start.seed),
        "kl": float(judged["kl"].mean()),
        "accuracy": (chosen > rejected).float().mean().item(),
        "chosen": chosen.mean().item(),
        "rejected": rejected.mean().item(),
    }


# train_minutes are those of learning, without the reference's pass where it is shared.
measured = partial(measuring.measured, examine=examine)
ROUNDS = "two rounds, weighted"  # sampled while the policy learns, so not ahead


@lru_cache(maxsize=2)
def pairs_from(source: str, profile: Profile, seed: int) -> tuple[list[RowRanking], float]:
    """Comparisons by where they come from, and the minutes that it took to have them.

    "written": the reward model's data. "own, chosen": the tuned policy's own replies, and as many
    annotators' choices. "own, scored": its own replies, as the reward model ranks them: no label is
    new. "for length": as written, by annotators who love length.
    """
    began = time.time()
    start, n = Start.tuned(profile, seed), profile.comparisons
    sample = partial(
        own_rankings, start.policy, start.tokenizer, max_new_tokens=profile.max_new_tokens,
        seed=seed,
    )  # fmt: skip
    if source == "written":
        rankings = recipes.comparison_rows(start.tokenizer, n, seed=seed)
    elif source == "for length":
        fans = replace(CROWD, length_bias=LENGTH_BIAS)
        rankings = recipes.encode_comparisons(start.tokenizer, comparisons(n, "train", seed, fans))
    elif source == "own, scored":
        rankings = sample(recipes.dpo_prompts(profile, seed), _by_scorer(start), least=0.1)
    else:
        rankings = sample(recipes.ppo_prompts(profile, seed)[:n], by_annotators(seed))
    return rankings, (time.time() - began) / 60


def _by_scorer(start: Start) -> Values:
    *_, scorer = policy_and_scorer(start.profile, start.seed)
    return by_reward(reward_model_score(scorer, start.tokenizer))


@lru_cache(maxsize=2)
def known_logprobs(source: str, profile: Profile, seed: int) -> Tensor:
    """(N, K) summed logprobs of the reference, which all methods on these pairs share."""
    start = Start.tuned(profile, seed)
    rankings, _ = pairs_from(source, profile, seed)
    return completion_logprobs(start.policy, rankings, start.tokenizer.pad_token_id)


def common(start: Start) -> dict[str, Any]:
    """The stage's settings that every offline loop takes."""
    settings = asdict(presets.dpo_config(start.profile, start.seed))
    return {name: value for name, value in settings.items() if name != "beta"}


def learn_from(
    start: Start, *, loss: Loss, source: str = "written", flip: float = 0.0, tail: float = 1.0
) -> None:
    """A loss on pairs of a source, a share of them swapped."""
    pairs, _ = pairs_from(source, start.profile, start.seed)
    rng = Random(f"flips {start.seed}")
    swapped = torch.tensor([rng.random() < flip for _ in pairs])
    pairs = [pair[::-1] if swap else pair for pair, swap in zip(pairs, swapped, strict=True)]
    known = None
    if tail == 1:  # else the sums are others
        known = known_logprobs(source, start.profile, start.seed)
        known = torch.where(swapped[:, None].to(known.device), known.flip(1), known)
    config = PreferenceConfig(**common(start), tail=tail)
    train_preference(start.policy, start.tokenizer, pairs, config, loss=loss, ref_logprobs=known)


def _rounds(start: Start, *, loss: Loss) -> None:
    """Stage "dpo" at another beta."""
    profile, seed = start.profile, start.seed
    train_on_own_replies(
        start.policy, start.tokenizer, recipes.dpo_prompts(profile, seed), _by_scorer(start),
        presets.own_config(profile, seed), loss=loss, max_new_tokens=profile.max_new_tokens,
    )  # fmt: skip


@study(
    "dpo_frontier",
    "how much gold utility does DPO buy per nat of KL?",
    pairs=("written", "own, chosen", "own, scored", ROUNDS),
    beta=(0.1, BETA, 2.0),  # reward per nat
)
def frontier(profile: Profile, seed: int, pairs: str, beta: float) -> dict[str, float]:
    """DPO on pairs of a source, with the minutes that it took to sample them ahead."""
    loss = partial(logistic_loss, beta=beta)
    if pairs == ROUNDS:
        return measured(profile, seed, _rounds, loss=loss)
    _, minutes = pairs_from(pairs, profile, seed)
    known_logprobs(pairs, profile, seed)
    return {
        **measured(profile, seed, learn_from, source=pairs, loss=loss),
        "sample_minutes": minutes,
    }


# Name -> the loss, given the share of labels that is swapped.
NOISE_LOSSES: dict[str, Callable[[float], Loss]] = {
    "dpo": lambda flip: partial(logistic_loss, beta=BETA),
    "cdpo": lambda flip: partial(logistic_loss, beta=BETA, label_smoothing=flip),
    "robust_dpo": lambda flip: partial(robust_dpo_loss, beta=BETA, flip=flip),
    "ipo": lambda flip: partial(ipo_loss, beta=BETA, per_token=False),
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
    return measured(profile, seed, learn_from, flip=flip, loss=NOISE_LOSSES[loss](flip))


def without_eos(pair: RowRanking) -> RowRanking:
    """A pair whose end of text is not learnt from."""
    return tuple(Row(row.prompt_ids, row.completion_ids[:-1]) for row in pair)


def cut_apart(pair: RowRanking, longest: int = 40) -> RowRanking:
    """A pair each of whose rows is cut from the left by itself."""
    return tuple(
        Row(row.prompt_ids[-max(1, longest - len(row.completion_ids)) :], row.completion_ids)
        for row in pair
    )


def _noisy_reference(policy: PreTrainedModel, *args: Any, **named: Any) -> Tensor:
    """`completion_logprobs` with a tenth of the attention dropped at random, not in eval mode."""
    with mock.patch.object(references, "evaluating", measuring.attention_dropout):
        return completion_logprobs(policy, *args, **named)


_MEAN = partial(masked_mean, dim=-1)  # over the tokens of each completion
FAULTS: dict[str, Fault] = {
    "healthy": ({}, {}),
    "mean for sum": ({}, {"masked_sum": _MEAN,
                          "completion_logprobs": partial(completion_logprobs, total=_MEAN)}),
    "reference with dropout": ({}, {"completion_logprobs": _noisy_reference}),
    "prompts cut apart": ({"edit": cut_apart}, {"require_rankings": lambda *_, **__: None}),
    "EOS left out": ({"edit": without_eos}, {}),
}  # fmt: skip


def _edited(start: Start, *, edit: Callable[[RowRanking], RowRanking] = tuple) -> None:
    """The essay's DPO on written pairs, each pair edited."""
    pairs, _ = pairs_from("written", start.profile, start.seed)
    edited = [edit(pair) for pair in pairs]  # some may be alike after it
    different = [pair for pair in edited if pair[0].ids != pair[1].ids]
    config = presets.dpo_config(start.profile, start.seed)
    dpo.train_dpo(start.policy, start.tokenizer, different, config)


@study("dpo_faults", "what do four bugs of DPO do?", fault=FAULTS)
def fault_planted(profile: Profile, seed: int, fault: str) -> dict[str, float]:
    """DPO with one of `FAULTS`."""
    with measuring.planted_in(dpo, FAULTS[fault]) as changes:
        return measured(profile, seed, _edited, **changes)
