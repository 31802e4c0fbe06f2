"""Shared parts of the exact checkers: what does a reply claim, echoes of the question set aside?

A checker trusts nothing: replies come from models that may have learnt to please it. The method is
the same everywhere. Refuse what no honest reply holds (`plain`), take away what only repeats the
question (`without_echo`) or rules out a wrong answer (`without_contrast`), then demand that the
words of the answer's type which are left are exactly the expected ones, not denied, not taken back.
Every scan takes time linear in the text, or nearly so, and reads at most `MAX_CHARS` characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from random import Random
from zlib import crc32

from minialign.rewards.equations import MAX_CHARS
from minialign.world.family import Slots
from minialign.world.lexicon import NUMBER_WORDS
from minialign.world.text import plural, sentences, words

_TYPOGRAPHY = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"',
"\u2013": "-",
                             "\u2014": "-", "\u2026": "...", "\n": " ", "\t": " ",
                             "\r": " "})  # fmt: skip
_NEGATION = re.compile(
    r"\b(?:not|never|neither|nor|none|cannot|nothing|nobody|hardly|except|wrong|false|untrue|"
    r"incorrect|unlike|or|no)\b|n't\b|\b(?:any|every)thing but\b|\bfar from\b|\binstead\b",
    re.IGNORECASE,
)
_HARMLESS = re.compile(
    r"\bno (?:doubt|problem|trouble|need|worry|worries|wonder|matter|question)\b|"
    r"\b(?:more or less|sooner or later|whether or not)\b",
    re.IGNORECASE,
)
_RETRACTION = re.compile(
    r"(?:^|[.!?][\"']?)\s*(?:no|nope|wait|oops)\b|\b(?:just )?(?:kidding|joking)\b|"
    r"\b(?:my mistake|a mistake|i lied|scratch that|i take (?:it|that) back|on second thought)\b|"
    r"\b(?:is|was|am|are|were|be)(?:n't| not| never)? (?:wrong|false|untrue|incorrect|a lie)\b|"
    r"\b(?:isn't|wasn't|not|never) (?:be )?"
    r"(?:right|true|correct|so\b(?! \w)|it|the (?:right )?answer)\b|"
    r"\b(?:do not|don't|cannot|can't|can not) (?:really )?(?:know|tell|say|answer)\b"
    r"(?! (?:why|how|who|when|anyone|anybody))",
    re.IGNORECASE,
)
_RECALL = re.compile(
    r"\W*(?:you (?:gave|said|wrote|asked)|your (?:list|words|numbers) (?:is|are|was|were))\b", re.I
)
_ASIDE = re.compile(
    r",?(?: and| but)? (?:not|rather than|instead of) (?:an? |the |in )?([A-Za-z]+)\b", re.I
)
_MOST_REPEATS = 4  # an answer given more often than that is babble
# Everyday phrases whose words could be read as an answer ("right", "day", "saw", ...) but are none.
_IDIOMS = (
    "right away", "right here", "right now", "that is right", "that's right", "you are right",
    "all right", "quite right", "my friend", "dear friend", "old friend", "little friend",
    "a friend", "good friend", "a little", "long list", "good day", "nice day", "lovely day",
    "fine day", "happy day", "every day", "one day", "all day", "some day", "the day", "your day",
    "good night", "give you", "give me", "gives you", "give it", "at last", "at first",
    "first of all",
    "long time", "take care", "take your time", "take a", "take long", "too hard", "so hard",
    "hard question",
    "hard to", "try hard", "think hard", "look up", "looked up", "up to", "cheer up", "grow up",
    "hurry up", "add up", "in the end", "begin with", "let us begin", "far too", "so far", "by far",
    "full of", "happy to", "am happy", "very happy", "glad to", "am glad", "on top", "at the top",
    "i saw", "you saw", "we saw", "bear with", "sharp eyes", "a new", "so easy", "too easy",
    "easy question", "an easy one", "is easy", "was easy", "quick question", "for long",
    "before long",
)  # fmt: skip


def plain(text: str) -> str | None:
    """The text in ASCII with single spaces, or None where no honest reply looks like that.

    Curly quotes, dashes and line breaks are made plain. Empty and over-long text, control marks
    and every other character beyond ASCII (look-alike letters, wide digits) give None.

    >>> plain("It\u2019s  cold."), plain("c\u043eld"), plain(" ")
    ("It's cold.", None, None)
    """
    if not isinstance(text, str) or not text or len(text) > MAX_CHARS:
        return None
    text = " ".join(text.translate(_TYPOGRAPHY).split(" ")).strip()
    text = re.sub(" +", " ", text)
    return text if text and text.isascii() and text.isprintable() else None


def split_of(key: str) -> str:
    """The split, "train" or "test" (one in five), that a piece of content belongs to for good."""
    return "test" if crc32(key.encode()) % 5 == 0 else "train"


def draw(
    rng: Random, split: str, candidate: Callable[[Random], Slots], key: Callable[[Slots], str]
) -> Slots:
    """Slots whose key belongs to the split: candidates are drawn until one does."""
    while True:
        slots = candidate(rng)
        if split_of(key(slots)) == split:
            return slots


@lru_cache(maxsize=256)
def _forms(vocabulary: tuple[str, ...]) -> dict[str, str]:
    """Every form, singular or plural, of the entries of a vocabulary."""
    plurals = {plural(entry.lower()): entry for entry in vocabulary}
    return plurals | {entry.lower(): entry for entry in vocabulary}


def occurrences(text: str, vocabulary: Iterable[str]) -> list[str]:
    """Every mention of a member of the vocabulary, singular or plural, in order, repeats included.

    >>> occurrences("Owls and a fox saw the owl.", ["owl", "fox"])
    ['owl', 'fox', 'owl']
    """
    forms = _forms(tuple(vocabulary))
    found = (w[:-2] if w.endswith("'s") else w for w in words(text))
    return [forms[w] for w in found if w in forms]


def without_idioms(text: str, keep: Sequence[str] = ()) -> str:
    """The text without everyday phrases that look like answers, save those with a `keep` word.

    >>> without_idioms("Right away! It is cold."), without_idioms("All right.", keep=["right"])
    ('_! It is cold.', 'All right.')
    """
    kept = {k.lower() for k in keep}
    phrases = "|".join(p for p in _IDIOMS if not kept.intersection(p.split()))
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
    told = [s for s in sentences(text) if not s.rstrip("\"') ").endswith("?")]
    return " ".join(s for s in told if not _RECALL.match(s))


def without_contrast(text: str, vocabulary: Iterable[str], expected: Iterable[str]) -> str:
    """The text without asides such as ", not a fruit" that rule out an unexpected answer.

    >>> without_contrast("It is cold, not hot.", ["hot", "cold"], ["cold"])
    'It is cold _.'
    >>> without_contrast("It is hot, not cold.", ["hot", "cold"], ["cold"])
    'It is hot, not cold.'
    """
    wanted = {e.lower() for e in expected}
    forms = _forms(tuple(vocabulary))

    def drop(match: re.Match[str]) -> str:
        meant = forms.get(match[1].lower())
        return " _" if meant is not None and meant.lower() not in wanted else match.group()

    return _ASIDE.sub(drop, text)


def negated(sentence: str) -> bool:
    """Whether a sentence denies or hedges: holds "not", "n't", "never", "no", "or", "wrong", ...

    >>> negated("It isn't cold."), negated("Hot or cold."), negated("Cold, no doubt.")
    (True, True, False)
    """
    return bool(_NEGATION.search(_HARMLESS.sub("_", sentence)))


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
    return bool(_RETRACTION.search(_HARMLESS.sub("_", text)))


def asserted(text: str, expected: Sequence[str]) -> bool:
    """Whether every expected answer stands in a sentence that is not a question."""
    told = [s for s in sentences(text) if not s.rstrip("\"') ").endswith("?")]
    found = occurrences(" ".join(told), expected)
    babble = any(found.count(e) > _MOST_REPEATS for e in expected)
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


_TEENS = ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_UNITS = {w: n for n, w in enumerate((*NUMBER_WORDS, *_TEENS))}
_TENS = {
    w: 10 * n
    for n, w in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), start=2
    )
}
_SPELLED = re.compile(
    rf"\b(?:({'|'.join(_TENS)})(?:[- ]({'|'.join(NUMBER_WORDS[1:10])}))?|({'|'.join(_UNITS)}))\b",
    re.IGNORECASE,
)
_PRONOUN_BEFORE = re.compile(
    r"\b(?:(?:the|this|that|which|each|every|no|any|some|another|your|my)"
    r"(?: (?!number|answer|only|just|total)\w+)?|an?(?: (?!of|is|has)\w+){1,2}) $",
    re.IGNORECASE,
)
_PRONOUN_AFTER = re.compile(r" (?:day|moment|more thing|by one|of (?:my|the best|those))\b", re.I)
_TOKEN = re.compile(r"(?<![\w.,])-?[\w.,]*[0-9][\w.,]*(?: ?(?:%|/|percent\b|point\b))?")
_BELOW_ZERO = re.compile(r"(?<![0-9_])(?<![0-9_] )\bminus (?=[0-9])", re.I)
_PARTS = re.compile(r"\b(?:half|quarter|hundred|thousand|million|dozen|negative)\b", re.IGNORECASE)


def digits(text: str) -> str:
    """The text with number words below a hundred as digits; "one" as a pronoun is left alone.

    >>> digits("Forty-two is the larger one, and one is small."), digits("Twelve!")
    ('42 is the larger one, and 1 is small.', '12!')
    """

    def number(match: re.Match[str]) -> str:
        tens, unit, small = (g.lower() if g else None for g in match.groups())
        if tens is not None:
            return str(_TENS[tens] + (_UNITS[unit] if unit else 0))
        if small == "one":
            before, after = text[max(0, match.start() - 40) : match.start()], text[match.end() :]
            if _PRONOUN_BEFORE.search(before) or _PRONOUN_AFTER.match(after[:20]):
                return match.group()
        return str(_UNITS[small or "zero"])

    return _SPELLED.sub(number, text)


def stated_numbers(text: str) -> list[int | None]:
    """Every number that a text states in digits or words, in order; None for no whole number.

    >>> stated_numbers("Seven and 12 make 19."), stated_numbers("19.5, 7 percent, 3x and a half")
    ([7, 12, 19], [None, None, None, None])
    """
    clean = digits(text)
    parts = (*_PARTS.finditer(clean), *_BELOW_ZERO.finditer(clean))
    found: list[tuple[int, int | None]] = [(m.start(), None) for m in parts]
    for match in _TOKEN.finditer(clean):
        token = match.group().rstrip(".,")
        if not re.fullmatch(r"[0-9]+(?:st|nd|rd|th)", token):  # an ordinal counts nothing
            whole = re.fullmatch(r"-?[0-9]{1,9}", token) is not None
            found.append((match.start(), int(token) if whole else None))
    return [value for _, value in sorted(found, key=lambda pair: pair[0])]


def numbers_asserted(text: str, expected: int) -> bool:
    """Whether the number is stated outside of questions, in sentences that do not negate it."""
    holding = [s for s in sentences(text) if expected in stated_numbers(s)]
    told = [s for s in holding if not s.rstrip("\"') ").endswith("?")]
    babble = stated_numbers(text).count(expected) > _MOST_REPEATS
    return bool(told) and not babble and not any(negated(s) for s in holding)
