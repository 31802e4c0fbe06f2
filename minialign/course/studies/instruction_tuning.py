"""Studies of instruction tuning: its spread over seeds, how much data, and its variants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.core.batching import Row
from minialign.core.models.loading import add_lora, load_policy
from minialign.core.tokens import encode
from minialign.course.profiles import Profile
from minialign.course.stages.presets import sft_config
from minialign.course.stages.recipes import demonstration_rows
from minialign.course.studies import Point, study
from minialign.evaluate.village import judge
from minialign.variants import methods
from minialign.world import tasks
from minialign.world.replies.demonstrations import demonstrations

RowsOf = Callable[[PreTrainedTokenizerBase], list[Row]]

NARROW = ("fact", "add", "opposite")  # the families of a narrow data set
SIZES = (50, 200, 1000, 5000)  # demonstrations, after LIMA's question (arXiv:2305.11206)
DATA_STEPS = 200  # updates at every size, so that only the data differ
METHODS = [one.name for one in methods.registry().values() if one.notebook == 1]
# Prefix of the columns -> split, temperature, what is judged. What a model can do shows in its
# likeliest reply; how it behaves shows in what it samples.
ASSESSED = {
    "phrasings": ("phrasings", 0.0, ("follows", "stops", "tokens")),
    "test": ("test", 0.0, ("follows", "stops")),
    "families": ("families", 0.0, ("follows", "stops")),
    "sampled": ("test", 1.0, ("follows", "any", "rude", "untrue")),
}


def assess(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, profile: Profile, seed: int
) -> dict[str, float]:
    """Following and stopping, greedy, on held-out phrasings and held-out families; flaws, sampled.

    Columns are those of `ASSESSED`, prefixed, and families_follows_NAME for each held-out family:
    pretraining has read questions of two of them and none of the third.
    """
    means: dict[str, float] = {}
    for name, (split, temperature, columns) in ASSESSED.items():
        judged = judge(
            policy, tokenizer, tasks.instructions(profile.eval_prompts, split),
            max_new_tokens=profile.max_new_tokens, temperature=temperature, seed=seed,
        )  # fmt: skip
        means |= {f"{name}_{column}": float(judged[column].mean()) for column in columns}
        if split == "families":
            each = judged.groupby("family")["follows"].mean()
            means |= {f"{name}_follows_{family}": float(share) for family, share in each.items()}
    return means


def _tune(
    profile: Profile, seed: int, rows_of: RowsOf | None = None, *, method: str = "sft",
    steps: int | None = None, with_loss: bool = False,
) -> dict[str, float]:  # fmt: skip
    """What `assess` finds of the tuned model, and if asked its last loss.

    It learns from `rows_of`, or from the profile's number of demonstrations, by a method of the
    registry, in `steps` at most; an adapter learns at three times the rate.
    """
    policy, tokenizer = load_policy(profile.model)
    rows_of = rows_of or partial(demonstration_rows, n=profile.examples, seed=seed)
    rows = rows_of(tokenizer)
    config = sft_config(profile, seed)
    config = replace(config, steps=min(steps or config.steps, config.steps))
    if method == "lora":
        policy = add_lora(policy, rank=16, seed=seed)
        config = replace(config, learning_rate=3 * config.learning_rate)
    history = methods.method(method).trainer()(policy, tokenizer, rows, config)
    loss = {"loss": history.last("loss")} if with_loss else {}
    return {**assess(policy, tokenizer, profile, seed), **loss}


@study("sft_seeds", "how much does instruction tuning vary over seeds?")
def seed_alone(profile: Profile, seed: int) -> dict[str, float]:
    """The stage's own run, with its last loss."""
    return _tune(profile, seed, with_loss=True)


def _amounts(profile: Profile) -> list[Point]:
    sizes = SIZES if profile.examples >= 1000 else (50, 100)
    return [{"kind": kind, "examples": n} for n in sizes for kind in ("diverse", "narrow")]


@study("sft_data", "how many demonstrations, and how diverse, does it take?", _amounts)
def amount_of_data(profile: Profile, seed: int, kind: str, examples: int) -> dict[str, float]:
    """The first `examples` demonstrations, of all families or of a narrow few."""

    def rows_of(tokenizer: PreTrainedTokenizerBase) -> list[Row]:
        if kind == "diverse":
            return demonstration_rows(tokenizer, examples, seed=seed)
        families = len(tasks.families("train"))
        drawn = demonstrations(examples * families // len(NARROW) + families, "train", seed)
        narrow = [d for d in drawn if d.instruction.family in NARROW][:examples]
        return [encode(tokenizer, d.instruction.prompt, d.completion) for d in narrow]

    return _tune(profile, seed, rows_of, steps=DATA_STEPS)


@study("sft_variants", "what do the variants of instruction tuning change?", method=METHODS)
def variant(profile: Profile, seed: int, method: str) -> dict[str, float]:
    """One method of the registry at the same number of updates."""
    return _tune(profile, seed, method=method, steps=DATA_STEPS)
