"""Small tools for writing English and for reading it back without trusting it.

The writers (`a`, `plural`, `join`, `sentence`) keep the grammar of generated text right. The
readers (`words`, `sentences`, `ends_properly`) are what every checker and verifier is built from:
they look at hostile text only through linear-time scans, never evaluate it, and cap what they read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

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


def mentioned(text: str, vocabulary: Iterable[str]) -> list[str]:
    """Members of a vocabulary that a text mentions, singular or plural, in order of first mention.

    >>> mentioned("Two Foxes and an owl saw the fox.", ["owl", "fox", "hen"])
    ['fox', 'owl']
    """
    forms = {}
    for entry in vocabulary:
        forms[entry.lower()] = entry
        forms[plural(entry.lower())] = entry
    return list(dict.fromkeys(forms[w] for w in words(text) if w in forms))


def ends_properly(text: str) -> bool:
    """Whether a text is not empty and its last character closes a sentence.

    >>> ends_properly("It is cold."), ends_properly("It is"), ends_properly("")
    (True, False, False)
    """
    return text.rstrip().endswith((".", "!", "?", '."', '!"', '?"'))
