"""Load a policy, freeze a reference, add LoRA adapters; any causal language model will do."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from minialign.data import data_folder

PAD = "<|pad|>"
ATTENTION = {"cpu": "eager"}  # fused attention is slow backwards there, half as fast in bfloat16


def model_path(name: str | Path) -> str:
    """The folder of a model that the course ships ("tiny-base"), else the name itself."""
    shipped = data_folder() / "models" / str(name)
    return str(shipped if shipped.is_dir() else name)


def load_policy(
    name: str | Path = "tiny-base",
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model and its tokenizer, ready to be trained.

    Args:
        name: "tiny-base", a local folder, or a model of the Hugging Face hub.
        device: where to put it.
        dtype: of the weights.

    Returns:
        (policy, tokenizer). Dropout is off for good, since ratios of logprobs are compared; the pad
        token differs from EOS, since a masked EOS would never be learnt.
    """
    path = model_path(name)
    tokenizer = AutoTokenizer.from_pretrained(path)
    attention = ATTENTION.get(torch.device(device).type, "sdpa")
    policy = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation=attention)
    if tokenizer.pad_token is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        tokenizer.add_special_tokens({"pad_token": PAD})
        if len(tokenizer) > policy.get_input_embeddings().num_embeddings:
            policy.resize_token_embeddings(len(tokenizer))
    policy.config.pad_token_id = tokenizer.pad_token_id
    return disable_dropout(policy).to(device), tokenizer


def disable_dropout(model: PreTrainedModel) -> PreTrainedModel:
    """Set every dropout to 0, in modules, as plain numbers in modules, and in the config."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        _zero_dropout_numbers(module)
    _zero_dropout_numbers(model.config)
    return model


def _zero_dropout_numbers(owner: object) -> None:
    names = [n for n, x in vars(owner).items() if isinstance(x, float)]
    for name in names:
        if any(mark in name for mark in ("dropout", "pdrop", "layerdrop")):
            setattr(owner, name, 0.0)


def frozen_reference(policy: PreTrainedModel) -> PreTrainedModel:
    """A copy of the policy as it is now that no training can change.

    A LoRA policy is merged first: with its adapter only switched off, the reference would be the
    base model and not the model that the training started from.
    """
    reference = copy.deepcopy(policy)
    if hasattr(reference, "merge_and_unload"):
        reference = reference.merge_and_unload()
    return reference.requires_grad_(False).eval()


def add_lora(
    policy: PreTrainedModel, *, rank: int = 8, alpha: float | None = None, seed: int = 0
) -> PreTrainedModel:
    """The policy with low-rank adapters on all linear layers; only they are trained.

    W x becomes W x + (alpha / rank) B A x, with A random and B = 0, so that nothing changes at
    first. Hu et al. 2021, arXiv:2106.09685, section 4.1.

    Args:
        policy: any causal language model.
        rank: inner width of A and B.
        alpha: scale of the update; None is twice the rank.
        seed: of A.
    """
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank if alpha is None else alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():  # the caller's random state stays as it is
        torch.manual_seed(seed)
        return get_peft_model(policy, config)


def parameter_counts(model: torch.nn.Module) -> tuple[int, int]:
    """(trainable, all) parameters."""
    every = list(model.parameters())
    return sum(p.numel() for p in every if p.requires_grad), sum(p.numel() for p in every)
