"""Shared parts of the exact checkers: what does a reply claim, echoes of the question set aside?

A checker trusts nothing: replies come from models that may have learnt to please it. The method is
the same everywhere. Refuse what no honest reply holds (`plain`), take away what only repeats the
question (`without_echo`) or rules out a wrong answer (`without_contrast`), then demand that the
words of the answer's type which are left are exactly the expected ones, not denied, not taken back.
Every scan takes time linear in the text, or nearly so, and reads at most `MAX_CHARS` characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from zlib import crc32

from minialign.rewards.equations import MAX_CHARS
from minialign.world.lexicon import IDIOMS
from minialign.world.tables import read
from minialign.world.text import forms_of, occurrences, sentences

_TYPOGRAPHY = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-",
     "\u2026": "...", "\n": " ", "\t": " ", "\r": " "}
)  # fmt: skip


_LISTS = {
    "answers": ("negation", "harmless", "retraction", "not_known", "recall", "aside",
                "revision", "exchange"),
    "claims": ("agrees", "disagrees"),
    "lists": ("between", "more_before", "more_after", "places", "left_out"),
    "numbers": (
        "sum_in_words", "comparison", "small", "of_words", "pronoun_before", "pronoun_after",
        "below_zero", "no_whole",
    ),
    "yes_no": (
        "harmless", "yes", "no", "denial", "hedge", "verb", "calls", "lead", "short", "asked",
        "taken_back",
    ),
}  # fmt: skip


def _patterns() -> dict[str, re.Pattern[str]]:
    """The lists of data/world/checking.toml, as "TABLE.LIST", each as one regular expression.

    Raises ValueError if one is missing, unknown or none.
    """
    compiled = {}
    file = read("checking").only(_LISTS)
    for name, lists in _LISTS.items():
        table = file.table(name).only(lists)
        for field in lists:
            try:
                compiled[f"{name}.{field}"] = re.compile("|".join(table.texts(field)), re.I)
            except re.error as error:
                raise table.slip(field, f"no regular expressions: {error}; mend them") from error
    return compiled


PATTERNS = _patterns()
MOST_REPEATS = 4  # an answer given more often than that is babble


def plain(text: str) -> str | None:
    """The text in ASCII with single spaces, or None where no honest reply looks like that.

    Curly quotes, dashes and line breaks are made plain. Empty and over-long text, control marks
    and every other character beyond ASCII (look-alike letters, wide digits) give None.

    >>> plain("It\u2019s  cold."), plain("c\u043eld"), plain(" ")
    ("It's cold.", None, None)
    """
    if not isinstance(text, str) or not text or len(text) > MAX_CHARS:
        return None
    text = re.sub(" +", " ", text.translate(_TYPOGRAPHY)).strip()
    return text if text and text.isascii() and text.isprintable() else None


def says(name: str, text: str) -> bool:
    """Whether a text says what a list of data/world/checking.toml holds.

    >>> says("yes_no.hedge", "Perhaps it is."), says("yes_no.hedge", "It is.")
    (True, False)
    """
    return PATTERNS[name].search(text) is not None


def revised(text: str) -> str:
    """What stands after the last "Better: ", the whole text if there is none.

    >>> revised("8 + 3 is 12. What is wrong: Add again. Better: 8 + 3 is 11.")
    '8 + 3 is 11.'
    """
    return PATTERNS["answers.revision"].split(text)[-1]


def is_question(sentence: str) -> bool:
    """Whether a sentence ends with a question mark, closing quotes aside."""
    return sentence.rstrip("\"') ").endswith("?")


def _told(text: str) -> list[str]:
    return [s for s in sentences(text) if not is_question(s)]


def split_of(key: str) -> str:
    """The split, "train" or "test" (one in five), that a piece of content belongs to for good."""
    return "test" if crc32(key.encode()) % 5 == 0 else "train"


def without_idioms(text: str, keep: Sequence[str] = ()) -> str:
    """The text without everyday phrases that look like answers, save those with a `keep` word.

    >>> without_idioms("Right away! It is cold."), without_idioms("All right.", keep=["right"])
    ('_! It is cold.', 'All right.')
    """
    kept = {k.lower() for k in keep}
    phrases = "|".join(p for p in IDIOMS if not kept.intersection(p.split()))
    return re.sub(rf"\b(?:{phrases})\b", "_", text, flags=re.IGNORECASE)


def without_echo(text: str, items: Sequence[str], *, ordered: bool = True) -> str:
    """The text without runs that list all of `items`, as a question does.

    Between the items stand only commas, quotes, articles, "and" or "or"; they come in the given
    order unless `ordered` is False.

    >>> without_echo("Of the fox, the owl and the hen, it is the owl.", ["fox", "owl", "hen"])
    'Of the _, it is the owl.'
    """
    gap = r"""[\s,"']*(?:(?:and|or|the|an|a)\b[\s"']*)*"""
    if ordered:
        run = gap.join(re.escape(item) for item in items)
    else:
        one = "(?:" + "|".join(re.escape(item) for item in items) + ")"
        run = gap.join([rf"\b{one}\b"] * len(items))

    def drop(match: re.Match[str]) -> str:
        found = [w.lower() for w in re.findall(r"[\w-]+", match.group())]
        return "_" if all(item.lower() in found for item in items) else match.group()

    return re.sub(rf"\b{run}\b(?![.,]?\d)", drop, text, flags=re.IGNORECASE)


def without_recall(text: str) -> str:
    """The text without questions and without sentences that only recall what was asked.

    >>> without_recall("You gave me pear and fig. Fig, pear.")
    'Fig, pear.'
    """
    return " ".join(s for s in _told(text) if not PATTERNS["answers.recall"].match(s))


def without_contrast(text: str, vocabulary: Iterable[str], expected: Iterable[str]) -> str:
    """The text without asides such as ", not a fruit" that rule out an unexpected answer.

    >>> without_contrast("It is cold, not hot.", ["hot", "cold"], ["cold"])
    'It is cold _.'
    >>> without_contrast("It is hot, not cold.", ["hot", "cold"], ["cold"])
    'It is hot, not cold.'
    """
    wanted = {e.lower() for e in expected}
    forms = forms_of(tuple(vocabulary))

    def drop(match: re.Match[str]) -> str:
        meant = forms.get(match[1].lower())
        return " _" if meant is not None and meant.lower() not in wanted else match.group()

    return PATTERNS["answers.aside"].sub(drop, text)


def negated(sentence: str) -> bool:
    """Whether a sentence denies or hedges: holds "not", "n't", "never", "no", "or", "wrong", ...

    >>> negated("It isn't cold."), negated("Hot or cold."), negated("Cold, no doubt.")
    (True, True, False)
    """
    return says("answers.negation", PATTERNS["answers.harmless"].sub("_", sentence))


def no_negation(text: str, expected: Sequence[str]) -> bool:
    """Whether no sentence that mentions an expected answer denies it or offers another with "or".

    >>> no_negation("Not so hard. It is cold.", ["cold"])
    True
    >>> no_negation("It is not cold.", ["cold"])
    False
    """
    return not any(negated(s) for s in sentences(text) if occurrences(s, expected))


def retracted(text: str) -> bool:
    """Whether a reply takes its answer back or says that it has none.

    >>> retracted("Cold. No, wait."), retracted("I do not know."), retracted("No problem. Cold.")
    (True, True, False)
    """
    return says("answers.retraction", PATTERNS["answers.harmless"].sub("_", text))


def asserted(text: str, expected: Sequence[str]) -> bool:
    """Whether every expected answer stands in a sentence that is not a question."""
    found = occurrences(" ".join(_told(text)), expected)
    babble = any(found.count(e) > MOST_REPEATS for e in expected)
    return set(expected) <= set(found) and not babble


def answers_exactly(
    text: str, expected: Sequence[str], vocabulary: Iterable[str], ignore: Iterable[str] = ()
) -> bool:
    """Whether a reply claims exactly the expected words out of a vocabulary.

    `ignore` are words of the question that the reply may repeat. The reply must be plain text,
    assert each expected word outside of a question, name no other word of the vocabulary (rightly
    ruling one out, "not hot", is allowed), and neither negate the answer nor take it back.

    >>> words = ["hot", "cold", "warm"]
    >>> answers_exactly("The opposite of hot is cold.", ["cold"], words, ignore=["hot"])
    True
    >>> answers_exactly("Cold. Or warm.", ["cold"], words, ignore=["hot"])
    False
    """
    clean = plain(text)
    if clean is None or retracted(clean):
        return False
    known = list(dict.fromkeys([*vocabulary, *expected]))
    clean = without_contrast(without_idioms(clean, keep=expected), known, expected)
    claimed = set(occurrences(clean, known)) - set(ignore)
    return claimed == set(expected) and asserted(clean, expected) and no_negation(clean, expected)


def in_a_sentence(text: str, value: str) -> bool:
    """Whether a value stands in a sentence of at least three words.

    >>> in_a_sentence("She has a hen.", "hen"), in_a_sentence("A hen. There it is.", "hen")
    (True, False)
    """
    return any(len(s.split()) > 2 for s in sentences(text) if occurrences(s, [value]))
