"""Studies of instruction tuning: its spread over seeds, how much data, and its variants."""

from __future__ import annotations

import time
from dataclasses import replace

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.algorithms.sft import train_sft
from minialign.core.batching import Row
from minialign.core.models.loading import add_lora, load_policy
from minialign.course.profiles import Profile
from minialign.course.stages.presets import sft_config
from minialign.course.stages.recipes import demonstration_rows
from minialign.course.studies import Point, Study
from minialign.evaluate.village import judge
from minialign.variants.methods import REGISTRY
from minialign.world import tasks
from minialign.world.demonstrations import demonstrations

NARROW = ("fact", "add", "opposite")  # the families of a narrow data set
SIZES = (50, 200, 1000, 5000)  # demonstrations, after LIMA's question (arXiv:2305.11206)
DATA_STEPS = 200  # updates at every size, so that only the data differ


def assess(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, profile: Profile, seed: int
) -> dict[str, float]:
    """Following and stopping, greedy, on held-out phrasings and held-out families; flaws, sampled.

    What a model can do shows in its likeliest reply; how it behaves shows in what it samples.
    """
    found: dict[str, float] = {}
    for name, split, temperature, columns in (
        ("phrasings", "phrasings", 0.0, ("follows", "stops", "tokens")),
        ("test", "test", 0.0, ("follows", "stops")),
        ("families", "families", 0.0, ("follows", "stops")),
        ("sampled", "test", 1.0, ("follows", "any", "rude", "untrue")),
    ):
        judged = judge(
            policy,
            tokenizer,
            tasks.instructions(profile.eval_prompts, split),
            max_new_tokens=profile.max_new_tokens,
            temperature=temperature,
            seed=seed,
        )
        found |= {f"{name}_{column}": float(judged[column].mean()) for column in columns}
    return found


def _seed_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"seed": seed} for seed in range(seeds)]


def _measure_seed(profile: Profile, point: Point) -> dict[str, float]:
    policy, tokenizer = load_policy(profile.model)
    rows = demonstration_rows(tokenizer, profile.examples, seed=point["seed"])
    history = train_sft(policy, tokenizer, rows, sft_config(profile, point["seed"]))
    return {**assess(policy, tokenizer, profile, point["seed"]), "loss": history.last("loss")}


def _data_points(profile: Profile, seeds: int) -> list[Point]:
    sizes = SIZES if profile.examples >= 1000 else (50, 100)
    return [
        {"kind": kind, "examples": n, "seed": seed}
        for seed in range(seeds)
        for n in sizes
        for kind in ("diverse", "narrow")
    ]


def _data_rows(tokenizer: PreTrainedTokenizerBase, point: Point) -> list[Row]:
    """The first `examples` demonstrations, of all families or of a narrow few."""
    n = point["examples"]
    if point["kind"] == "diverse":
        return demonstration_rows(tokenizer, n, seed=point["seed"])
    families = len(tasks.families("train"))
    drawn = demonstrations(n * families // len(NARROW) + families, "train", point["seed"])
    kept = [d for d in drawn if d.instruction.family in NARROW][:n]
    return [encode(tokenizer, d.instruction.prompt, d.completion) for d in kept]


def _measure_data(profile: Profile, point: Point) -> dict[str, float]:
    policy, tokenizer = load_policy(profile.model)
    config = sft_config(profile, point["seed"])
    config = replace(config, steps=min(DATA_STEPS, config.steps))
    train_sft(policy, tokenizer, _data_rows(tokenizer, point), config)
    return assess(policy, tokenizer, profile, point["seed"])


def _variant_points(profile: Profile, seeds: int) -> list[Point]:
    return [{"method": name, "seed": seed} for seed in range(seeds) for name in REGISTRY_NAMES]


REGISTRY_NAMES = tuple(m.name for m in REGISTRY.values() if m.loop == "train_sft")


def _measure_variant(profile: Profile, point: Point) -> dict[str, float]:
    """One method of the registry at the same number of updates; LoRA at three times the rate."""
    policy, tokenizer = load_policy(profile.model)
    rows = demonstration_rows(tokenizer, profile.examples, seed=point["seed"])
    config = replace(sft_config(profile, point["seed"]), **REGISTRY[point["method"]].settings)
    config = replace(config, steps=min(DATA_STEPS, config.steps))
    if point["method"] == "lora":
        policy = add_lora(policy, rank=16, seed=point["seed"])
        config = replace(config, learning_rate=3 * config.learning_rate)
    start = time.time()
    train_sft(policy, tokenizer, rows, config)
    seconds = time.time() - start
    return {**assess(policy, tokenizer, profile, point["seed"]), "train_seconds": seconds}


STUDIES = {
    "sft_seeds": Study(
        "how much does instruction tuning vary over seeds?", _seed_points, _measure_seed
    ),
    "sft_data": Study(
        "how many demonstrations, and how diverse, does it take?", _data_points, _measure_data
    ),
    "sft_variants": Study(
        "what do the variants of instruction tuning change?", _variant_points, _measure_variant
    ),
}
