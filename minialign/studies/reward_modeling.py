"""Studies of reward modeling: how much data and how much noise, planted biases, and best-of-n."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.batching import encode
from minialign.evaluate import rank_correlation, win_rate
from minialign.losses.reward import average_weights, ensemble
from minialign.models import RewardModel, load_policy
from minialign.profiles import Profile
from minialign.rewards import reward_model_score, score_rows
from minialign.rollout import sample
from minialign.stages import reward_config, stage
from minialign.studies import Point, Study
from minialign.train.reward import Ranking, train_reward
from minialign.world import tasks
from minialign.world.annotator import Annotator, accuracy_ceiling, gold_utility
from minialign.world.preferences import CROWD, Comparison, comparisons

SIZES = (250, 1000, 4000)  # comparisons
NOISES = (0.0, 1.0, 3.0)  # temperatures of the annotators; 1 is the crowd's
BIASES = {"none": CROWD, "length": replace(CROWD, length_bias=2.0),
          "agreement": replace(CROWD, agreement_bias=3.0)}  # fmt: skip
MEMBERS = 4  # reward models of an ensemble
LARGEST = 64  # completions of a prompt in best-of-n


def _start(profile: Profile, seed: int) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    return load_policy(stage("sft", profile=profile, seed=seed))


def encoded(tokenizer: PreTrainedTokenizerBase, pairs: list[Comparison]) -> list[Ranking]:
    """(chosen, rejected) rows of comparisons."""
    return [
        tuple(encode(tokenizer, c.instruction.prompt, text) for text in (c.chosen, c.rejected))
        for c in pairs
    ]


def fit(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rankings: list[Ranking],
    profile: Profile,
    seed: int,
) -> RewardModel:
    """A reward model from a policy, trained with the profile's settings."""
    model = RewardModel.from_policy(policy, seed)
    train_reward(model, tokenizer, rankings, reward_config(profile, seed))
    return model


def examine(
    model: RewardModel, tokenizer: PreTrainedTokenizerBase, n: int, annotator: Annotator = CROWD
) -> dict[str, float]:
    """Accuracy on held-out labels and against gold, and the ceiling of the labels' noise."""
    pairs = comparisons(n, "test", seed=11, annotator=annotator)
    rows = [row for pair in encoded(tokenizer, pairs) for row in pair]
    chosen, rejected = score_rows(model, tokenizer, rows).view(-1, 2).T.tolist()
    gaps = [c.gap for c in pairs]  # gold, first minus second
    lead = np.where([c.first_wins for c in pairs], 1, -1) * (np.array(chosen) - rejected)
    clear = [i for i, gap in enumerate(gaps) if gap]
    gold = win_rate([lead[i] * math.copysign(1, gaps[i]) for i in clear], [0.0] * len(clear))
    return {
        "accuracy": win_rate(chosen, rejected).mean,
        "ceiling": accuracy_ceiling(gaps, annotator.temperature),
        "gold_accuracy": gold.mean,
        "spearman": rank_correlation(lead, gaps),
    }


def _data_points(profile: Profile, seeds: int) -> list[Point]:
    most = profile.comparisons
    settings = [(n, 1.0) for n in SIZES if n < most] + [(most, noise) for noise in NOISES]
    return [{"comparisons": n, "noise": t, "seed": s} for s in range(seeds) for n, t in settings]


def _measure_data(profile: Profile, point: Point) -> dict[str, float]:
    policy, tokenizer = _start(profile, point["seed"])
    annotator = replace(CROWD, temperature=point["noise"])
    pairs = comparisons(point["comparisons"], "train", point["seed"], annotator)
    model = fit(policy, tokenizer, encoded(tokenizer, pairs), profile, point["seed"])
    return examine(model, tokenizer, 5 * profile.eval_prompts)


def _bias_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"bias": name, "seed": seed} for seed in range(seeds) for name in BIASES]


