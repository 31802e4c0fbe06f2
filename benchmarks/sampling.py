"""Sampling speed: `minialign.core.sampling.sample` against `transformers.generate` and its floor.

    python -m benchmarks.sampling
    python -m benchmarks.sampling --model smollm2-135m-instruct

Two workloads: completions of equal length (no end of turn is ever drawn), where only the cost of a
step counts; and a mix of lengths, held-out instructions with one and with eight completions each,
where finished rows leave the batch and a group shares its prompt's prefill. The mix is that of
tiny-base after a short fine-tuning, since the base model hardly ever stops; other models are taken
as they are.

The floor is one forward pass without gradients over the same tokens: all prompts once, and every
sampled token, as many rows at a time as the warm-up found fastest. It reads many tokens with each
reading of a weight; a sampler reads all weights anew for one more token of each row. The other
completions of a group stand alone in it, without the attention to their prompt, which is some 2% of
the arithmetic of tiny-base and less of a larger model. The head multiplies where a sampled token is
predicted and nowhere else.

Both samplers draw at temperature 1 without top-k and top-p. All three are counted in sampled tokens
per second, ends included. `sample` returns logprobs too, `generate` is not asked for any. They take
turns, the first turn warms up, and each ratio is taken within a turn. `--fast-matmul` multiplies as
the training loops do, in bfloat16 where the hardware does. On a busy machine take `--threads 1
--cpu-time`: seconds of this process in place of seconds on the wall.

A run replaces the rows of its model and precision in data/runs/bench_sampling.csv; table and figure
show all that is there.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.records import Places, replace_rows
from benchmarks.report import machine
from benchmarks.sampling_report import write
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.batching import Row, collate
from minialign.core.models import fast_dtype, fast_matmul
from minialign.core.models.architecture import body_of, inputs_for
from minialign.core.models.loading import load_policy
from minialign.core.sampling import Rollout, sample
from minialign.core.tokens import encode, end_ids, prompt_ids
from minialign.world.replies.demonstrations import demonstrations
from minialign.world.tasks import instructions

TINY = "tiny-base"
PARTS = (4, 8, 16, 32, 64)  # rows of a forward pass: the fastest is the floor
GROUPS = (1, 8)


@dataclass(frozen=True)
class Workload:
    """What is sampled: P prompts, G completions of each, at most max_new_tokens long."""

    name: str
    prompts: list[str]
    group_size: int
    max_new_tokens: int


def ours(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, work: Workload, seed: int
) -> Rollout:
    """Sample with minialign."""
    return sample(
        policy,
        tokenizer,
        work.prompts,
        group_size=work.group_size,
        max_new_tokens=work.max_new_tokens,
        generator=torch.Generator(policy.device).manual_seed(seed),
    )


def theirs(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, work: Workload, seed: int
) -> int:
    """Sample with transformers, prompts padded on the left; returns the tokens sampled."""
    torch.manual_seed(seed)
    ends = list(end_ids(tokenizer, policy))
    rows = [Row(prompt_ids(tokenizer, prompt), []) for prompt in work.prompts]
    batch = collate(rows, tokenizer.pad_token_id, side="left").to(policy.device)
    out = policy.generate(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        num_return_sequences=work.group_size,
        max_new_tokens=work.max_new_tokens,
        eos_token_id=ends,
        pad_token_id=tokenizer.pad_token_id,
    )[:, batch.input_ids.shape[1] :]
    tokenizer.batch_decode(out, skip_special_tokens=True)  # `sample` returns texts too
    is_end = torch.isin(out, torch.tensor(ends, device=out.device))
    before = is_end.long().cumsum(1) - is_end.long()  # ends before each token
    return int((before == 0).sum())


def floor_rows(rollout: Rollout) -> list[Row]:
    """Every token once: the first completion of a group after its prompt, the others alone."""
    group, rows = rollout.group_size, []
    for i, sampled in enumerate(rollout.completion_ids):
        known = rollout.attention_mask[i].sum() - len(sampled)
        prompt = rollout.input_ids[i, :known].tolist()
        # Something has to predict the first token: the prompt's last one, read again.
        rows.append(Row(prompt if i % group == 0 else prompt[-1:], sampled[:-1]))
    return rows


@torch.no_grad()
def forward(policy: PreTrainedModel, rows: Sequence[Row], pad_id: int, size: int) -> int:
    """One forward pass over rows of `floor_rows`, `size` at a time; returns tokens predicted."""
    body, head, predicted = body_of(policy), policy.get_output_embeddings(), 0
    order = sorted(rows, key=len)
    for start in range(0, len(order), size):
        part = order[start : start + size]
        batch = collate(part, pad_id).to(policy.device)
        hidden = body(**inputs_for(body, batch.input_ids, batch.attention_mask)).last_hidden_state
        first = torch.tensor([len(row.prompt_ids) - 1 for row in part], device=policy.device)
        columns = torch.arange(hidden.shape[1], device=policy.device)
        predicts = batch.attention_mask.bool() & (columns >= first[:, None])
        predicted += len(head(hidden[predicts]))
    return predicted


class NeverStop:
    """While it is open, the model gives the ends of a turn the lowest of all logits."""

    def __init__(self, policy: PreTrainedModel, ends: Sequence[int]) -> None:
        ends = list(ends)

        def lower(module: torch.nn.Module, inputs: tuple, logits: torch.Tensor) -> torch.Tensor:
            logits[..., ends] = torch.finfo(logits.dtype).min
            return logits

        self.handle = policy.get_output_embeddings().register_forward_hook(lower)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        self.handle.remove()


def timed(clock: Callable[[], float], run: Callable, *given: object) -> tuple[Any, float]:
    """What a function returns, and the seconds that it takes."""
    start = clock()
    done = run(*given)
    return done, clock() - start


def compare(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    work: Workload,
    repeats: int,
    clock: Callable[[], float],
) -> pd.DataFrame:
    """Rows of repeat, tool, tokens and seconds: `sample`, `generate` and forward pass in turn."""
    records = []
    for turn in range(repeats + 1):
        rollout, mine = timed(clock, ours, policy, tokenizer, work, turn)
        drawn, other = timed(clock, theirs, policy, tokenizer, work, turn)
        rows = floor_rows(rollout)
        read = partial(forward, policy, rows, tokenizer.pad_token_id)
        if turn == 0:  # it warms up
            fastest = min(PARTS, key=lambda size, read=read: timed(clock, read, size)[1])
            continue
        predicted, least = timed(clock, read, fastest)
        tokens = int(rollout.lengths.sum())
        for tool, count, seconds in (
            ("sample", tokens, mine), ("generate", drawn, other), ("forward", predicted, least)
        ):  # fmt: skip
            records.append({"repeat": turn, "tool": tool, "tokens": count, "seconds": seconds})
    sizes = {"prompts": len(work.prompts), "completions": len(work.prompts) * work.group_size}
    return pd.DataFrame(records).assign(workload=work.name, **sizes)


def fine_tune(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, steps: int) -> None:
    """Teach the policy to answer and to stop."""
    if steps:
        rows = [
            encode(tokenizer, one.instruction.prompt, one.completion)
            for one in demonstrations(1000, "train", 0)
        ]
        train_sft(policy, tokenizer, rows, SftConfig(steps=steps))
    policy.eval()


def workloads(prompts: int, max_new_tokens: int) -> Iterator[tuple[Workload, bool]]:
    """What is sampled, and whether turns may end."""
    asked = [one.prompt for one in instructions(prompts, "test", 0)]
    for group in GROUPS:
        part = asked[: max(1, len(asked) // group)]
        name = f"equal lengths, {_prompts(len(part))} x {group}"
        yield Workload(name, part, group, max_new_tokens), False
    for group in GROUPS:
        name = f"mixed lengths, {_prompts(len(asked))} x {group}"
        yield Workload(name, asked, group, max_new_tokens), True


def _prompts(count: int) -> str:
    return f"{count} prompt{'s' * (count > 1)}"


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=TINY)
    parser.add_argument("--sft-steps", type=int, help="beforehand; 100 for tiny-base, else none")
    parser.add_argument("--prompts", type=int, help="64 for tiny-base, else 8")
    parser.add_argument("--max-new-tokens", type=int, help="64 for tiny-base, else 32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--fast-matmul", action="store_true", help="bfloat16 where it is native")
    parser.add_argument("--cpu-time", action="store_true", help="count seconds of this process")
    parser.add_argument("--into", type=Path, help="write section, CSV and figure into this folder")
    options = parser.parse_args(given)
    tiny = options.model == TINY
    usual = {"sft_steps": (0, 100), "prompts": (8, 64), "max_new_tokens": (32, 64)}
    for name, values in usual.items():
        if getattr(options, name) is None:
            setattr(options, name, values[tiny])
    return options


def main(given: Sequence[str] | None = None) -> None:
    """Run every workload, keep what was measured, and write the section anew."""
    options = arguments(given)
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    policy, tokenizer = load_policy(options.model)
    fine_tune(policy, tokenizer, options.sft_steps)
    multiply = fast_matmul if options.fast_matmul else lambda _: contextlib.nullcontext()
    precision = fast_dtype(policy.device) if options.fast_matmul else torch.float32
    about = {
        "model": options.model,
        "precision": str(precision).removeprefix("torch."),
        "max_new_tokens": options.max_new_tokens,
        "sft_steps": options.sft_steps,
        "clock": "process" if options.cpu_time else "wall",
        "machine": machine(options.threads),
    }
    measured, ends = [], end_ids(tokenizer, policy)
    for work, may_end in workloads(options.prompts, options.max_new_tokens):
        stop = contextlib.nullcontext() if may_end else NeverStop(policy, ends)
        with stop, multiply(policy.device):
            measured.append(compare(policy, tokenizer, work, options.repeats, clock))
        print(f"{work.name}: done", flush=True)
    places = Places.of("sampling", options.into)
    rows = pd.concat(measured).assign(**about)
    write(replace_rows(rows, places.records, ["model", "precision"]), places)
    print(f"written: {places.results}")


if __name__ == "__main__":
    main()
