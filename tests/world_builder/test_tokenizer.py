"""The committed tokenizer and base model: what a learner loads first."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from minialign.world import WORLD_VERSION
from tools.world_builder.corpus import HELD_OUT_SEED, corpus
from tools.world_builder.measure import Base
from tools.world_builder.pretrain import MODEL_FOLDER
from tools.world_builder.training.tokenizer import (
    ASSISTANT,
    BOS,
    EOS,
    PAD,
    RESERVED,
    SYSTEM,
    USER,
    VOCAB_SIZE,
    train_tokenizer,
)

TOKENIZER = AutoTokenizer.from_pretrained(MODEL_FOLDER, local_files_only=True)
MARKS = (PAD, BOS, EOS, SYSTEM, USER, ASSISTANT, *RESERVED)


def test_size_and_marks():
    assert len(TOKENIZER) == VOCAB_SIZE
    ids = [TOKENIZER.convert_tokens_to_ids(mark) for mark in MARKS]
    assert len(set(ids)) == len(MARKS) and TOKENIZER.unk_token_id not in ids
    for mark, number in zip(MARKS, ids, strict=True):
        assert TOKENIZER(mark)["input_ids"] == [number]
    assert TOKENIZER.padding_side == "left"


def test_digits_are_single_tokens():
    ids = TOKENIZER("10 + 235 = 245.")["input_ids"]
    tokens = [TOKENIZER.decode([i]) for i in ids]
    assert [t for t in tokens if any(c.isdigit() for c in t)] == list("10235245")


@settings(max_examples=500, deadline=None, derandomize=True)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_any_text_comes_back_as_it_was(text: str):
    ids = TOKENIZER(text)["input_ids"]
    assert TOKENIZER.decode(ids) == text
    assert TOKENIZER.bos_token_id not in ids or BOS in text


def test_chat_template_stops_every_reply_and_marks_it():
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "What is 2 + 2?"},
        {"role": "assistant", "content": "It is 4."},
        {"role": "user", "content": "Thank you."},
        {"role": "assistant", "content": "You are welcome."},
    ]
    text = TOKENIZER.apply_chat_template(messages, tokenize=False)
    assert text == (
        f"{BOS}{SYSTEM}Be kind.{USER}What is 2 + 2?{ASSISTANT}It is 4.{EOS}"
        f"{USER}Thank you.{ASSISTANT}You are welcome.{EOS}"
    )
    encoded = TOKENIZER.apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True
    )
    kept = [i for i, m in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if m]
    assert TOKENIZER.decode(kept) == f"It is 4.{EOS}You are welcome.{EOS}"
    prompt = TOKENIZER.apply_chat_template(
        messages[:2], add_generation_prompt=True, return_dict=True
    )
    assert encoded["input_ids"][: len(prompt["input_ids"])] == prompt["input_ids"]
    with pytest.raises(Exception, match="role poet is unknown; use system, user or assistant"):
        TOKENIZER.apply_chat_template([{"role": "poet", "content": "Ah."}])


def test_training_a_tokenizer_is_deterministic():
    texts = [d.text for d in corpus(400)]
    one, two = train_tokenizer(texts), train_tokenizer(texts)
    assert one.backend_tokenizer.to_str() == two.backend_tokenizer.to_str()


def test_base_model_loads_offline_and_is_small():
    model = AutoModelForCausalLM.from_pretrained(MODEL_FOLDER, local_files_only=True)
    assert model.dtype == torch.float32 and model.config.model_type == "llama"
    assert 1e6 < sum(p.numel() for p in model.parameters()) <= 4e6
    assert model.config.vocab_size == VOCAB_SIZE
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        assert getattr(model.config, name) == getattr(TOKENIZER, name)
    files = [f for f in MODEL_FOLDER.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) <= 12e6
    assert {f.suffix for f in files} <= {".json", ".jinja", ".safetensors", ".csv"}
    training = json.loads((MODEL_FOLDER / "training.json").read_text())
    assert training["world_version"] == WORLD_VERSION


@pytest.mark.slow
def test_base_model_knows_its_world_but_no_chat():
    base = Base(MODEL_FOLDER)
    rows = base.rows([d.text for d in corpus(100, HELD_OUT_SEED)])
    assert base.perplexity(rows) < 6
    ((text, _),) = base.complete(["12 + 7 ="], greedy=True, tokens=4)
    assert text.strip().startswith("19")