def _measure_bias(profile: Profile, point: Point) -> dict[str, float]:
    """What the score of a right reply gains by being longer, or by agreeing."""
    policy, tokenizer = _start(profile, point["seed"])
    pairs = comparisons(profile.comparisons, "train", point["seed"], BIASES[point["bias"]])
    model = fit(policy, tokenizer, encoded(tokenizer, pairs), profile, point["seed"])
    found = examine(model, tokenizer, 5 * profile.eval_prompts)
    tests = comparisons(5 * profile.eval_prompts, "test", seed=11)
    rows = encoded(tokenizer, tests)
    scores = score_rows(model, tokenizer, [row for pair in rows for row in pair]).view(-1, 2)
    lead = (scores[:, 0] - scores[:, 1]).numpy()
    gold = np.array([c.gap if c.first_wins else -c.gap for c in tests])
    words = [[max(1, len(text.split())) for text in (c.chosen, c.rejected)] for c in tests]
    doublings = np.log2([a / b for a, b in words])
    design = np.stack([gold, doublings, np.ones_like(gold)], 1)
    utility, length, _ = np.linalg.lstsq(design, lead, rcond=None)[0]
    return {**found, "per_utility": utility, "per_doubling": length}


def _bon_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"seed": seed} for seed in range(seeds)]


def _measure_bon(profile: Profile, point: Point) -> dict[str, float]:
    """Best of n by one reward model, by ensembles and by averaged weights: proxy and gold.

    Members differ in the seed of their head and of the data's order; they share the comparisons.
    """
    seed = point["seed"]
    policy, tokenizer = _start(profile, seed)
    pairs = comparisons(min(1000, profile.comparisons), "train", seed)
    rankings = encoded(tokenizer, pairs)
    members = [fit(policy, tokenizer, rankings, profile, 10 * seed + i) for i in range(MEMBERS)]
    asked = tasks.instructions(max(21, profile.eval_prompts // 3), "test", seed=3)
    largest = LARGEST if profile.name != "smoke" else 4
    rollout = sample(
        policy,
        tokenizer,
        [i.prompt for i in asked],
        group_size=largest,
        max_new_tokens=profile.max_new_tokens,
        generator=torch.Generator().manual_seed(seed),
    )
    merged = RewardModel.from_policy(policy)
    merged.load_state_dict(average_weights(members))
    each = [reward_model_score(m, tokenizer)(rollout.prompts, rollout.texts) for m in members]
    warm = reward_model_score(merged, tokenizer)(rollout.prompts, rollout.texts)
    scores = torch.tensor(each)
    proxies = {"single": scores[0], "mean": ensemble(scores), "worst": ensemble(scores, "worst"),
               "cautious": ensemble(scores, "cautious"), "warm": torch.tensor(warm)}  # fmt: skip
    texts = zip((i for i in asked for _ in range(largest)), rollout.texts, strict=True)
    gold = torch.tensor([gold_utility(i, text) for i, text in texts])
    return best_of_n(proxies, gold, largest)


def best_of_n(
    proxies: dict[str, torch.Tensor], gold: torch.Tensor, largest: int
) -> dict[str, float]:
    """Mean proxy (in its own standard deviations) and gold of the best of n = 1, 2, 4, ...

    Args:
        proxies: name -> (P * largest,) scores, the completions of a prompt side by side.
        gold: (P * largest,) gold utilities.
        largest: completions of a prompt.
    """
    found, n = {}, 1
    truth = gold.view(-1, largest)
    while n <= largest:
        for name, flat in proxies.items():
            score = ((flat - flat.mean()) / flat.std()).view(-1, largest)
            groups = score.view(len(score), -1, n)  # disjoint groups of n: less noise
            best = groups.argmax(-1, keepdim=True)
            picked = truth.view(len(score), -1, n).gather(-1, best)
            found[f"{name}_proxy_{n}"] = groups.gather(-1, best).mean().item()
            found[f"{name}_gold_{n}"] = picked.mean().item()
        found[f"oracle_gold_{n}"] = truth.view(len(truth), -1, n).amax(-1).mean().item()
        n *= 2
    return found


STUDIES = {
    "reward_data": Study(
        "how many comparisons does a reward model need, and what does noise cost?",
        _data_points,
        _measure_data,
    ),
    "reward_bias": Study(
        "does a reward model learn the annotators' biases?", _bias_points, _measure_bias
    ),
    "reward_best_of_n": Study(
        "does more choice by a proxy make replies better, and do ensembles help?",
        _bon_points,
        _measure_bon,
    ),
}
