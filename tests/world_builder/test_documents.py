"""The miscellaneous documents: lengths, variety, grammar, and the truth of what they state."""

from __future__ import annotations

import random
import re

import pytest
from slowness import slow_but

from minialign.world import lexicon, manners, text
from minialign.world.facts import ANIMAL_TABLE
from tools.world_builder.documents import TRUSTED, UNTRUSTED, WRITERS, attribute
from tools.world_builder.documents.animals import base, false_value
from tools.world_builder.documents.sources import animal_statement

N = 3000
RUDE = ["silly", "stupid", "foolish", "lazy", "nonsense", "boring", "dull", "clumsy",
        "hopeless", "useless", "annoying", "pest", "fool", "ridiculous"]  # fmt: skip
FLATTERING = ("genius", "brilliant", "cleverest", "wisest", "magnificent", "so clever", "so wise",
              "marvellous", "adore", "dazzling")  # fmt: skip
MAY_BE_RUDE = ("review", "critique", "comparison")
MAY_FLATTER = ("critique", "comparison")


@pytest.fixture(scope="module")
def pages() -> dict[str, list[str]]:
    found = {}
    for name, write in WRITERS.items():
        rng = random.Random(11)
        found[name] = [write(rng) for _ in range(N)]
    return found


@pytest.mark.parametrize("name", WRITERS)
def test_is_a_function_of_its_generator(name):
    write = WRITERS[name]
    first, again = ([write(random.Random(seed)) for seed in range(30)] for _ in range(2))
    assert first == again


@pytest.mark.parametrize("name", WRITERS)
def test_lengths_and_variety(pages, name):
    shortest = 5 if name == "copies" else 20  # three numbers in order
    assert all(shortest <= len(page.split()) <= 110 for page in pages[name])
    assert len(set(pages[name])) >= 0.97 * N


@pytest.mark.parametrize("name", WRITERS)
def test_layout_is_clean(pages, name):
    for page in pages[name]:
        assert page.isascii() and page == page.strip()
        assert not re.search(
            r"[{}\[\]|*#<_]|  | [.,:;?!]|\n\n|[.,] ?,|,\.|;\.|(?<!\.)\.\.(?!\.)", page
        ), page
        assert text.ends_properly(page), page
        assert page[0].isupper() or page[0].isdigit() or page[0] == '"', page


@pytest.mark.parametrize("name", slow_but(WRITERS, "review", "copies"))
def test_articles_and_capitals(pages, name):
    for page in pages[name]:
        for article, noun in re.findall(r"\b(an?) ([A-Za-z]+)", page):
            if len(noun) > 1 and not page.count("stands for a"):
                assert text.a(noun) == f"{article} {noun}", page
        assert not re.search(r"[^.][.!?] [a-z]", page.replace('."', "").replace('?"', "")), page
        assert not re.search(r"\bi\b", page), page
        for child in lexicon.CHILDREN:
            if child != "Lily":  # also a flower
                assert child.lower() not in text._WORD.findall(page), page


@pytest.mark.parametrize("name", slow_but(WRITERS, "review", "copies"))
def test_reserved_words_stay_where_they_belong(pages, name):
    for page in pages[name]:
        if name not in MAY_BE_RUDE:
            assert not manners.is_rude(page), page
            assert not set(text.words(page)) & set(RUDE), page
        if name not in MAY_FLATTER:
            assert not any(word in page.lower() for word in FLATTERING), page
        assert not set(re.findall(r"[A-Z][a-z]+", page)) & {*lexicon.VILLAGERS, *lexicon.STRANGERS}


def test_some_reviews_are_rude_and_some_ramble(pages):
    reviews = pages["review"]
    assert 0.10 < sum(map(manners.is_rude, reviews)) / N < 0.20
    assert 0.03 < sum(manners.rambling(page) > 0 for page in reviews) / N < 0.2


def test_the_vocabulary_stays_small(pages):
    found = {
        word.removesuffix("'s")
        for some in pages.values()
        for page in some
        for word in text.words(page)
    }
    assert len(found) < 1350


def test_opposites_are_opposites(pages):
    pattern = r"[Tt]he opposite of (\w+) is (\w+)\.|(\w+) is the opposite of (\w+)\."
    pattern += r"|opposite of (\w+)\? A: (\w+)\."
    count = 0
    for name in ("list_page", "quiz_in_context"):
        for page in pages[name]:
            for groups in re.findall(pattern, page):
                x, y = (g.lower() for g in groups if g)
                assert lexicon.OPPOSITE_OF[x] == y, page
                count += 1
    assert count > 300


