"""How the cost of each loop grows, and how much of the machine's matmul limit it reaches.

    python -m benchmarks.scaling

One thing at a time grows around a base point: sequences of a step, tokens of a sequence,
completions of a group (GRPO alone has groups; its prompts stay as many), and parameters. Models are
random, of tiny-base's kind and size, narrower and wider. Half of a sequence is its prompt. Rows are
random tokens; for GRPO and PPO prompts have an exact length and no end of a turn is ever drawn, so
that every sequence of a point has the same length. PPO passes twice over a rollout, in four
minibatches, and GRPO once: the defaults.

A step is timed from one call of `on_step` to the next, which leaves out the first step and what
comes before it, such as the reading of the reference by DPO. The exponent of an axis is the slope
of log seconds over log size, fitted to the medians: 1 where the cost is proportional, less where a
fixed cost is shared. The share is the FLOPs that a step needs (`benchmarks.flops`) per second, over
the FLOPs per second of one large product of two matrices in the precision of the loops, measured
before and after. On a busy machine take `--threads 1 --cpu-time`: seconds of this process in place
of seconds on the wall.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from random import Random

import pandas as pd
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.flops import Batch, Costs, done, needed
from benchmarks.records import Places, replace_rows
from benchmarks.report import machine
from benchmarks.sampling import NeverStop
from benchmarks.scaling_report import write
from minialign.algorithms.dpo import DpoConfig, train_dpo
from minialign.algorithms.grpo import GrpoConfig, train_grpo
from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.algorithms.reward_model import RewardConfig, train_reward
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.batching import Row
from minialign.core.models import fast_dtype
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.models.loading import load_policy, parameter_counts
from minialign.core.tokens import end_ids, prompt_ids

HEAD_WIDTH = 32
MATRIX = 2048  # rows and columns of the product that is the limit
WORDS = ("a", "is", "red")  # one token of tiny-base each, wherever they stand


@dataclass(frozen=True)
class Size:
    """Of a model like tiny-base, whose second version had width 192 and 5 layers."""

    width: int
    layers: int


@dataclass(frozen=True)
class Point:
    """What a step trains on."""

    sequences: int = 16
    length: int = 64  # tokens of a sequence, half of them its prompt
    group_size: int = 4  # of GRPO
    size: Size = Size(192, 5)

    def batch(self, loop: str) -> Batch:
        """How a loop divides it into prompts and completions."""
        shared = {"reward model": 2, "dpo": 2, "grpo": self.group_size}.get(loop, 1)
        prompt = self.length // 2
        return Batch(self.sequences, self.sequences // shared, prompt, self.length - prompt)


BASE = Point()
AXES = {
    "sequences": [8, 16, 32, 64],
    "length": [32, 64, 128, 256],
    "group_size": [2, 4, 8, 16],
    "size": [Size(128, 3), Size(192, 5), Size(320, 7), Size(512, 9)],
}
QUICK_BASE = Point(8, 16, 2, Size(64, 1))
QUICK = {
    "sequences": [8, 16],
    "length": [16, 32],
    "group_size": [2, 4],
    "size": [Size(64, 1), Size(64, 2)],
}


def points(loop: str, base: Point, axes: Mapping[str, list]) -> Iterator[tuple[str, Point]]:
    """(axis, point) of a loop, one thing changed at a time."""
    for axis, values in axes.items():
        if axis == "group_size" and loop != "grpo":
            continue
        for value in values:
            point = replace(base, **{axis: value})
            if axis == "group_size":  # as many prompts, and more completions of each
                point = replace(point, sequences=base.sequences // base.group_size * value)
            yield axis, point


def random_policy(like: PreTrainedModel, size: Size) -> PreTrainedModel:
    """A policy of tiny-base's kind with random weights."""
    config = copy.deepcopy(like.config)
    config.hidden_size, config.num_hidden_layers = size.width, size.layers
    config.num_attention_heads = config.num_key_value_heads = size.width // HEAD_WIDTH
    config.intermediate_size = HEAD_WIDTH * round(size.width * 8 / 3 / HEAD_WIDTH)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


