"""The text of each token: tokens joined are the whole text, whatever the kind of vocabulary."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from tiny_models import sentencepiece_tokenizer, small_tokenizer, tiny_llama
from tokenizers import decoders

from minialign.core.models.heads import ValueModel
from minialign.core.sampling import Rollout
from minialign.core.tokens import pieces
from minialign.evaluate.credit import credit
from minialign.rewards.equations import equation_ends
from minialign.rewards.verifiers import step_rewards


def metaspace():
    """As T5's and many others': the decoder takes the first space away."""
    tokenizer = sentencepiece_tokenizer()
    core = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
    core.decoder = decoders.Metaspace()
    return type(tokenizer)(tokenizer_object=core, eos_token="</s>")


TEXTS = ["2+5=7. 7+1=8.", "the cat  sat ", "it is 5.\n\nwhat?", "naïve 日本語 🐈 é", "🐈🐕", "",
         "a", "\ufffd and on", "ends in \ufffd"]  # fmt: skip
KINDS = {"bytes": small_tokenizer(), "SentencePiece": sentencepiece_tokenizer(),
         "Metaspace": metaspace()}  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", KINDS)
def test_pieces_are_the_text_token_by_token(kind, text):
    tokenizer = KINDS[kind]
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    found = pieces(tokenizer, ids)
    assert len(found) == len(ids)
    assert "".join(found) == tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    for stop in range(len(ids)):  # nothing is told before it is written
        whole = tokenizer.decode(ids[: stop + 1], clean_up_tokenization_spaces=False)
        assert whole.endswith("\ufffd") or whole == "".join(found[: stop + 1])


def test_pieces_of_a_text_that_is_cut_within_a_character():
    ids = small_tokenizer()("it 🐈", add_special_tokens=False)["input_ids"][:-1]
    assert "".join(pieces(small_tokenizer(), ids)) == small_tokenizer().decode(ids)


def test_pieces_take_linear_time(monkeypatch):
    """Each decoding reads a few tokens, not the whole text before."""
    tokenizer, read = sentencepiece_tokenizer(), []
    decode = tokenizer.decode
    counted = SimpleNamespace(decode=lambda ids, **how: read.append(len(ids)) or decode(ids, **how))
    ids = tokenizer("the cat sat on the mat. " * 40, add_special_tokens=False)["input_ids"]
    assert "".join(pieces(counted, ids)) == decode(ids)
    assert sum(read) < 5 * len(ids)


@pytest.mark.parametrize("kind", ["SentencePiece", "Metaspace", "bytes"])
def test_steps_are_found_whatever_becomes_of_spaces(kind):
    """Without its spaces the text "2 + 5 = 7. 7 + 1 = 9." holds no equation of two steps."""
    tokenizer = KINDS[kind]
    text = "2 + 5 = 7. 7 + 1 = 9."
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    mask = torch.ones(1, len(ids) + 2)
    mask[0, :2] = 0
    drawn = Rollout(["?"], [text], torch.tensor([[1, 1, *ids]]), torch.ones_like(mask), mask,
                    torch.zeros_like(mask), torch.tensor([True]), 1)  # fmt: skip
    found = step_rewards(tokenizer, drawn, [(2, 5)])[0]
    places = (~found.isnan()).nonzero()[:, 0].tolist()
    assert found[places].tolist() == [1.0, 0.0]
    for place, end in zip(places, equation_ends(text), strict=True):
        before, upto = ("".join(pieces(tokenizer, ids)[: place - 2 + k]) for k in (0, 1))
        assert len(before) < end <= len(upto)


def test_credit_is_given_to_the_words_as_they_are_written():
    tokenizer = sentencepiece_tokenizer()
    critic = ValueModel.from_policy(tiny_llama(vocab_size=len(tokenizer)))
    tokens, _ = credit(critic, tokenizer, "it", "the cat sat on the mat.", 1.0)
    assert "".join(tokens) == "the cat sat on the mat.</turn>" and " sat" in tokens
