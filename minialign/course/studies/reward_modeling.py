"""Studies of reward modeling: how much data and how much noise, planted biases, and best-of-n."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from minialign.core.batching import RowRanking
from minialign.core.models.heads import RewardModel
from minialign.core.sampling import sample
from minialign.core.tokens import encode
from minialign.course.pipeline import stage
from minialign.course.profiles import Profile
from minialign.course.stages.presets import reward_config
from minialign.course.stages.recipes import comparison_rows, encode_comparisons
from minialign.course.studies import Point, study
from minialign.course.studies.measuring import Start
from minialign.evaluate.statistics import rank_correlation, win_rate
from minialign.rewards.learnt import reward_model_score, score_rows
from minialign.variants import methods
from minialign.variants.reward_losses import average_weights, both_orders, ensemble
from minialign.world import tasks
from minialign.world.replies import annotator as people
from minialign.world.replies.annotator import Annotator, agrees, gold_utility
from minialign.world.replies.preferences import CROWD, Comparison, comparisons, rankings

SIZES = (400, 1600)  # comparisons, besides the profile's own number
NOISES = (0.0, 1.0, 3.0)  # temperatures of the annotators; 1 is the crowd's
BIASES = {"none": CROWD, "length": replace(CROWD, length_bias=2.0),
          "agreement": replace(CROWD, agreement_bias=3.0)}  # fmt: skip
TESTS = 5  # held-out comparisons per prompt of the profile's evaluation
MEMBERS = 4  # reward models of an ensemble
LARGEST = 64  # completions of a prompt in best-of-n
AT_ONCE = 24  # prompts of so many completions


def fit(
    start: Start, rankings: list[RowRanking], method: str = "bradley_terry", **changes: Any
) -> RewardModel:
    """A reward model from a policy by a method of the registry, with the profile's settings."""
    model = RewardModel.from_policy(start.policy, start.seed)
    config = replace(reward_config(start.profile, start.seed), **changes)
    methods.method(method).trainer()(model, start.tokenizer, rankings, config)
    return model


def clear_pairs(n: int, split: str, seed: int = 11) -> list[Comparison]:
    """Held-out comparisons whose two replies differ in gold utility: the others have no winner."""
    return [c for c in comparisons(n, split, seed) if c.gap]


def lead(
    model: RewardModel, tokenizer: PreTrainedTokenizerBase, pairs: list[Comparison], *,
    at_once: bool = False,
) -> np.ndarray:  # fmt: skip
    """(N,) score of each pair's first reply minus that of the second.

    `at_once`: the model reads both replies in one row; then these are log-odds that the first wins.
    """
    rows = []
    for c in pairs:
        prompt = c.instruction.prompt
        if at_once:
            rows.extend(both_orders(tokenizer, prompt, c.first, c.second))
        else:
            rows.extend(encode(tokenizer, prompt, text) for text in (c.first, c.second))
    return -score_rows(model, tokenizer, rows).view(-1, 2).diff(dim=1)[:, 0].numpy()


def examine(
    model: RewardModel, tokenizer: PreTrainedTokenizerBase, n: int, *, at_once: bool = False,
    contents: bool = False,
) -> dict[str, float]:  # fmt: skip
    """Accuracy on the crowd's labels, expected over their noise, its ceiling, and against gold.

    On held-out phrasings of training contents, and if asked, as test_*, on held-out `contents` too.
    """
    columns = {}
    for split, prefix in (("phrasings", ""), ("test", "test_"))[: 1 + contents]:
        pairs = clear_pairs(n, split)
        gaps, leads = [c.gap for c in pairs], lead(model, tokenizer, pairs, at_once=at_once)
        values = {
            "accuracy": people.expected_accuracy(leads, gaps, CROWD.temperature),
            "ceiling": people.accuracy_ceiling(gaps, CROWD.temperature),
            "gold_accuracy": win_rate(leads * np.sign(gaps), np.zeros(len(gaps))).mean,
            "spearman": rank_correlation(leads, gaps),
        }
        columns |= {prefix + name: value for name, value in values.items()}
    return columns


