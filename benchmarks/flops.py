"""Floating-point operations that a step of each loop needs, whatever its code makes of them.

A forward pass multiplies every token by every weight of the body's matrices and looks, in every
layer, at the sequence that the token stands in; the head multiplies where a token is predicted:

    tokens * (2 * body parameters + 4 * layers * heads * head width * sequence length)
    + predicted tokens * 2 * head parameters

A backward pass needs twice as much. This is Kaplan et al. 2020, arXiv:2001.08361, table 1, with the
attention over the whole sequence as in Chowdhery et al. 2022 (PaLM), arXiv:2204.02311, appendix B,
where the operations needed, over those that the hardware could have done meanwhile, are called the
model FLOPs utilisation. What is needed is counted, not what is done: a prompt that several
completions share counts once, padding and the head on the prompt's tokens not at all. Embeddings,
norms, softmax and the optimizer are left out, as there.

With F for the policy's forward pass over a batch and V for that of a model without a language
model's head (reward model, critic), a step needs

    sft           3 F                   dpo   3 F (the reference is read before the first step)
    reward model  3 V
    grpo          F to sample + F of the reference + epochs * 3 F
    ppo           F to sample + F of the reference + V of the critic + epochs * 3 (F + V)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from minialign.core.models.architecture import body_of, text_config


@dataclass(frozen=True)
class Costs:
    """What a model's forward pass needs, in FLOPs."""

    body: int  # per token
    attention: int  # per token and token of its sequence
    head: int  # per predicted token

    @classmethod
    def of(cls, policy: PreTrainedModel) -> Costs:
        """Those of a decoder whose matrices are `torch.nn.Linear`, such as Llama."""
        config = text_config(policy)
        linear = [m for m in body_of(policy).modules() if isinstance(m, torch.nn.Linear)]
        width = getattr(config, "head_dim", None) or (
            config.hidden_size // config.num_attention_heads
        )
        return cls(
            body=2 * sum(layer.weight.numel() for layer in linear),
            attention=4 * config.num_hidden_layers * config.num_attention_heads * width,
            head=2 * policy.get_output_embeddings().weight.numel(),
        )

    def forward(self, tokens: int, length: int, predicted: int = 0) -> int:
        """Of a pass over tokens in sequences of a length."""
        return tokens * (self.body + self.attention * length) + predicted * self.head


@dataclass(frozen=True)
class Batch:
    """Sequences of a step, all of one length."""

    sequences: int
    prompts: int  # different ones
    prompt_length: int
    completion_length: int

    @property
    def length(self) -> int:
        """Tokens of a sequence."""
        return self.prompt_length + self.completion_length


def needed(loop: str, costs: Costs, batch: Batch, epochs: int = 1) -> int:
    """FLOPs that a step of a loop needs; see the head of this file.

    Raises:
        ValueError: if the loop has another name than sft, reward model, dpo, grpo or ppo.
    """
    predicted = batch.sequences * batch.completion_length
    tokens = batch.prompts * batch.prompt_length + predicted
    policy = costs.forward(tokens, batch.length, predicted)
    scored = costs.forward(tokens, batch.length)
    steps = {
        "sft": 3 * policy,
        "reward model": 3 * scored,
        "dpo": 3 * policy,
        "grpo": 2 * policy + epochs * 3 * policy,
        "ppo": 2 * policy + scored + epochs * 3 * (policy + scored),
    }
    if loop not in steps:
        raise ValueError(f"loop is {loop!r}; use one of {', '.join(steps)}")
    return steps[loop]


def done(run: Callable[[int], object]) -> int:
    """FLOPs of the matrix products that a step does, as torch counts them.

    Args:
        run: trains for a number of steps, anew at each call; what comes before the first step is
            not counted.
    """
    totals = []
    for steps in (1, 2):
        with FlopCounterMode(display=False) as counter:
            run(steps)
        totals.append(counter.get_total_flops())
    return totals[1] - totals[0]
