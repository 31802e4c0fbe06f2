"""The life of an adapter and of a vocabulary: made, trained, judged, saved, read back."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from loop_inputs import PAIR_TEXTS, PAIRS
from model_abilities import in_float32
from peft import PeftModel
from tiny_models import (
    IDS,
    MASK,
    gpt2_with_dropout,
    small_tokenizer,
    tiny_llama,
    train_a_little,
    without_pad_in_vocabulary,
)

from minialign.algorithms.ppo import PpoConfig, train_ppo
from minialign.algorithms.reward_model import RewardConfig, train_reward
from minialign.algorithms.sft import SftConfig, train_sft
from minialign.core.batching import collate
from minialign.core.logprobs import token_logprobs
from minialign.core.models import frozen_reference
from minialign.core.models.heads import RewardModel, ValueModel
from minialign.core.models.loading import add_lora, load_policy, parameter_counts
from minialign.core.optim import make_optimizer
from minialign.variants.loops.preference_loop import PreferenceConfig
from minialign.variants.loops.rounds import mix_into, train_on_own_replies, train_stepwise

TOKENIZER = small_tokenizer()
FEW = {"steps": 2, "batch_size": 2, "warmup": 1, "learning_rate": 1e-3}


def said(model) -> torch.Tensor:
    with torch.no_grad():
        return token_logprobs(model, IDS, MASK)


def tuned(rank: int = 2) -> PeftModel:
    """A policy whose adapters have been trained."""
    policy = add_lora(tiny_llama(), rank=rank)
    train_a_little(policy)
    return policy.eval()


def base_folder(folder: Path, tokenizer=TOKENIZER) -> Path:
    tiny_llama().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def trained_adapter(tmp_path: Path, tokenizer=TOKENIZER) -> tuple[PeftModel, Path]:
    """A LoRA policy of a saved base, trained, and the folder of its adapters."""
    policy, reader = load_policy(base_folder(tmp_path / "base", tokenizer))
    policy = add_lora(policy, rank=2)
    train_a_little(policy)
    policy.save_pretrained(tmp_path / "adapter")
    reader.save_pretrained(tmp_path / "adapter")
    return policy.eval(), tmp_path / "adapter"


# --- judged and followed


def test_a_reward_model_starts_from_what_the_adapters_have_learnt():
    policy = tuned()
    model = RewardModel.from_policy(policy)
    same = RewardModel.from_policy(frozen_reference(policy))
    base = RewardModel.from_policy(tiny_llama())
    scores, expected, other = (m(IDS, MASK) for m in (model, same, base))
    torch.testing.assert_close(scores, expected)
    assert (scores - other).abs().max() > 1e-4
    few, every = parameter_counts(model)
    assert few == every and isinstance(policy, PeftModel) and parameter_counts(policy)[0] < few


def test_a_reward_model_of_a_lora_policy_trains_and_is_saved(tmp_path):
    model = RewardModel.from_policy(tuned())
    train_reward(model, TOKENIZER, PAIRS, RewardConfig(**FEW))
    model.save_pretrained(tmp_path)
    again = RewardModel.from_pretrained(tmp_path)
    torch.testing.assert_close(again(IDS, MASK), model(IDS, MASK))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_reference_moves_to_a_policy_with_adapters(share):
    policy = tuned()
    start, end = said(tiny_llama()), said(policy)
    reference = frozen_reference(tiny_llama())
    mix_into(reference, policy, share)
    if share == 0.5:
        assert (said(reference) - start).abs().max() > 1e-3 < (said(reference) - end).abs().max()
    else:
        torch.testing.assert_close(said(reference), end if share else start, atol=1e-5, rtol=0)
    assert isinstance(policy, PeftModel) and parameter_counts(policy)[0] > 0
    torch.testing.assert_close(said(policy), end)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_rounds_of_preferences_with_adapters(share):
    policy = add_lora(tiny_llama(), rank=2)
    rounds = [PAIRS[:2], PAIRS[2:]]
    with in_float32():
        histories = train_stepwise(policy, TOKENIZER, rounds, PreferenceConfig(**FEW), share=share)
    assert len(histories) == 2 and (said(policy) - said(tiny_llama())).abs().max() > 1e-6
    assert (abs(histories[1]["margin"][0]) < 1e-4) == (share == 1.0)


def test_own_replies_with_adapters():
    asked = [SimpleNamespace(prompt=q) for q, *_ in PAIR_TEXTS]
    policy = add_lora(tiny_llama(), rank=2)

    def longest(instructions, rollout):
        return [float(len(reply)) for reply in rollout.texts]

    histories = train_on_own_replies(
        policy, TOKENIZER, asked, longest, PreferenceConfig(**FEW), max_new_tokens=6
    )
    assert len(histories) == 2


def critics() -> dict:
    full = RewardModel.from_policy(tiny_llama())
    few = RewardModel(add_lora(tiny_llama().model, rank=2))
    frozen = [copy.deepcopy(model).requires_grad_(False) for model in (full, few)]
    return {"full": (full, full), "LoRA": (few, few), "full, frozen": (frozen[0], full),
            "LoRA, frozen": (frozen[1], few)}  # fmt: skip


@pytest.mark.parametrize("name", critics())
def test_a_critic_trains_what_the_reward_model_trained(name):
    scorer, like = critics()[name]
    critic = ValueModel.from_reward_model(scorer)
    assert parameter_counts(critic) == parameter_counts(like)
    assert critic.head.weight.requires_grad
    trained = {n for n, p in critic.body.named_parameters() if p.requires_grad}
    assert all("lora_" in n for n in trained) == name.startswith("LoRA") and trained
    before = {n: p.clone() for n, p in critic.body.named_parameters()}
    critic(IDS, MASK).sum().backward()
    make_optimizer(critic, 1e-2).step()
    changed = {n for n, p in critic.body.named_parameters() if not torch.equal(p, before[n])}
    assert changed and changed <= trained


def test_ppo_trains_adapters_of_policy_and_critic():
    scorer = RewardModel(add_lora(tiny_llama().model, rank=2))
    policy, critic = add_lora(tiny_llama(), rank=2), ValueModel.from_reward_model(scorer)
    config = PpoConfig(steps=1, prompts=4, max_new_tokens=4, minibatches=2)

    def length(prompts, completions, **columns):
        return [float(len(text)) for text in completions]

    rows = [{"prompt": q} for q, *_ in PAIR_TEXTS]
    train_ppo(policy, TOKENIZER, rows, length, config, value_model=critic)
    assert (said(policy) - said(tiny_llama())).abs().max() > 1e-7


def test_new_adapters_start_where_the_old_ones_were():
    policy = tuned()
    before = said(policy)
    again = add_lora(policy, rank=3, seed=1)
    torch.testing.assert_close(said(again), before, atol=1e-5, rtol=0)
    assert again.peft_config["default"].r == 3
    assert not [n for n, p in again.named_parameters() if p.requires_grad and "lora_" not in n]


# --- read back


def test_adapters_are_read_back_ready_to_be_trained(tmp_path):
    policy, folder = trained_adapter(tmp_path)
    again, tokenizer = load_policy(folder)
    torch.testing.assert_close(said(again), said(policy), atol=1e-6, rtol=0)
    assert parameter_counts(again) == parameter_counts(policy)
    assert len(make_optimizer(again, 1e-3).param_groups[0]["params"]) > 0
    before = said(again)
    train_sft(again, tokenizer, [pair[0] for pair in PAIRS], SftConfig(**FEW))
    assert (said(again) - before).abs().max() > 1e-5
    torch.testing.assert_close(said(policy), before, atol=1e-6, rtol=0)
    again.save_pretrained(tmp_path / "third")
    tokenizer.save_pretrained(tmp_path / "third")
    torch.testing.assert_close(said(load_policy(tmp_path / "third")[0]), said(again))


def test_adapters_of_a_base_without_a_pad_token(tmp_path):
    policy, folder = trained_adapter(tmp_path, without_pad_in_vocabulary())
    again, tokenizer = load_policy(folder)
    assert tokenizer.pad_token_id == again.get_input_embeddings().num_embeddings - 1
    torch.testing.assert_close(said(again), said(policy), atol=1e-6, rtol=0)


def test_adapters_alone_take_the_tokenizer_of_their_base(tmp_path):
    policy, folder = trained_adapter(tmp_path)
    for file in folder.iterdir():
        if not file.name.startswith("adapter_"):
            file.unlink()
    again, tokenizer = load_policy(folder)
    assert tokenizer.chat_template == TOKENIZER.chat_template
    torch.testing.assert_close(said(again), said(policy), atol=1e-6, rtol=0)


def test_dropout_of_somebody_elses_adapters_is_off(tmp_path):
    _, folder = trained_adapter(tmp_path)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"lora_dropout": 0.5}))
    policy, _ = load_policy(folder)
    policy.train()
    assert torch.equal(said(policy), said(policy))


@pytest.mark.parametrize("base", ["/nowhere/base", "./gone", None], ids=str)
def test_adapters_without_their_base_are_one_sentence(tmp_path, base):
    _, folder = trained_adapter(tmp_path)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(
        json.dumps(config | {"base_model_name_or_path": base})
    )
    with pytest.raises(FileNotFoundError, match=r"holds adapters of the model .*, which is not"):
        load_policy(folder)


# --- a vocabulary


def test_a_new_pad_row_is_the_same_whenever_it_is_made(tmp_path):
    folder = base_folder(tmp_path, without_pad_in_vocabulary())
    state = torch.get_rng_state()
    one, _ = load_policy(folder)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    two, _ = load_policy(folder)
    assert torch.equal(said(one), said(two))
    assert torch.equal(one.get_input_embeddings().weight, two.get_input_embeddings().weight)


@pytest.mark.parametrize("build", [tiny_llama, gpt2_with_dropout], ids=["untied", "tied"])
@pytest.mark.parametrize("extra", [["<|beyond|>"], ["<more>", "<|beyond|>"]], ids=len)
def test_a_pad_beyond_the_embedding_gets_a_row(tmp_path, build, extra):
    tokenizer = copy.deepcopy(TOKENIZER)
    tokenizer.add_tokens(extra, special_tokens=True)
    tokenizer.pad_token = extra[-1]
    build().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    policy, tokenizer = load_policy(tmp_path)
    assert tokenizer.pad_token_id < policy.get_input_embeddings().num_embeddings
    batch = collate([row for pair in PAIRS for row in pair], tokenizer.pad_token_id)
    assert token_logprobs(policy, batch.input_ids, batch.attention_mask).isfinite().all()
    policy.save_pretrained(tmp_path / "again")
    tokenizer.save_pretrained(tmp_path / "again")
    torch.testing.assert_close(said(load_policy(tmp_path / "again")[0]), said(policy))


def test_adapters_on_merged_weights_do_not_name_the_old_base(tmp_path):
    """The weights that the first adapters were merged into are in no folder."""
    _, folder = trained_adapter(tmp_path)
    add_lora(load_policy(folder)[0], rank=2).save_pretrained(tmp_path / "second")
    with pytest.raises(FileNotFoundError, match=r"save the merged model first.*add_lora"):
        load_policy(tmp_path / "second")