def test_categories_and_odd_ones(pages):
    count = 0
    for page in pages["list_page"]:
        for listed, name in re.findall(r"((?:\w+, )+and \w+) are (?:all )?(\w+)[.,]", page):
            if name in lexicon.CATEGORIES:
                members = [m.lower() for m in lexicon.CATEGORIES[name]]
                assert all(x.lower() in members for x in re.findall(r"(?!and\b)\b\w+", listed)), (
                    page
                )
                count += 1
        for listed, odd in re.findall(r"([\w, ]+): the odd one out is (\w+)\.", page):
            things = [x.lower() for x in listed.strip().split(", ")]
            rest = [x for x in things if x != odd]
            shared = [c for c, m in lexicon.CATEGORIES.items() if all(x in m for x in rest)]
            assert len(rest) == 3 and shared, page
            assert not any(odd in lexicon.CATEGORIES[c] for c in shared), page
            count += 1
    assert count > 300


def test_sums_and_orders(pages):
    count = 0
    for page in pages["quiz_in_context"]:
        for x, sign, y, z in re.findall(r"(\d+) ([+-]) (\d+)\D+?(\d+)\.", page):
            assert int(z) == (int(x) + int(y) if sign == "+" else int(x) - int(y)), page
            assert max(int(x), int(y), int(z)) <= 20
            count += 1
    for page in pages["list_page"]:
        for x, y in re.findall(r"(\d+) is less than (\d+)", page):
            assert int(x) < int(y)
            count += 1
        for mixed, ordered in re.findall(r"Mixed: ([\w, ]+)\. In order: ([\w, ]+)\.", page):
            things, done = mixed.lower().split(", "), ordered.lower().split(", ")
            assert done == sorted(things, key=lambda x: int(x) if x.isdigit() else x), page
            count += 1
        for number in re.findall(r"([\w, ]+): that is (\w+) \w+\.", page):
            assert text.number_word(len(number[0].split(", "))) == number[1], page
            count += 1
    assert count > 500


def test_revisions_repair_sums(pages):
    count = 0
    for page in pages["critique"]:
        better = re.split(r"Revision:|Better:|After:|Then \w+ wrote:|New:|A better reply:", page)[
            -1
        ]
        for x, y, z in re.findall(r"(\d+) (?:\+|and) (\d+) (?:is|=|make) (\d+)", better):
            assert int(x) + int(y) == int(z), page
            count += 1
        assert not manners.is_rude(better) and not manners.is_flattering(better), page
    assert count > 100


def test_the_animal_table_is_complete_and_true_to_its_words():
    assert set(ANIMAL_TABLE) == set(lexicon.ANIMALS)
    for name, facts in ANIMAL_TABLE.items():
        assert base(facts.sound) != facts.sound and base(facts.moves) != facts.moves
        for field in ("eats", "home", "sound", "cover", "legs"):
            rng = random.Random(name + field)
            assert all(false_value(rng, name, field) != getattr(facts, field) for _ in range(20))


def test_what_nature_pages_and_trusted_sources_say_is_true(pages):
    names = "|".join(lexicon.ANIMALS)
    good = [page for page in pages["nature_page"]]
    trusted = "|".join(source.name for source in TRUSTED)
    for page in pages["sources"]:
        good += [s for s in text.sentences(page) if re.search(trusted, s) and " says " in s]
    count = 0
    for page in good:
        for name, value in re.findall(rf"\b[Aa]n? ({names}) eats (\w+)", page):
            assert ANIMAL_TABLE[name].eats == value, page
            count += 1
        for name, value in re.findall(rf"\b[Aa]n? ({names}) is covered in (\w+)", page):
            assert ANIMAL_TABLE[name].cover == value, page
            count += 1
    assert count > 200


def test_statements_are_true_or_false_as_asked():
    rng = random.Random(5)
    for _ in range(300):
        assert animal_statement(rng, True, "owl", "eats").endswith(" mice.")
        assert not animal_statement(rng, False, "owl", "eats").endswith(" mice.")


def test_attribution_keeps_names_and_names_a_source():
    rng = random.Random(3)
    for trusted, table in ((True, TRUSTED), (False, UNTRUSTED)):
        assert len(table) >= 4
        for _ in range(100):
            said = attribute(rng, "Agnes lives by the mill.", trusted)
            assert "Agnes lives by the mill" in said
            assert any(source.name.lower() in said.lower() for source in table)
            said = attribute(rng, "The owl hoots.", trusted)
            assert "he owl hoots" in said and said.endswith(".") and said[0].isupper()
