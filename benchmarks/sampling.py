"""Sampling speed: `minialign.core.sampling.sample` against `transformers.generate` on tiny-base.

    python -m benchmarks.sampling --repeats 5

Two workloads: completions of equal length (EOS is never drawn), where only the cost of a step
counts; and the course's own mix of lengths, held-out instructions with one and with eight
completions each, where finished rows leave the batch and a group shares its prompt's prefill. The
mix is that of tiny-base after a short fine-tuning, since the base model hardly ever stops. Both
draw at temperature 1 without top-k and top-p, and both are counted in sampled tokens per second, up
to EOS. `sample` returns logprobs too, `generate` is not asked for any. The two take turns, and each
ratio is a median over the repeats. On a busy machine take `--threads 1 --cpu-time`: seconds of
this process in place of seconds on the wall.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.models.loading import load_policy
from minialign.core.sampling import sample
from minialign.core.tokens import encode, prompt_ids
from minialign.world.replies.demonstrations import demonstrations
from minialign.world.tasks import instructions


@dataclass(frozen=True)
class Workload:
    """What is sampled: P prompts, G completions of each, at most max_new_tokens long."""

    name: str
    prompts: list[str]
    group_size: int
    max_new_tokens: int


def ours(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, work: Workload, seed: int
) -> int:
    """Sample with minialign; returns the tokens sampled."""
    rollout = sample(
        policy,
        tokenizer,
        work.prompts,
        group_size=work.group_size,
        max_new_tokens=work.max_new_tokens,
        generator=torch.Generator(policy.device).manual_seed(seed),
    )
    return int(rollout.lengths.sum())


def theirs(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, work: Workload, seed: int
) -> int:
    """Sample with transformers, prompts padded on the left; returns the tokens sampled."""
    torch.manual_seed(seed)
    rows = [prompt_ids(tokenizer, prompt) for prompt in work.prompts]
    width = max(map(len, rows))
    pad = tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    out = policy.generate(
        input_ids=ids.to(policy.device),
        attention_mask=mask.to(policy.device),
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        num_return_sequences=work.group_size,
        max_new_tokens=work.max_new_tokens,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=pad,
    )[:, width:]
    tokenizer.batch_decode(out, skip_special_tokens=True)  # `sample` returns texts too
    ended = (out == tokenizer.eos_token_id).long().cumsum(1)
    return int(((ended == 0) | ((ended == 1) & (out == tokenizer.eos_token_id))).sum())


def tokens_per_second(work: Callable[[], int], clock: Callable[[], float]) -> float:
    """Tokens sampled per second of a clock."""
    start = clock()
    tokens = work()
    return tokens / (clock() - start)


class NeverStop:
    """While it is open, the model gives EOS the lowest of all logits."""

    def __init__(self, policy: PreTrainedModel, eos: int) -> None:
        def lower(module: torch.nn.Module, inputs: tuple, logits: torch.Tensor) -> torch.Tensor:
            logits[..., eos] = torch.finfo(logits.dtype).min
            return logits

        self.handle = policy.get_output_embeddings().register_forward_hook(lower)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        self.handle.remove()


def compare(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    work: Workload,
    repeats: int,
    clock: Callable[[], float],
) -> float:
    """Print tokens/s of both and return the median ratio of `sample` to `generate`."""
    rates: list[tuple[float, float]] = []
    for seed in range(repeats + 1):
        mine, other = (
            tokens_per_second(lambda f=f, seed=seed: f(policy, tokenizer, work, seed), clock)
            for f in (ours, theirs)
        )
        rates.append((mine, other))
    rates = rates[1:]  # the first warms up
    ratio = statistics.median(mine / other for mine, other in rates)
    mine, other = (statistics.median(column) for column in zip(*rates, strict=True))
    print(f"{work.name:<36} {mine:>9.0f} {other:>9.0f} {ratio:>7.2f}", flush=True)
    return ratio


def fine_tune(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, steps: int) -> None:
    """Teach the policy to answer and to stop."""
    if steps:
        rows = [
            encode(tokenizer, one.instruction.prompt, one.completion)
            for one in demonstrations(1000, "train", 0)
        ]
        train_sft(policy, tokenizer, rows, SftConfig(steps=steps))
    policy.eval()


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny-base")
    parser.add_argument("--sft-steps", type=int, default=100, help="of fine-tuning beforehand")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu-time", action="store_true", help="count seconds of this process")
    return parser.parse_args()


def main() -> None:
    """Run every workload and print one line each."""
    options = arguments()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    policy, tokenizer = load_policy(options.model)
    fine_tune(policy, tokenizer, options.sft_steps)
    asked = [one.prompt for one in instructions(options.prompts, "test", 0)]
    new = options.max_new_tokens
    print(f"{'tokens per second':<36} {'sample':>9} {'generate':>9} {'ratio':>7}")
    with NeverStop(policy, tokenizer.eos_token_id):
        for group in (1, 8):
            part = asked[: max(1, len(asked) // group)]
            work = Workload(f"equal lengths, {len(part)} prompts x {group}", part, group, new)
            compare(policy, tokenizer, work, options.repeats, clock)
    for group in (1, 8):
        work = Workload(f"mixed lengths, {len(asked)} prompts x {group}", asked, group, new)
        compare(policy, tokenizer, work, options.repeats, clock)


if __name__ == "__main__":
    main()
