"""What a reward model sees, by how often comparisons hold a politely wrong reply."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from minialign.algorithms.dpo import train_dpo
from minialign.core.batching import Row
from minialign.core.models import frozen_reference
from minialign.core.models.references import completion_logprobs
from minialign.core.tokens import encode
from minialign.course.profiles import Profile
from minialign.course.stages.presets import dpo_config
from minialign.course.stages.recipes import encode_comparisons
from minialign.course.studies import study
from minialign.course.studies.measuring import Start
from minialign.course.studies.reward_modeling import TESTS, fit
from minialign.evaluate.bench import bench
from minialign.evaluate.statistics import win_rate
from minialign.rewards.learnt import score_rows
from minialign.world.dial_table import politely_wrong
from minialign.world.replies.annotator import accuracy_ceiling, expected_accuracy
from minialign.world.replies.preferences import COMPARED, CROWD, Comparison, comparisons
from minialign.world.tasks import Instruction

Scores = Callable[[Sequence[Row]], Tensor]  # encoded texts to (N,) scores, on the CPU

# Weights of `inventive` among the qualities that are compared; the dial stands at 0.1. Of all pairs
# about 2%, 6%, 16% and 25% then turn on a polite wrong reply alone.
INVENTIVE = (0.1, 0.4, 1.2, 2.5)
BENCH = 100  # pairs of each of the bench's categories


def scalar(start: Start, pairs: list[Comparison]) -> Scores:
    """A linear head on the tuned policy's body, as stage "reward" trains it."""
    model = fit(start, encode_comparisons(start.tokenizer, pairs))
    return lambda rows: score_rows(model, start.tokenizer, rows)


def implicit(start: Start, pairs: list[Comparison]) -> Scores:
    """beta (log pi - log ref), summed over the completion, of a policy that DPO has trained.

    Rafailov et al. 2023, arXiv:2305.18290, equation 5 without the term of the prompt alone.
    """
    reference, config = frozen_reference(start.policy), dpo_config(start.profile, start.seed)
    train_dpo(start.policy, start.tokenizer, encode_comparisons(start.tokenizer, pairs), config)

    def score(rows: Sequence[Row]) -> Tensor:
        alone = [(row,) for row in rows]
        models = (start.policy, reference)
        now, before = (completion_logprobs(m, alone, start.tokenizer.pad_token_id) for m in models)
        return config.beta * (now - before)[:, 0].cpu()

    return score


HEADS: dict[str, Callable[[Start, list[Comparison]], Scores]] = {
    "scalar": scalar,
    "implicit": implicit,
}


def leads(
    score: Scores, tokenizer: PreTrainedTokenizerBase, asked: Sequence[tuple[Instruction, str, str]]
) -> np.ndarray:
    """(N,) the score of the first of two replies to an instruction minus that of the second."""
    rows = [encode(tokenizer, i.prompt, text) for i, *replies in asked for text in replies]
    first, second = score(rows).view(-1, 2).unbind(1)
    return (first - second).numpy()


def on_bench(score: Scores, tokenizer: PreTrainedTokenizerBase) -> dict[str, float]:
    """Share of the bench's pairs whose better reply scores higher, by category."""
    known, right = bench(BENCH, seed=11), defaultdict(list)
    found = leads(score, tokenizer, [(p.instruction, p.better, p.worse) for p in known])
    for pair, lead in zip(known, found, strict=True):
        right[pair.category.replace(" ", "_")].append((np.sign(lead) + 1) / 2)
    return {category: float(np.mean(each)) for category, each in right.items()}


def on_comparisons(
    score: Scores, tokenizer: PreTrainedTokenizerBase, pairs: list[Comparison]
) -> dict[str, float]:
    """Accuracy on annotators' labels, expected over their noise, its ceiling, and against gold.

    normalised: how far from a coin (0) to the ceiling (1) the accuracy lies.
    """
    found = leads(score, tokenizer, [(c.instruction, c.first, c.second) for c in pairs])
    gaps = [c.gap for c in pairs]
    accuracy = expected_accuracy(found, gaps, CROWD.temperature)
    ceiling = accuracy_ceiling(gaps, CROWD.temperature)
    return {
        "accuracy": accuracy,
        "ceiling": ceiling,
        "normalised": (accuracy - 0.5) / (ceiling - 0.5),
        "gold_accuracy": win_rate(found * np.sign(gaps), np.zeros(len(gaps))).mean,
    }


@study(
    "reward_blindness",
    "what does a reward model see, by how often polite replies are wrong in the comparisons?",
    inventive=INVENTIVE, head=HEADS,
)  # fmt: skip
def seen_by(profile: Profile, seed: int, inventive: float, head: str) -> dict[str, float]:
    """A reward model of one kind, from comparisons with polite wrong replies at this weight.

    Held-out comparisons, of held-out phrasings, are drawn with the same weight. The bench does not
    change with it.
    """
    start, qualities = Start.tuned(profile, seed), {**COMPARED, "inventive": inventive}
    pairs = comparisons(profile.comparisons, "train", seed, qualities=qualities)
    score = HEADS[head](start, pairs)
    columns = {"share": float(np.mean([politely_wrong(pair) for pair in pairs]))}
    columns |= on_bench(score, start.tokenizer)
    n = TESTS * profile.eval_prompts
    tests = comparisons(n, "phrasings", seed=11, qualities=qualities)
    clear = [pair for pair in tests if pair.gap]
    return {**columns, **on_comparisons(score, start.tokenizer, clear)}
