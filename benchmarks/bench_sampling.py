"""Sampling speed: `minialign.rollout.sample` against `transformers.generate` on tiny-base.

    python benchmarks/bench_sampling.py --repeats 5

Two workloads: completions of equal length (EOS is never drawn), where only the cost of a step
counts; and the course's own mix of lengths, held-out instructions with one and with eight
completions each, where finished rows leave the batch and a group shares its prompt's prefill. Both
draw at temperature 1 without top-k and top-p, and both are counted in sampled tokens per second, up
to EOS. `sample` returns logprobs too, `generate` is not asked for any. The two take turns, and each
ratio is a median over the repeats.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from minialign.batching import prompt_ids
from minialign.models import load_policy
from minialign.rollout import sample
from minialign.world.tasks import instructions


@dataclass(frozen=True)
class Workload:
    """What is sampled: P prompts, G completions of each, at most max_new_tokens long."""

    name: str
    prompts: list[str]
    group_size: int
    max_new_tokens: int
    stops: bool = True  # False: EOS is never drawn, so all completions are equally long


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


def tokens_per_second(work: Callable[[], int]) -> float:
    """Tokens sampled per second of wall clock."""
    start = time.perf_counter()
    tokens = work()
    return tokens / (time.perf_counter() - start)


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
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, work: Workload, repeats: int
) -> float:
    """Print tokens/s of both and return the median ratio of `sample` to `generate`."""
    rates: list[tuple[float, float]] = []
    for seed in range(repeats + 1):  # the first warms up
        pair = [
            tokens_per_second(lambda f=f, seed=seed: f(policy, tokenizer, work, seed))
            for f in (ours, theirs)
        ]
        rates.append((pair[0], pair[1]))
    rates = rates[1:]
    ratio = statistics.median(a / b for a, b in rates)
    mine, other = (statistics.median(column) for column in zip(*rates, strict=True))
    print(f"{work.name:<44} {mine:>9.0f} {other:>9.0f} {ratio:>7.2f}", flush=True)
    return ratio


def main() -> None:
    """Run every workload and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny-base")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    policy, tokenizer = load_policy(options.model)
    policy.eval()
    asked = [one.prompt for one in instructions(options.prompts, "test", 0)]
    new = options.max_new_tokens
    print(f"{'tokens per second':<44} {'sample':>9} {'generate':>9} {'ratio':>7}")
    with NeverStop(policy, tokenizer.eos_token_id):
        for group in (1, 8):
            part = asked[: len(asked) // group]
            name = f"equal lengths, {len(part)} prompts x {group}"
            compare(policy, tokenizer, Workload(name, part, group, new, False), options.repeats)
    for group in (1, 8):
        name = f"mixed lengths, {len(asked)} prompts x {group}"
        compare(policy, tokenizer, Workload(name, asked, group, new), options.repeats)


if __name__ == "__main__":
    main()
