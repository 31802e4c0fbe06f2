"""Loading, dropout, the frozen reference and adapters."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_models import (
    FAMILIES,
    IDS,
    MASK,
    gpt2_with_dropout,
    small_tokenizer,
    tiny,
    tiny_llama,
    train_a_little,
    without_pad_in_vocabulary,
)
from transformers import OPTConfig, OPTForCausalLM

from minialign.core.logprobs import token_logprobs
from minialign.core.models import frozen_reference, loading
from minialign.core.models.architecture import disable_dropout
from minialign.core.models.loading import (
    add_lora,
    load_policy,
    model_path,
    parameter_counts,
)
from minialign.system import hub


def saved(folder, model, pad: str | None):
    """A model folder whose tokenizer has the given pad token."""
    tokenizer = copy.deepcopy(small_tokenizer())
    tokenizer.pad_token = pad
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


# --- loading


@pytest.mark.parametrize("pad", [None, "<|eos|>"])
def test_pad_differs_from_eos(tmp_path, pad):
    """Traps 12 and 47: with pad equal to EOS, the end of a completion would count as padding."""
    policy, tokenizer = load_policy(saved(tmp_path, tiny_llama(), pad))
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    assert policy.config.pad_token_id == tokenizer.pad_token_id
    assert tokenizer.pad_token_id < policy.get_input_embeddings().num_embeddings


def test_a_new_pad_token_gets_an_embedding_and_changes_no_other_token(tmp_path):
    model, tokenizer = tiny_llama(), without_pad_in_vocabulary()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    before = model.get_input_embeddings().num_embeddings
    policy, loaded = load_policy(tmp_path)
    assert loaded.pad_token == "<|pad|>" and loaded.pad_token_id == before
    assert policy.get_input_embeddings().num_embeddings == before + 1
    with torch.no_grad():
        logits = policy(input_ids=IDS).logits
        torch.testing.assert_close(logits[..., :before], model(input_ids=IDS).logits)


def test_a_pad_token_that_is_there_stays(tmp_path):
    policy, tokenizer = load_policy(saved(tmp_path, tiny_llama(), "<|pad|>"))
    assert tokenizer.pad_token_id == small_tokenizer().pad_token_id
    assert len(tokenizer) == policy.get_input_embeddings().num_embeddings


def test_the_shipped_model_loads_by_its_name():
    policy, tokenizer = load_policy("tiny-base")
    assert model_path("tiny-base").endswith("tiny-base")
    assert policy.dtype == torch.float32 and tokenizer.chat_template
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    trainable, every = parameter_counts(policy)
    assert trainable == every > 1e6


def test_a_model_of_the_hub_is_its_name(monkeypatch):
    monkeypatch.setattr(hub, "answers", lambda: True)
    assert model_path("someone/some-model") == "someone/some-model"


def test_a_silent_hub_is_one_sentence_at_once(monkeypatch):
    """A library would retry for a minute and end in a page of trace."""
    monkeypatch.setattr(hub, "answers", lambda: False)
    with pytest.raises(ConnectionError, match=r"someone/some-model is .*smollm2-135m-instruct"):
        load_policy("someone/some-model")


def test_a_cached_model_needs_no_hub(monkeypatch):
    monkeypatch.setattr(hub, "answers", lambda: pytest.fail("asked"))
    monkeypatch.setattr(loading, "is_cached", lambda name: True)
    assert model_path("someone/some-model") == "someone/some-model"


# --- dropout


def noisy_opt() -> OPTForCausalLM:
    """OPT keeps its dropout as plain numbers and skips layers at random."""
    config = OPTConfig(
        vocab_size=len(small_tokenizer()),
        hidden_size=32,
        ffn_dim=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        word_embed_proj_dim=32,
        dropout=0.1,
        attention_dropout=0.1,
        layerdrop=0.5,
    )
    return OPTForCausalLM(config)


@pytest.mark.parametrize("build", [gpt2_with_dropout, noisy_opt], ids=["gpt2", "opt"])
@torch.no_grad()
def test_dropout_is_off_even_in_train_mode(build):
    """Trap 10: with dropout the first ratio of a policy update would not be 1."""
    torch.manual_seed(0)
    model = build().train()
    first, second = (token_logprobs(model, IDS, MASK) for _ in range(2))
    assert not torch.equal(first, second)  # else this test tests nothing
    assert disable_dropout(model) is model
    first, second = (token_logprobs(model, IDS, MASK) for _ in range(2))
    assert torch.equal(first, second)
    torch.testing.assert_close(first, token_logprobs(model.eval(), IDS, MASK))


@torch.no_grad()
def test_a_loaded_policy_has_no_dropout(tmp_path):
    policy, _ = load_policy(saved(tmp_path, gpt2_with_dropout(), "<|pad|>"))
    policy.train()
    assert torch.equal(token_logprobs(policy, IDS, MASK), token_logprobs(policy, IDS, MASK))
    again, _ = load_policy(saved(tmp_path / "again", policy, "<|pad|>"))
    assert again.config.resid_pdrop == 0


# --- reference


@pytest.mark.parametrize("family", FAMILIES)
def test_the_reference_stays_while_the_policy_trains(family):
    policy = tiny(family)
    policy.train()
    reference = frozen_reference(policy)
    before = token_logprobs(policy, IDS, MASK).detach()
    assert not reference.training and policy.training
    assert parameter_counts(reference)[0] == 0 and parameter_counts(policy)[0] > 0
    train_a_little(policy)
    assert torch.equal(token_logprobs(reference, IDS, MASK), before)
    assert (token_logprobs(policy, IDS, MASK) - before).abs().max() > 1e-3
    shared = {p.data_ptr() for p in policy.parameters()}
    assert not shared & {p.data_ptr() for p in reference.parameters()}


def test_the_reference_of_a_lora_policy_is_the_tuned_model_not_the_base():
    """Trap 45: with its adapter only switched off it would be the base model."""
    base = tiny_llama()
    policy = add_lora(copy.deepcopy(base), rank=4)
    train_a_little(policy)
    tuned = token_logprobs(policy, IDS, MASK).detach()
    reference = frozen_reference(policy)
    assert not [n for n, _ in reference.named_parameters() if "lora" in n]
    torch.testing.assert_close(token_logprobs(reference, IDS, MASK), tuned, atol=1e-5, rtol=0)
    with policy.disable_adapter():
        off = token_logprobs(policy, IDS, MASK)
    torch.testing.assert_close(off, token_logprobs(base, IDS, MASK))
    assert (off - tuned).abs().max() > 1e-3
    train_a_little(policy)  # the policy keeps its adapters and goes on alone
    torch.testing.assert_close(token_logprobs(reference, IDS, MASK), tuned, atol=1e-5, rtol=0)
    assert (token_logprobs(policy, IDS, MASK) - tuned).abs().max() > 1e-3


# --- adapters


@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_change_nothing_at_first_and_train_alone(family):
    model = tiny(family)
    before = token_logprobs(model, IDS, MASK).detach()
    policy = add_lora(model, rank=4)
    torch.testing.assert_close(token_logprobs(policy, IDS, MASK), before, atol=1e-6, rtol=0)
    trained = [n for n, p in policy.named_parameters() if p.requires_grad]
    assert trained and all("lora_" in n for n in trained)
    frozen = {n: p.clone() for n, p in policy.named_parameters() if not p.requires_grad}
    train_a_little(policy)
    assert all(torch.equal(p, frozen[n]) for n, p in policy.named_parameters() if n in frozen)
    assert (token_logprobs(policy, IDS, MASK) - before).abs().max() > 1e-3
    trainable, every = parameter_counts(policy)
    assert 0 < trainable < every / 2


def test_adapters_are_seeded_and_leave_the_random_state_alone():
    torch.manual_seed(7)
    state = torch.get_rng_state()
    one, two, other = (
        [p for n, p in add_lora(tiny_llama(), seed=s).named_parameters() if "lora_A" in n]
        for s in (0, 0, 1)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    model = tiny_llama()
    torch.set_rng_state(state)
    add_lora(model, seed=3)
    assert torch.equal(torch.get_rng_state(), state)


def test_alpha_is_twice_the_rank_unless_given():
    assert add_lora(tiny_llama(), rank=4).peft_config["default"].lora_alpha == 8
    assert add_lora(tiny_llama(), rank=4, alpha=1).peft_config["default"].lora_alpha == 1
