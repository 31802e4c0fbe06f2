"""A language model of eight tokens whose completions can be enumerated, for the loops themselves.

The model is a real one, which the loops sample from and train; its completions of one prompt have
two tokens at most. `world_of` copies its next-token distributions into `exact.TabularPolicy`, where
every expectation is a finite sum, and `to_parameters` carries a gradient back.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from tiny_models import tiny_llama
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from minialign.core.tokens import prompt_ids
from minialign.evaluate.exact import TabularPolicy

LENGTH = 2  # tokens of a completion at most
PROMPT = "a"
SPECIAL = ["<pad>", "<bos>", "<eos>", "<user>", "<assistant>"]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<' + message['role'] + '>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)


@lru_cache
def tokenizer() -> PreTrainedTokenizerFast:
    words = {word: i for i, word in enumerate([*SPECIAL, "a", "b", "c"])}
    core = Tokenizer(models.WordLevel(words, unk_token="c"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        extra_special_tokens=["<user>", "<assistant>"],
        chat_template=TEMPLATE,
    )


def small_policy(seed: int = 0) -> LlamaForCausalLM:
    """Lively enough that its next-token distributions are far from uniform."""
    words = tokenizer()
    ids = {f"{n}_token_id": getattr(words, f"{n}_token_id") for n in ("pad", "bos", "eos")}
    return tiny_llama(seed, vocab_size=len(words), **ids)


def table(policy: LlamaForCausalLM) -> Tensor:
    """(prefixes, V) next-token logits in the order of `TabularPolicy.prefixes`; differentiable."""
    world = TabularPolicy(len(tokenizer()), LENGTH, eos=tokenizer().eos_token_id)
    start = prompt_ids(tokenizer(), PROMPT)
    rows = []
    for prefix in world.prefixes():
        rows.append(policy(torch.tensor([[*start, *prefix]])).logits[0, -1])
    return torch.stack(rows)


def world_of(policy: LlamaForCausalLM) -> TabularPolicy:
    """The same distribution over completions as a table, in float64."""
    words = tokenizer()
    world = TabularPolicy(len(words), LENGTH, eos=words.eos_token_id)
    with torch.no_grad():
        world.logits.copy_(table(policy).double())
    return world


def to_parameters(policy: LlamaForCausalLM, gradient: Tensor) -> Tensor:
    """A gradient in the table's logits, flat, as one in the policy's parameters, flat."""
    logits = table(policy)
    found = torch.autograd.grad(
        logits, list(policy.parameters()), gradient.view_as(logits).float(), allow_unused=True
    )
    return torch.cat(
        [
            (torch.zeros_like(p) if g is None else g).flatten()
            for p, g in zip(policy.parameters(), found, strict=True)
        ]
    )