def _fit_on_labels(
    profile: Profile, seed: int, n: int, annotator: Annotator = CROWD
) -> tuple[RewardModel, PreTrainedTokenizerBase]:
    """A reward model of `n` comparisons as an annotator labelled them, and its tokenizer."""
    start = Start.tuned(profile, seed)
    if n == profile.comparisons and annotator == CROWD:  # the stage's own
        folder = stage("reward", profile=profile, seed=seed)
        return RewardModel.from_pretrained(folder, device=start.policy.device), start.tokenizer
    pairs = comparisons(n, "train", seed, annotator)
    return fit(start, encode_comparisons(start.tokenizer, pairs)), start.tokenizer


def _amounts(profile: Profile) -> list[Point]:
    most = profile.comparisons
    settings = [(n, 1.0) for n in SIZES if n < most] + [(most, noise) for noise in NOISES]
    return [{"comparisons": n, "noise": noise} for n, noise in settings]


@study(
    "reward_data", "how many comparisons does a reward model need, and what does noise cost?",
    _amounts,
)  # fmt: skip
def amount_of_data(profile: Profile, seed: int, comparisons: int, noise: float) -> dict[str, float]:
    """A reward model of so many comparisons by annotators of this temperature."""
    annotator = replace(CROWD, temperature=noise)
    model, tokenizer = _fit_on_labels(profile, seed, comparisons, annotator)
    return examine(model, tokenizer, TESTS * profile.eval_prompts, contents=True)


@study("reward_bias", "does a reward model learn the annotators' biases?", bias=BIASES)
def annotators_bias(profile: Profile, seed: int, bias: str) -> dict[str, float]:
    """What the score pays for a unit of utility, a doubling of the length, and agreement."""
    model, tokenizer = _fit_on_labels(profile, seed, profile.comparisons, BIASES[bias])
    tests = comparisons(TESTS * profile.eval_prompts, "phrasings", seed=11)
    leads = lead(model, tokenizer, tests)
    return {**examine(model, tokenizer, len(tests)), **paid(leads, tests)}


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


# Kind of label -> the method of the registry that learns from it.
KINDS = {
    "pairs": "bradley_terry",
    "both at once": "pairwise",
    "ranking of 4": "plackett_luce",
    "split ranking of 4": "split_pairs",
}


