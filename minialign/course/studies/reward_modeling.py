"""Studies of reward modeling: how much data and how much noise, planted biases, and best-of-n."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.algorithms.reward_model import Ranking, train_reward
from minialign.core.models.heads import RewardModel
from minialign.core.models.loading import load_policy
from minialign.core.sampling import sample
from minialign.course.pipeline import stage
from minialign.course.profiles import Profile
from minialign.course.session import pick_device
from minialign.course.stages.presets import reward_config
from minialign.course.stages.recipes import comparison_rows, encode_comparisons
from minialign.course.studies import Point, Study
from minialign.evaluate.statistics import rank_correlation, win_rate
from minialign.rewards.learnt import reward_model_score, score_rows
from minialign.variants.reward_losses import average_weights, both_orders, ensemble
from minialign.world import tasks
from minialign.world.annotator import accuracy_ceiling, agrees, expected_accuracy, gold_utility
from minialign.world.preferences import CROWD, Comparison, comparisons, rankings

SIZES = (400, 1600)  # comparisons, besides the profile's own number
NOISES = (0.0, 1.0, 3.0)  # temperatures of the annotators; 1 is the crowd's
BIASES = {"none": CROWD, "length": replace(CROWD, length_bias=2.0),
          "agreement": replace(CROWD, agreement_bias=3.0)}  # fmt: skip
TESTS = 5  # held-out comparisons per prompt of the profile's evaluation
MEMBERS = 4  # reward models of an ensemble
LARGEST = 64  # completions of a prompt in best-of-n


def _start(profile: Profile, seed: int) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    return load_policy(stage("sft", profile=profile, seed=seed), device=pick_device())


def fit(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rankings: list[Ranking],
    profile: Profile,
    seed: int,
    head: int | None = None,
) -> RewardModel:
    """A reward model from a policy, with the profile's settings; the head's seed may differ."""
    model = RewardModel.from_policy(policy, seed if head is None else head)
    train_reward(model, tokenizer, rankings, reward_config(profile, seed))
    return model


def clear_pairs(n: int, split: str, seed: int = 11) -> list[Comparison]:
    """Held-out comparisons whose two replies differ in gold utility: the others have no winner."""
    return [c for c in comparisons(n, split, seed) if c.gap]


def lead(
    model: RewardModel, tokenizer: PreTrainedTokenizerBase, pairs: list[Comparison]
) -> np.ndarray:
    """(N,) score of the reply shown first minus that of the second."""
    texts = [(c.instruction.prompt, text) for c in pairs for text in (c.first, c.second)]
    rows = [encode(tokenizer, prompt, text) for prompt, text in texts]
    return -score_rows(model, tokenizer, rows).view(-1, 2).diff(dim=1)[:, 0].numpy()


def lead_of_pairs(
    model: RewardModel, tokenizer: PreTrainedTokenizerBase, pairs: list[Comparison]
) -> np.ndarray:
    """(N,) log-odds that the first beats the second, of a model that reads both at once."""
    rows = [
        row
        for c in pairs
        for row in both_orders(tokenizer, c.instruction.prompt, c.first, c.second)
    ]
    return -score_rows(model, tokenizer, rows).view(-1, 2).diff(dim=1)[:, 0].numpy()


def examine(
    model: RewardModel,
    tokenizer: PreTrainedTokenizerBase,
    n: int,
    leads_of: Callable[..., np.ndarray] = lead,
) -> dict[str, float]:
    """Accuracy on the crowd's labels, expected over their noise, its ceiling, and against gold.

    On held-out phrasings of training contents, and, as test_*, on held-out contents too.
    """
    found = {}
    for split, prefix in (("phrasings", ""), ("test", "test_")):
        pairs = clear_pairs(n, split)
        gaps, leads = [c.gap for c in pairs], leads_of(model, tokenizer, pairs)
        values = {
            "accuracy": expected_accuracy(leads, gaps, CROWD.temperature),
            "ceiling": accuracy_ceiling(gaps, CROWD.temperature),
            "gold_accuracy": win_rate(leads * np.sign(gaps), np.zeros(len(gaps))).mean,
            "spearman": rank_correlation(leads, gaps),
        }
        found |= {prefix + name: value for name, value in values.items()}
    return found


def _data_points(profile: Profile, seeds: int) -> list[Point]:
    most = profile.comparisons
    settings = [(n, 1.0) for n in SIZES if n < most] + [(most, noise) for noise in NOISES]
    return [{"comparisons": n, "noise": t, "seed": s} for s in range(seeds) for n, t in settings]


def _measure_data(profile: Profile, point: Point) -> dict[str, float]:
    policy, tokenizer = _start(profile, point["seed"])
    annotator = replace(CROWD, temperature=point["noise"])
    pairs = comparisons(point["comparisons"], "train", point["seed"], annotator)
    model = fit(policy, tokenizer, encode_comparisons(tokenizer, pairs), profile, point["seed"])
    return examine(model, tokenizer, TESTS * profile.eval_prompts)


def _bias_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"bias": name, "seed": seed} for seed in range(seeds) for name in BIASES]


def _measure_bias(profile: Profile, point: Point) -> dict[str, float]:
    """What the score pays for a unit of utility, a doubling of the length, and agreement."""
    policy, tokenizer = _start(profile, point["seed"])
    pairs = comparisons(profile.comparisons, "train", point["seed"], BIASES[point["bias"]])
    model = fit(policy, tokenizer, encode_comparisons(tokenizer, pairs), profile, point["seed"])
    tests = comparisons(TESTS * profile.eval_prompts, "phrasings", seed=11)
    found = examine(model, tokenizer, len(tests))
    return {**found, **paid(lead(model, tokenizer, tests), tests)}


def paid(leads: np.ndarray, pairs: list[Comparison]) -> dict[str, float]:
    """Least squares of the score's lead on the differences of utility, log2 words, agreement."""
    gaps = np.array([c.gap for c in pairs])
    doublings = [math.log2(_words(c.first) / _words(c.second)) for c in pairs]
    agreement = [float(agrees(c.first)) - agrees(c.second) for c in pairs]
    design = np.stack([gaps, doublings, agreement], 1)  # no constant: the order is random
    prices = np.linalg.lstsq(design, leads, rcond=None)[0]
    return dict(zip(("per_utility", "per_doubling", "per_agreement"), prices, strict=True))


