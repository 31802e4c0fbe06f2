"""Stories: any hero with any thing, in both forms, in clean English, hardly ever told twice."""

from __future__ import annotations

import re
from functools import cache
from random import Random

import pytest

from minialign.world.lexicon import ANIMALS, CHILDREN, OBJECTS, VILLAGERS
from minialign.world.stories import (
    FORMS,
    Story,
    all_plots,
    continuation,
    plots_for,
    story,
)
from minialign.world.text import ends_properly, sentences, words
from tools.world_builder.events import paraphrase

HEROES = (*CHILDREN, *ANIMALS)
RUDE = {"silly", "stupid", "foolish", "lazy", "nonsense", "boring", "dull", "clumsy", "hopeless",
        "useless", "annoying", "pest", "fool", "ridiculous"}  # fmt: skip
FLATTERY = re.compile(r"\b(genius|brilliant|cleverest|wisest|magnificent|so clever|so wise|"
                      r"marvellous|adore|dazzling)\b")  # fmt: skip
WRONG_ARTICLE = re.compile(r"\b(a [aeiou]|an (?!hour)[^aeiou\W])", re.IGNORECASE)


@cache
def sample() -> tuple[Story, ...]:
    """Four thousand stories of both forms."""
    rng = Random(7)
    return tuple(story(rng, length=length) for _ in range(2000) for length in ("long", "short"))


def check_prose(text: str) -> None:
    """Grammar that a program can see."""
    assert text.isascii() and "  " not in text and "{" not in text and "}" not in text
    assert ends_properly(text) and text.count('"') % 2 == 0
    assert not re.search(r" [,.!?]|[,.!?]{2}|,[A-Za-z]", text)
    assert not WRONG_ARTICLE.search(text), text
    for sentence in sentences(text):
        assert sentence.lstrip('"')[0].isupper(), sentence


def test_one_seed_gives_one_story() -> None:
    first = [story(Random(3)) for _ in range(2)]
    assert first[0] == first[1]
    assert continuation(Random(5)) == continuation(Random(5))
    assert paraphrase(Random(5)) == paraphrase(Random(5))


@pytest.mark.parametrize("length", FORMS)
def test_every_hero_meets_every_thing(length: str) -> None:
    rng = Random(1)
    for i, hero in enumerate(HEROES):
        for thing in OBJECTS[i % 3 :: 3]:
            told = story(rng, hero=hero, thing=thing, length=length)
            fewest, most, low, high = FORMS[length]
            assert fewest <= len(sentences(told.text)) == len(told.sentences) <= most
            assert low <= len(words(told.text)) <= high
            assert {hero.lower(), thing} <= {w.removesuffix("'s") for w in words(told.text)}


def test_prose_is_clean() -> None:
    for told in sample():
        check_prose(told.text)
        check_prose(told.summary)
        assert told.place == "" or told.place in told.text


def test_summaries_name_hero_and_thing_in_one_sentence() -> None:
    rng = Random(2)
    for told in sample()[:1000]:
        summary = rng.choice(told.retellings)
        assert len(sentences(summary)) == 1
        assert {told.hero.lower(), told.thing} <= set(words(summary)), summary
        assert len(told.retellings) >= 4 and told.summary in told.retellings


def test_reserved_words_stay_in_the_mouths_of_the_rude() -> None:
    rude = 0
    for told in sample():
        outside = re.sub(r'"[^"]*"', "", told.text + " " + told.summary)
        assert not RUDE & set(words(outside)), outside
        assert not FLATTERY.search(told.text.lower())
        assert not set(VILLAGERS) & set(re.findall(r"\w+", told.text))
        rude += bool(RUDE & set(words(told.text)))
    assert 0.01 < rude / len(sample()) < 0.06


@pytest.mark.slow
def test_stories_differ_and_words_are_few() -> None:
    rng = Random(11)
    stories = [story(rng).text for _ in range(20_000)]
    assert len(set(stories)) >= 19_900
    assert len({w for text in stories[:5000] for w in words(text)}) < 1100


def test_plots_are_many_and_rich() -> None:
    plots = all_plots()
    assert len(plots) >= 20 and len({p.name for p in plots}) == len(plots)
    for plot in plots:
        assert 6 <= len(plot.beats) <= 9 and min(map(len, plot.beats.values())) >= 5, plot.name
        assert len(plot.summaries) >= 4
    for thing in OBJECTS:
        assert len(plots_for("Mira", thing)) >= 5
    for hero in HEROES:
        assert len({p.name for t in OBJECTS for p in plots_for(hero, t)}) >= 10


def test_continuation_is_a_story_cut_in_two() -> None:
    rng = Random(4)
    for _ in range(300):
        start, rest = continuation(rng, hero="owl", thing="cup")
        assert len(sentences(start)) in (1, 2) and len(sentences(rest)) >= 1
        check_prose(f"{start} {rest}")
        assert "owl" in words(start)


def test_paraphrases_are_two_wordings() -> None:
    rng = Random(9)
    for _ in range(1500):
        first, second = paraphrase(rng)
        assert first != second
        for text in (first, second):
            check_prose(text)
            assert len(sentences(text)) == 1