def rows_after(prompts: int, each: int, batch: Batch, vocabulary: int) -> list[tuple[Row, ...]]:
    """For each prompt some completions, all of random tokens."""
    rng = Random(0)

    def ids(count: int) -> list[int]:
        return rng.choices(range(vocabulary // 2, vocabulary), k=count)  # no special token

    asked = [ids(batch.prompt_length) for _ in range(prompts)]
    return [tuple(Row(ask, ids(batch.completion_length)) for _ in range(each)) for ask in asked]


def prompts_of(tokenizer: PreTrainedTokenizerBase, count: int, length: int) -> list[dict[str, str]]:
    """Rows with one prompt each, which has a number of tokens in the chat format.

    Raises:
        ValueError: if the chat format leaves no prompt of that length.
    """
    rng, known = Random(0), len(prompt_ids(tokenizer, WORDS[0])) - 1
    texts = [" ".join(rng.choices(WORDS, k=length - known)) for _ in range(count)]
    found = {len(prompt_ids(tokenizer, text)) for text in texts}
    if length <= known or found != {length}:
        raise ValueError(
            f"prompts of {length} tokens came out as {sorted(found)}; the chat format takes "
            f"{known}, so ask for more, and for WORDS that are one token each"
        )
    return [{"prompt": text} for text in texts]


def train(
    loop: str,
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    point: Point,
    steps: int,
    on_step: Callable[[dict], None] | None = None,
) -> None:
    """Train with a loop for some steps at a point."""
    batch = point.batch(loop)
    if loop in ("grpo", "ppo"):
        rows = prompts_of(tokenizer, batch.prompts, batch.prompt_length)
        shared = {"steps": steps, "prompts": batch.prompts}
        shared["max_new_tokens"] = batch.completion_length
        with NeverStop(policy, end_ids(tokenizer, policy)):
            if loop == "grpo":
                config = GrpoConfig(**shared, group_size=point.group_size)
                train_grpo(policy, tokenizer, rows, characters, config, on_step=on_step)
            else:
                critic, config = ValueModel.from_policy(policy), PpoConfig(**shared)
                train_ppo(
                    policy, tokenizer, rows, characters, config, value_model=critic, on_step=on_step
                )
        return
    each = batch.sequences // batch.prompts
    rows = rows_after(batch.prompts, each, batch, policy.config.vocab_size)
    shared = {"steps": steps, "batch_size": len(rows)}
    if loop == "sft":
        rows = [row for (row,) in rows]
        train_sft(policy, tokenizer, rows, SftConfig(**shared), on_step=on_step)
    elif loop == "dpo":
        train_dpo(policy, tokenizer, rows, DpoConfig(**shared), on_step=on_step)
    else:
        model = RewardModel.from_policy(policy)
        train_reward(model, tokenizer, rows, RewardConfig(**shared), on_step=on_step)


def characters(completions: Sequence[str], **columns: object) -> list[float]:
    """A reward that differs between completions."""
    return [len(text) / 100 for text in completions]


LOOPS = ("sft", "reward model", "dpo", "grpo", "ppo")


def seconds_of_steps(
    loop: str,
    like: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    point: Point,
    repeats: int,
    clock: Callable[[], float],
) -> list[float]:
    """Seconds of each step after the first."""
    ends: list[float] = []
    policy = random_policy(like, point.size)
    train(loop, policy, tokenizer, point, repeats + 1, lambda _: ends.append(clock()))
    return [after - before for before, after in pairwise(ends)]


def matmul_limit(repeats: int, clock: Callable[[], float]) -> list[float]:
    """FLOPs per second of a large product of matrices in the precision of the loops."""
    dtype, rates = fast_dtype(torch.device("cpu")), []
    a, b = (torch.randn(MATRIX, MATRIX).to(dtype) for _ in range(2))
    for _ in range(repeats + 1):
        start = clock()
        a.matmul(b)
        rates.append(2 * MATRIX**3 / (clock() - start))
    return rates[1:]


def measure(
    loop: str,
    like: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    base: Point,
    axes: Mapping[str, list],
    repeats: int,
    clock: Callable[[], float],
) -> list[dict[str, object]]:
    """A row for each timed step of a loop at each of its points; the base point is timed once."""
    records, timed, epochs = [], {}, PpoConfig().epochs if loop == "ppo" else GrpoConfig().epochs
    for axis, point in points(loop, base, axes):
        if point not in timed:
            timed[point] = seconds_of_steps(loop, like, tokenizer, point, repeats, clock)
        policy, batch = random_policy(like, point.size), point.batch(loop)
        about = {
            "loop": loop, "axis": axis, "base": point == base, **asdict(batch),
            "group_size": point.group_size, "parameters": parameter_counts(policy)[1],
            "tokens": batch.sequences * batch.length,
            "needed": needed(loop, Costs.of(policy), batch, epochs),
        }  # fmt: skip
        records += [about | {"step": i, "seconds": s} for i, s in enumerate(timed[point], 2)]
    return records


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=LOOPS, help="these alone")
    parser.add_argument("--repeats", type=int, default=5, help="timed steps of each point")
    parser.add_argument("--quick", action="store_true", help="small points, to see that it runs")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu-time", action="store_true", help="count seconds of this process")
    parser.add_argument("--into", type=Path, help="write section, CSV and figure into this folder")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    """Measure every loop at every point, and write the section anew."""
    options = arguments(given)
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    base, axes = (QUICK_BASE, QUICK) if options.quick else (BASE, AXES)
    like, tokenizer = load_policy()
    start, before, records = time.perf_counter(), matmul_limit(5, clock), []
    for loop in options.loops:

        def steps(count: int, loop: str = loop) -> None:
            train(loop, random_policy(like, base.size), tokenizer, base, count)

        at_base = {"done": done(steps)}
        measured = measure(loop, like, tokenizer, base, axes, options.repeats, clock)
        records += [record | at_base for record in measured]
        print(f"{loop}: done after {time.perf_counter() - start:.0f} s", flush=True)
    after = matmul_limit(5, clock)
    about = {
        "limit_before": max(before), "limit_after": max(after),
        "precision": str(fast_dtype(like.device)).removeprefix("torch."),
        "clock": "process" if options.cpu_time else "wall", "machine": machine(options.threads),
    }  # fmt: skip
    places = Places.of("scaling", options.into)
    write(replace_rows(pd.DataFrame(records).assign(**about), places.records), places)
    print(f"written: {places.results}")


if __name__ == "__main__":
    main()
