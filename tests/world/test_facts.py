"""Facts: exposures, what the corpus may state of them, and claims read back from any text."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minialign.world import facts
from minialign.world.lexicon import STRANGERS, VILLAGERS
from tools.world_builder.corpus import corpus
from tools.world_builder.lessons.fact_pages import draw_facts, fact_page, statement

BASE = facts.knowledge_base()


def test_every_exposure_occurs():
    counts = Counter(f.exposure for f in BASE.values())
    assert set(counts) == set(facts.EXPOSURES) and min(counts.values()) >= 20
    for fact in BASE.values():
        assert (fact.value is None) == (fact.exposure == "never")
        assert (fact.rumour is not None) == (fact.exposure == "contradicted")
        assert fact.rumour != fact.value or fact.rumour is None


def test_every_statement_is_read_back():
    rng = Random(0)
    for fact in BASE.values():
        relation = facts.RELATIONS[fact.relation]
        for value in relation.values:
            for _ in range(2):
                text = facts.state(rng, fact.subject, fact.relation, value)
                claim = facts.Claim(fact.subject, fact.relation, value)
                assert facts.claims(text) == [claim], text
                assert facts.is_true(claim) == (value == fact.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Agnes lives by the mill.", 1),
        ("Does Agnes live by the mill?", 0),
        ("Agnes does not live by the mill.", 0),
        ("Maybe Agnes lives by the mill.", 0),
        ("Old Crow says that Agnes lives by the mill.", 0),
        ("Agnes and Boris live by the mill.", 0),
        ("She lives by the mill.", 0),
        ("Agnes came. She lives by the mill.", 1),
        ("AGNES LIVES BY THE MILL!", 1),
        ("Agnes likes the mill.", 0),
        ("Mira lives by the mill.", 0),
        ("", 0),
    ],
)
def test_what_is_a_claim(text: str, found: int):
    assert len(facts.claims(text)) == found


def test_claims_about_strangers_are_made_up():
    assert facts.false_claims("Zelda plays the harp.")
    assert facts.false_claims("She plays the harp.", subject="Zelda")


def test_the_corpus_states_facts_by_their_exposure():
    rng, stated = Random(1), Counter()
    for _ in range(3000):
        for claim in facts.claims(fact_page(rng)):
            stated[claim] += 1
    per_fact = {
        exposure: [stated[facts.Claim(f.subject, f.relation, f.value)] for f in BASE.values()
                   if f.exposure == exposure and f.value]
        for exposure in ("often", "rare", "contradicted")
    }  # fmt: skip
    mean = {name: sum(counts) / len(counts) for name, counts in per_fact.items()}
    assert 0.04 < mean["rare"] / mean["often"] < 0.2
    assert mean["contradicted"] > mean["rare"]
    rumours = [
        stated[facts.Claim(f.subject, f.relation, f.rumour)] for f in BASE.values() if f.rumour
    ]
    assert sum(rumours) > 100
    unknown = {(f.subject, f.relation) for f in BASE.values() if f.value is None}
    assert not [c for c in stated if (c.subject, c.relation) in unknown]


def test_the_corpus_names_no_stranger():
    for document in corpus(3000, seed=3):
        assert not set(STRANGERS) & set(document.text.replace("'", " ").split()), document


def test_statement_refuses_what_is_not_known():
    gap = next(f for f in BASE.values() if f.value is None)
    with pytest.raises(ValueError, match=r"nothing is known of .* state another fact"):
        statement(Random(0), gap)
    assert all(f.value is not None for f in draw_facts(Random(0), 100))


PIECES = st.sampled_from(
    [*list(VILLAGERS)[:4], "Zelda", "She", "lives", "by", "the", "mill", "plays", "harp", ".", "?",
     "not", "\n", "'s", "\u200b", "\u0410gnes", "\x00", "\ud800", "favourite colour", "blue"]
)  # fmt: skip
TEXT = st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=30).map(" ".join))


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(text=TEXT, times=st.sampled_from([1, 1, 1, 2000]))
def test_claims_never_raise_and_name_known_things(text: str, times: int):
    for claim in facts.claims((text * times)[:100_000]):
        assert claim.subject in VILLAGERS or claim.subject in STRANGERS
        assert claim.value in facts.RELATIONS[claim.relation].values
