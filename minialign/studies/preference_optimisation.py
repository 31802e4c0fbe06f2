"""Studies of preference optimisation: DPO's frontier, noisy labels, the family, and feedback."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from random import Random
from typing import Any

import numpy as np
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign import registry
from minialign.batching import Row
from minialign.evaluate import judge, summary
from minialign.models import frozen_reference, load_policy
from minialign.own_replies import by_annotators, own_rankings
from minialign.profiles import Profile
from minialign.session import pick_device
from minialign.stages import comparison_rows, dpo_config, ppo_prompts, scored_pairs, stage
from minialign.studies import Point, Study, patched
from minialign.train import preference
from minialign.train.common import reference_sums
from minialign.train.preference import LISTWISE, Ranking, train_preference
from minialign.train.stepwise import train_stepwise
from minialign.train.unpaired import UnpairedConfig, balanced, train_unpaired
from minialign.world.tasks import instructions

BETAS = (0.1, 0.3, 1.0, 3.0)  # reward per nat
FLIPS = (0.0, 0.2, 0.4)  # shares of labels that are swapped on top of the annotators' own noise
LOOPS = ("train_preference", "train_stepwise", "train_unpaired")
FAMILY = [method.name for method in registry.REGISTRY.values() if method.loop in LOOPS]
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
    """Let a tuned policy learn, then examine it; train_minutes are those of learning alone."""
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


SOURCES: dict[str, Callable[[Profile, int], list[Ranking]]] = {
    "written": _written,
    "own, chosen": _chosen,
    "own, scored": scored_pairs,  # of stage "dpo"
    "own, ranked": partial(_chosen, group_size=LISTED),
}


@lru_cache(maxsize=2)
def pairs_from(source: str, profile: Profile, seed: int) -> tuple[list[Ranking], float]:
    """Comparisons by where they come from, and the minutes that it took to have them."""
    began = time.time()
    return SOURCES[source](profile, seed), (time.time() - began) / 60


def _dpo(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    profile: Profile,
    seed: int,
    source: str = "own, chosen",
    flip: float = 0.0,
    change: Callable[[Ranking], Ranking] = tuple,
    **changes: Any,
) -> None:
    """`train_preference` on pairs of a source, a share of them swapped, each changed."""
    rng = Random(f"flips {seed}")
    pairs, _ = pairs_from(source, profile, seed)
    pairs = [change(pair[::-1] if rng.random() < flip else pair) for pair in pairs]
    train_preference(policy, tokenizer, pairs, replace(dpo_config(profile, seed), **changes))


def _frontier_points(profile: Profile, seeds: int) -> list[Point]:
    return [
        {"pairs": source, "beta": beta, "seed": seed}
        for seed in range(seeds)
        for source in ("written", "own, chosen", "own, scored")
        for beta in BETAS
    ]


def _measure_frontier(profile: Profile, point: Point) -> dict[str, float]:
    source, seed = point["pairs"], point["seed"]
    _, minutes = pairs_from(source, profile, seed)
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


def _paired(method: str, policy, tokenizer, profile: Profile, seed: int, steps: int) -> None:
    """`train_preference` as the registry has it; a ranking of four takes the place of two pairs."""
    config = replace(
        dpo_config(profile, seed), **{"options": {}, "steps": steps, **_settings(method)}
    )
    if config.loss in LISTWISE:
        rows, _ = pairs_from("own, ranked", profile, seed)
        config = replace(config, batch_size=config.batch_size * 2 // LISTED)
    else:
        rows, _ = pairs_from("own, chosen", profile, seed)
    train_preference(policy, tokenizer, rows, config)


def _stepwise(method: str, policy, tokenizer, profile: Profile, seed: int, steps: int) -> None:
    """Two rounds of half the steps each: easy pairs and hard ones, or all pairs twice."""
    pairs, _ = pairs_from("own, chosen", profile, seed)
    pairs = pairs[: steps * profile.batch_size]
    rounds = [pairs, pairs]
    if method == "sdpo":
        known = reference_sums(policy, tokenizer, pairs)
        order = (known[:, 1] - known[:, 0]).argsort().tolist()  # easy where the start agrees
        rounds = [[pairs[i] for i in half] for half in np.array_split(order, 2)]
    config = replace(dpo_config(profile, seed), steps=max(1, steps // 2), options={"beta": 0.1})
    train_stepwise(policy, tokenizer, rounds, config, **_settings(method))


def feedback(
    pairs: Sequence[Ranking], seed: int, keep: float = 1.0
) -> tuple[list[Row], list[bool]]:
    """The completions of comparisons, and which were liked; of these only a share is kept."""
    rng = Random(f"feedback {seed}")
    rows = [
        (row, liked)
        for pair in pairs
        for row, liked in zip(pair, (True, False), strict=True)
        if not liked or rng.random() < keep
    ]
    return [row for row, _ in rows], [liked for _, liked in rows]


def _unpaired(method: str, policy, tokenizer, profile: Profile, seed: int, steps: int) -> None:
    rows, liked = feedback(pairs_from("own, chosen", profile, seed)[0], seed)
    config = replace(_unpaired_config(profile, seed), steps=steps, **_settings(method))
    train_unpaired(policy, tokenizer, rows, liked, config)


def _unpaired_config(profile: Profile, seed: int) -> UnpairedConfig:
    base = dpo_config(profile, seed)
    return UnpairedConfig(
        steps=base.steps,
        batch_size=2 * base.batch_size,
        learning_rate=base.learning_rate,
        seed=seed,
    )


def _settings(method: str) -> dict[str, Any]:
    return dict(registry.method(method).settings)


def _family_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"method": name, "seed": seed} for seed in range(seeds) for name in FAMILY]


def _measure_family(profile: Profile, point: Point) -> dict[str, float]:
    name, seed = point["method"], point["seed"]
    how = dict(zip(LOOPS, (_paired, _stepwise, _unpaired), strict=True))
    learn = how[registry.method(name).loop]
    steps = max(2, 5 * dpo_config(profile).steps // 8)
    return measured(
        profile, seed, lambda policy, tok: learn(name, policy, tok, profile, seed, steps)
    )


# Name -> (share of liked completions that is kept, whether both classes are to count alike).
FEEDBACK = {"1:1": (1.0, False), "1:5": (0.2, False), "1:5, balanced": (0.2, True)}


def _feedback_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"feedback": name, "seed": seed} for seed in range(seeds) for name in FEEDBACK]


def _measure_feedback(profile: Profile, point: Point) -> dict[str, float]:
    (keep, balance), seed = FEEDBACK[point["feedback"]], point["seed"]

    def learn(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        rows, liked = feedback(pairs_from("own, chosen", profile, seed)[0], seed, keep)
        weights = balanced(liked) if balance else (1.0, 1.0)
        config = replace(
            _unpaired_config(profile, seed), liked_weight=weights[0], disliked_weight=weights[1]
        )
        train_unpaired(policy, tokenizer, rows, liked, config)

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
    "reference with dropout": ({}, {"reference_sums": _noisy_references}),
    "prompts cut apart": ({"change": cut_apart}, {"_check": lambda *_: None}),
    "EOS left out": ({"change": without_eos}, {}),
}


def _fault_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"fault": fault, "seed": seed} for seed in range(seeds) for fault in FAULTS]


def _measure_fault(profile: Profile, point: Point) -> dict[str, float]:
    (changes, patches), seed = FAULTS[point["fault"]], point["seed"]
    with patched(preference, patches):
        return measured(profile, seed, partial(_dpo, profile=profile, seed=seed, **changes))


STUDIES = {
    "dpo_frontier": Study(
        "how much gold utility does DPO buy per nat of KL?", _frontier_points, _measure_frontier
    ),
    "dpo_noise": Study("which loss bears swapped labels?", _noise_points, _measure_noise),
    "dpo_family": Study(
        "how do the preference losses differ on the same pairs?", _family_points, _measure_family
    ),
    "dpo_feedback": Study(
        "what do likes and dislikes without pairs teach?", _feedback_points, _measure_feedback
    ),
    "dpo_faults": Study("what do four bugs of DPO do?", _fault_points, _measure_fault),
}