@study(
    "reward_kinds", "do rankings, or reading both replies at once, teach more than pairs?",
    kind=KINDS,
)  # fmt: skip
def kind_of_label(profile: Profile, seed: int, kind: str) -> dict[str, float]:
    """Four ways to spend an annotator's reading of the same number of replies."""
    start = Start.tuned(profile, seed)
    tokenizer, batch_size = start.tokenizer, profile.batch_size
    n = profile.comparisons // 2
    at_once = kind == "both at once"
    if "ranking" in kind:
        ranked = rankings(n // 2, 4, "train", seed)
        rows = [tuple(encode(tokenizer, i.prompt, t) for t in texts) for i, texts in ranked]
        batch_size //= 2
    elif at_once:
        pairs = comparisons(n, "train", seed)
        rows = [both_orders(tokenizer, c.instruction.prompt, c.chosen, c.rejected) for c in pairs]
    else:
        rows = encode_comparisons(tokenizer, comparisons(n, "train", seed))
    model = fit(start, rows, KINDS[kind], batch_size=batch_size)
    return examine(model, tokenizer, TESTS * profile.eval_prompts, at_once=at_once)


@study(
    "reward_best_of_n", "does more choice by a proxy make replies better, and do ensembles help?"
)
def choice_by_proxy(profile: Profile, seed: int) -> dict[str, float]:
    """Best of n by one reward model, by ensembles and by averaged weights: proxy and gold.

    Members share the comparisons and the head's start, so that their weights can be averaged; they
    differ in the order of the data.
    """
    start = Start.tuned(profile, seed)
    policy, tokenizer = start.policy, start.tokenizer
    rows = comparison_rows(tokenizer, min(1000, profile.comparisons), seed=seed)
    members = [fit(start, rows, seed=10 * seed + i) for i in range(MEMBERS)]
    merged = RewardModel.from_policy(policy)
    merged.load_state_dict(average_weights(members))
    held_out = tasks.instructions(max(21, profile.eval_prompts // 3), "test", seed=3)
    largest = LARGEST if profile.base != "smoke" else 4
    rollout = sample(
        policy, tokenizer, [i.prompt for i in held_out], group_size=largest,
        max_new_tokens=profile.max_new_tokens,
        generator=torch.Generator(policy.device).manual_seed(seed),
    )  # fmt: skip
    scorers = [reward_model_score(model, tokenizer) for model in (*members, merged)]
    scores = torch.tensor([score(rollout.prompts, rollout.texts) for score in scorers])
    scores = scores.view(len(scorers), -1, largest)
    scores = (scores - scores.mean(-1, keepdim=True)).flatten(1)  # a prompt's zero means nothing
    proxies = {"single": scores[0], "warm": scores[-1]}
    proxies |= {how: ensemble(scores[:-1], how) for how in ("mean", "worst", "cautious")}
    texts = zip((i for i in held_out for _ in range(largest)), rollout.texts, strict=True)
    gold = torch.tensor([gold_utility(i, text) for i, text in texts])
    return best_of_n(proxies, gold, largest)


@study("reward_selection", "among how many replies may a score select, by what it learnt from?")
def selection(profile: Profile, seed: int) -> dict[str, float]:
    """Best of n by two reward models: of all comparisons in one pass, of few in several passes.

    Both select among the same replies of the tuned policy, so that they can be compared by seed.
    """
    start = Start.tuned(profile, seed)
    policy, tokenizer = start.policy, start.tokenizer
    held_out = tasks.instructions(max(21, 2 * profile.eval_prompts // 3), "test", seed=4)
    largest = LARGEST if profile.base != "smoke" else 4
    generator, texts = torch.Generator(policy.device).manual_seed(seed), []
    for k in range(0, len(held_out), AT_ONCE):  # all at once would need some 14 GB
        texts += sample(
            policy, tokenizer, [i.prompt for i in held_out[k : k + AT_ONCE]], group_size=largest,
            max_new_tokens=profile.max_new_tokens, generator=generator,
        ).texts  # fmt: skip
    replies = [(i, texts[largest * k + j]) for k, i in enumerate(held_out) for j in range(largest)]
    prompts = [i.prompt for i, _ in replies]
    parts = [people.utility_parts(*reply) for reply in replies]
    proxies = {}
    for name, number in (("all", profile.comparisons), ("few", min(1000, profile.comparisons))):
        model = fit(start, comparison_rows(tokenizer, number, seed=seed))
        proxies[name] = torch.tensor(reward_model_score(model, tokenizer)(prompts, texts))
    gold = [gold_utility(*reply) for reply in replies]
    right = [part.follows * part.true for part in parts]
    found = best_of_n(proxies, torch.tensor(gold), largest)
    shares = best_of_n(proxies, torch.tensor(right), largest)
    return found | {k.replace("gold", "right"): x for k, x in shares.items() if "gold" in k}


def best_of_n(
    proxies: dict[str, torch.Tensor], gold: torch.Tensor, largest: int
) -> dict[str, float]:
    """Mean proxy (in standard deviations within a prompt) and gold of the best of 1, 2, 4, ...

    Args:
        proxies: name -> (P * largest,) scores, the completions of a prompt side by side.
        gold: (P * largest,) gold utilities.
        largest: completions of a prompt, a power of 2.
    """
    means, n = {}, 1
    truth = gold.view(-1, largest)
    while n <= largest:
        for name, flat in proxies.items():
            score = flat.view(-1, largest)
            score = score - score.mean(-1, keepdim=True)
            groups = (score / score.std()).view(len(score), -1, n)  # disjoint groups: less noise
            best = groups.argmax(-1, keepdim=True)
            picked = truth.view(len(score), -1, n).gather(-1, best)
            means[f"{name}_proxy_{n}"] = groups.gather(-1, best).mean().item()
            means[f"{name}_gold_{n}"] = picked.mean().item()
        means[f"oracle_gold_{n}"] = truth.view(len(truth), -1, n).amax(-1).mean().item()
        n *= 2
    return means
