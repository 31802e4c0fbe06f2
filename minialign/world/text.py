"""Small tools for writing English and for reading it back without trusting it.

The writers (`a`, `plural`, `join`, `sentence`) keep the grammar of generated text right. The
readers (`words`, `sentences`, `ends_properly`) are what every checker and verifier is built from:
they look at hostile text only through linear-time scans, never evaluate it, and cap what they read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from minialign.rewards.equations import MAX_CHARS
from minialign.world.lexicon import IRREGULAR_PLURALS, NUMBER_WORDS

_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_SENTENCE = re.compile(r"[^.!?]+(?:[.!?]+[\"')]*|$)")


def a(noun: str) -> str:
    """The noun with its indefinite article.

    >>> a("owl"), a("grey owl"), a("hour")
    ('an owl', 'a grey owl', 'an hour')
    """
    vowel = noun[:1].lower() in "aeiou" and not noun.lower().startswith(("uni", "use", "one"))
    return f"an {noun}" if vowel or noun.startswith("hour") else f"a {noun}"


def plural(noun: str) -> str:
    """The plural of a noun of the lexicon.

    >>> [plural(n) for n in ("fox", "hen", "mouse", "berry")]
    ['foxes', 'hens', 'mice', 'berries']
    """
    if noun in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[noun]
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "es" if noun.endswith(("s", "sh", "ch", "x")) else noun + "s"


def join(items: Sequence[str], word: str = "and") -> str:
    """A list in words, with the serial comma.

    >>> join(["a fox"]), join(["a fox", "a hen"]), join(["fox", "hen", "owl"], "or")
    ('a fox', 'a fox and a hen', 'fox, hen, or owl')
    """
    if len(items) < 3:
        return f" {word} ".join(items)
    return ", ".join(items[:-1]) + f", {word} {items[-1]}"


def capital(text: str) -> str:
    """The text with its first letter in upper case, the rest untouched."""
    return text[:1].upper() + text[1:]


def small(text: str) -> str:
    """The text with its first letter in lower case, the rest untouched."""
    return text[:1].lower() + text[1:]


def number_word(n: int) -> str:
    """A number as prose writes it: words up to twelve, digits beyond.

    >>> number_word(3), number_word(40)
    ('three', '40')
    """
    return NUMBER_WORDS[n] if 0 <= n < len(NUMBER_WORDS) else str(n)


def words(text: str) -> list[str]:
    """The lower-case words of at most `MAX_CHARS` characters of a text; digits are not words.

    >>> words("Don't feed the 2 Owls!")
    ["don't", 'feed', 'the', 'owls']
    """
    return [w.lower() for w in _WORD.findall(text[:MAX_CHARS])]


def sentences(text: str) -> list[str]:
    """The sentences of a text, stripped, with their end marks; an unfinished last one is included.

    >>> sentences("The owl slept. Did it? And")
    ['The owl slept.', 'Did it?', 'And']
    """
    found = (s.strip() for s in _SENTENCE.findall(text[:MAX_CHARS]))
    return [s for s in found if s.strip(".!?\"') ")]


@lru_cache(maxsize=256)
def forms_of(vocabulary: tuple[str, ...]) -> dict[str, str]:
    """Every form, singular or plural, of the entries of a vocabulary."""
    plurals = {plural(entry.lower()): entry for entry in vocabulary}
    return plurals | {entry.lower(): entry for entry in vocabulary}


def occurrences(text: str, vocabulary: Iterable[str]) -> list[str]:
    """Every mention of a member of the vocabulary, singular or plural, in order, repeats included.

    >>> occurrences("Owls and a fox saw the owl.", ["owl", "fox"])
    ['owl', 'fox', 'owl']
    """
    forms = forms_of(tuple(vocabulary))
    found = (w[:-2] if w.endswith("'s") else w for w in words(text))
    return [forms[w] for w in found if w in forms]


def ends_properly(text: str) -> bool:
    """Whether a text is not empty and its last character closes a sentence.

    >>> ends_properly("It is cold."), ends_properly("It is"), ends_properly("")
    (True, False, False)
    """
    return text.rstrip().endswith((".", "!", "?", '."', '!"', '?"'))