def _words(text: str) -> int:
    return max(1, len(text.split()))


def _kind_points(profile: Profile, seeds: int) -> list[Point]:
    kinds = ("pairs", "both at once", "ranking of 4", "split ranking of 4")
    return [{"kind": kind, "seed": seed} for seed in range(seeds) for kind in kinds]


def _measure_kind(profile: Profile, point: Point) -> dict[str, float]:
    """Four ways to spend an annotator's reading of the same number of replies."""
    kind, seed = point["kind"], point["seed"]
    policy, tokenizer = _start(profile, seed)
    n = profile.comparisons // 2
    if "ranking" in kind:
        ranked = rankings(n // 2, 4, "train", seed)
        rows = [tuple(encode(tokenizer, i.prompt, t) for t in texts) for i, texts in ranked]
        config = reward_config(profile, seed)
        loss = "split_pairs" if "split" in kind else "plackett_luce"
        config = replace(config, loss=loss, batch_size=config.batch_size // 2)
        model = RewardModel.from_policy(policy, seed)
        train_reward(model, tokenizer, rows, config)
        return examine(model, tokenizer, TESTS * profile.eval_prompts)
    pairs = comparisons(n, "train", seed)
    if kind == "pairs":
        model = fit(policy, tokenizer, encode_comparisons(tokenizer, pairs), profile, seed)
        return examine(model, tokenizer, TESTS * profile.eval_prompts)
    shown = [both_orders(tokenizer, c.instruction.prompt, c.chosen, c.rejected) for c in pairs]
    model = fit(policy, tokenizer, shown, profile, seed)
    return examine(model, tokenizer, TESTS * profile.eval_prompts, lead_of_pairs)


def _bon_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"seed": seed} for seed in range(seeds)]


def _measure_bon(profile: Profile, point: Point) -> dict[str, float]:
    """Best of n by one reward model, by ensembles and by averaged weights: proxy and gold.

    Members share the comparisons and the head's start, so that their weights can be averaged; they
    differ in the order of the data.
    """
    seed = point["seed"]
    policy, tokenizer = _start(profile, seed)
    rows = comparison_rows(tokenizer, min(1000, profile.comparisons), seed=seed)
    members = [
        fit(policy, tokenizer, rows, profile, 10 * seed + i, head=seed) for i in range(MEMBERS)
    ]
    merged = RewardModel.from_policy(policy)
    merged.load_state_dict(average_weights(members))
    asked = tasks.instructions(max(21, profile.eval_prompts // 3), "test", seed=3)
    largest = LARGEST if profile.base != "smoke" else 4
    rollout = sample(
        policy,
        tokenizer,
        [i.prompt for i in asked],
        group_size=largest,
        max_new_tokens=profile.max_new_tokens,
        generator=torch.Generator(policy.device).manual_seed(seed),
    )
    scores = torch.tensor(
        [
            reward_model_score(m, tokenizer)(rollout.prompts, rollout.texts)
            for m in [*members, merged]
        ]
    ).view(len(members) + 1, -1, largest)
    scores = (scores - scores.mean(-1, keepdim=True)).flatten(1)  # a prompt's zero means nothing
    proxies = {"single": scores[0], "warm": scores[-1]}
    proxies |= {how: ensemble(scores[:-1], how) for how in ("mean", "worst", "cautious")}
    texts = zip((i for i in asked for _ in range(largest)), rollout.texts, strict=True)
    gold = torch.tensor([gold_utility(i, text) for i, text in texts])
    return best_of_n(proxies, gold, largest)


def best_of_n(
    proxies: dict[str, torch.Tensor], gold: torch.Tensor, largest: int
) -> dict[str, float]:
    """Mean proxy (in standard deviations within a prompt) and gold of the best of 1, 2, 4, ...

    Args:
        proxies: name -> (P * largest,) scores, the completions of a prompt side by side.
        gold: (P * largest,) gold utilities.
        largest: completions of a prompt, a power of 2.
    """
    found, n = {}, 1
    truth = gold.view(-1, largest)
    while n <= largest:
        for name, flat in proxies.items():
            score = flat.view(-1, largest)
            score = score - score.mean(-1, keepdim=True)
            groups = (score / score.std()).view(len(score), -1, n)  # disjoint groups: less noise
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
    "reward_kinds": Study(
        "do rankings, or reading both replies at once, teach more than pairs?",
        _kind_points,
        _measure_kind,
    ),
    "reward_best_of_n": Study(
        "does more choice by a proxy make replies better, and do ensembles help?",
        _bon_points,
        _measure_bon,
    ),
}
