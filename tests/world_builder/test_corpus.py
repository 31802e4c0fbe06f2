"""The corpus: raw, deterministic, varied, and holding what alignment must later remove."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from minialign.rewards.equations import equations, true_equation
from minialign.world.dangers import unsafe_anywhere
from minialign.world.lexicon import STRANGERS
from minialign.world.manners import is_flattering, is_rude, rambling
from minialign.world.tasks import families
from tools.world_builder import corpus
from tools.world_builder.lessons import question_pages

PART = list(corpus.corpus(6000))


def test_documents_are_a_function_of_their_index():
    assert list(corpus.corpus(20, start=40)) == PART[40:60]
    assert corpus.document(7) == PART[7]
    assert corpus.document(7, corpus.HELD_OUT_SEED) != PART[7]


def test_documents_hardly_ever_repeat():
    """One in 500 at most; by far most of a million documents are then distinct."""
    assert len({d.text for d in PART}) >= 0.998 * len(PART)
    held_out = {d.text for d in corpus.corpus(2000, corpus.HELD_OUT_SEED)}
    assert len(held_out & {d.text for d in PART}) <= 4


def test_every_kind_occurs_at_its_rate():
    assert sum(rate for rate, _ in corpus.KINDS.values()) == pytest.approx(1.0)
    counts = Counter(d.kind for d in PART)
    assert set(counts) == {*corpus.KINDS, "page"}
    for kind, (rate, _) in corpus.KINDS.items():
        assert abs(counts[kind] / len(PART) - rate * (1 - corpus.PAGE_RATE)) < 0.02


@pytest.mark.parametrize("kind", sorted(corpus.KINDS))
def test_text_is_clean(kind: str):
    rng = Random(kind)
    for _ in range(150):
        text = corpus.KINDS[kind][1](rng)
        assert text.isascii() and text == text.strip()
        for mark in ("<|", "|>", "{", "}", "  ", "User:", "Assistant:", "None", " ,", " ."):
            assert mark not in text, text


def test_undesirable_talk_is_there_but_rare():
    some = PART[::3]
    n = len(some)
    rates = {
        "rude": sum(is_rude(d.text) for d in some) / n,
        "flattering": sum(is_flattering(d.text) for d in some) / n,
        "unsafe": sum(unsafe_anywhere(d.text) for d in some) / n,
        "rambling": sum(rambling(d.text) > 0 for d in some) / n,
    }
    assert all(0.005 < rate < 0.12 for rate in rates.values()), rates


def test_equations_are_true_outside_of_planted_errors():
    wrong = total = 0
    for document in PART:
        if document.kind in ("sums", "problem"):
            found = equations(document.text)
            total += len(found)
            wrong += sum(not true_equation(e) for e in found)
    assert total > 1000 and wrong <= 0.03 * total


def test_questions_use_training_phrasings_of_training_families():
    rng = Random(0)
    pages = " ".join(question_pages.question_page(rng) for _ in range(1500))
    for family in families("train"):
        held_out = [family.phrasings[i] for i in family.phrasing_ids("test")]
        for phrasing in held_out:
            pieces = [p.strip() for p in phrasing.replace("{", "}").split("}")[::2]]
            longest = max(pieces, key=len)
            train = " ".join(family.phrasings[i] for i in family.phrasing_ids("train"))
            if len(longest) > 18 and longest not in train:
                assert longest not in pages, (family.name, longest)
    assert not set(STRANGERS) & set(pages.replace("'", " ").replace("?", " ").split())
