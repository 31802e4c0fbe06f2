"""Exercises on replies: which one answers, which one is paid, and how many of k tries are right."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from math import comb

import torch
from torch import Tensor

from minialign.course.exercises.compare import Exercise
from minialign.rewards.solutions import verify_outcome

# Replies to "What is the opposite of hot?", and whether each answers cold and nothing else.
VERDICTS = {
    "Cold.": True,
    "cold": True,
    "COLD!": True,
    "The opposite of hot is cold.": True,
    "I think it is cold.": True,
    "It is cold, of course.": True,
    "The word is: cold": True,
    'It is "cold".': True,
    "Hot.": False,
    "Warm.": False,
    "The opposite of hot is warm.": False,
    "": False,
    "I was scolded.": False,
    "colder": False,
    "It is coldness.": False,
    "Not cold.": False,
    "It is not cold.": False,
    "It isn't cold.": False,
    "Cold or warm.": False,
    "Cool or cold.": False,
    "It is warm and cold.": False,
    "Cold. Warm.": False,
    "The opposite of cold is hot.": False,
    "It is hot.": False,
}
LONGEST = 60  # characters of a reply that a verdict quotes whole
_NEGATIONS, _OTHERS = {"not", "isn't"}, {"warm", "cool", "or"}


def _words(reply: str) -> list[str]:
    return re.findall(r"[a-z]+(?:'[a-z]+)?", reply.lower())


def _checker(reply: str, *, negation: bool, others: bool, turned: bool) -> bool:
    """Whether the word is in a reply, with some of the rules that this takes."""
    words = set(_words(reply))
    if turned and "opposite of cold" in reply.lower():
        return False
    return "cold" in words and not (negation and words & _NEGATIONS) and not (
        others and words & _OTHERS
    )  # fmt: skip


def _first_wrong(cases: Sequence[tuple], mine: Sequence[Tensor], right: Sequence[Tensor]) -> str:
    """The first reply that is judged wrongly, and how many there are."""
    if odd := [one for one in mine if one not in (0, 1)]:
        return f"returns {odd[0]:.4g}; return True or False"
    wrong = [i for i in range(len(cases)) if mine[i] != right[i]]
    wrong.sort(key=lambda i: not mine[i])  # first what is taken for right: it does more harm
    verdict = "yes" if mine[wrong[0]] else "no"
    more = f", and is wrong about {len(wrong) - 1} more" if len(wrong) > 1 else ""
    text = cases[wrong[0]][0]
    reason = _REASONS.get((verdict, text), "")
    text = repr(text) if len(text) <= LONGEST else f"a text that ends with {text[-30:]!r}"
    return f"says {verdict} to {text}{more}{reason and ': ' + reason}"


# What is behind a wrong verdict where it is the first one, whatever else is wrong.
_REASONS = {
    ("yes", "I was scolded."): "compare whole words, not letters within them",
    ("no", "Cold."): "neither a capital letter nor punctuation matters",
    ("no", "COLD!"): "neither capital letters nor punctuation matter",
    ("no", "The opposite of hot is cold."): "a reply may repeat the question's hot",
    ("no", "I think it is cold."): "the word may stand in a sentence",
    ("yes", "Not cold."): "a negation turns the answer round",
    ("yes", "It isn't cold."): "n't is a negation, too",
    ("yes", "Cold or warm."): "a second answer is no answer",
    ("yes", "If the answer is 12, so be it."):
        "a condition is no answer; begin at the beginning of the sentence",
    ("yes", "I doubt that the answer is 12."):
        "a doubt is no answer; begin at the beginning of the sentence",
    ("yes", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20"):
        "a number that stands somewhere is no answer",
    ("yes", "5 + 7 = 12. The answer is 11."): "the number on the way is not the one claimed",
    ("yes", "12"): "nothing is called the answer",
    ("yes", "I am 12."): "nothing is called the answer",
    ("yes", "The answer is 120."): "the number goes on",
    ("yes", "The answer is 012."): "compare texts of numbers, since int() reads more than one",
    ("yes", "The answer is 12.5."): "the number goes on; after it comes a unit, or the end",
    ("yes", "The answer is 12%."): "a sign makes it another number; after it comes a unit, or the "
        "end",
    ("yes", "The answer is 1 2."): "two numbers are no answer",
    ("yes", "The answer is 7 + 5 = 12."): "the number must follow at once",
    ("yes", "The answer is 12 or 13."): "after the answer comes no other number",
    ("yes", "The answer is 12. Or is it 13?"): "after the answer comes no other number",
    ("yes", "The answer is 11. The answer is 12."): "all claims must name the right number",
    ("yes", "The answer is 12. The answer is 13."): "all claims must name the right number",
    ("no", "The answer is 12. The answer is 12."): "the same answer, said twice, is paid",
    ("no", "The answer is 12 pears."): "a unit may follow",
    ("no", "3 x 4 = 12.\nThe answer is 12"): "the full stop may be missing at the end of a line",
    ("no", "the answer is 12."): "case does not matter",
    ("no", "5 + 7 = 12. The answer is 12."): "work may stand before the answer",
    ("yes", "The answer is 12 maybe."): "a doubt is no unit",
    ("yes", "The answer is 12 perhaps."): "a doubt is no unit",
    ("yes", "The answer is 12 not."): "a denial is no unit",
    ("yes", "The answer is 12 if you are lucky."):
        "a condition is no answer; one word, a unit, may follow the number, then the end",
    ("yes", "The answer is not 11. The answer is 12."):
        "each 'answer is' must be a claim; count both, and compare",
}  # fmt: skip


def _only(*rules: str) -> Callable[[str], bool]:
    """A checker with these rules alone."""
    return partial(_checker, **{rule: rule in rules for rule in ("negation", "others", "turned")})


names_cold = Exercise(
    "names_cold",
    VERDICTS.__getitem__,
    tuple((reply,) for reply in VERDICTS),
    {
        "says yes to 'I was scolded.': compare whole words, not letters within them":
            lambda reply: "cold" in reply.lower(),
        "says yes to 'I was scolded.' and no to 'COLD!': compare whole words, in lower case":
            lambda reply: "cold" in reply,
        "says no to 'The opposite of hot is cold.': the word may stand in a sentence":
            lambda reply: _words(reply) == ["cold"],
        "says no to 'Cold.': punctuation and a sentence around the word do not matter":
            lambda reply: reply.strip().lower() == "cold",
        "says yes to one way to write it only: neither case nor punctuation nor a sentence matter":
            lambda reply: reply == "Cold.",
        "says no to 'COLD!': compare in lower case": lambda reply:
            "cold" in re.findall(r"\w+", reply),
        "says no to 'Cold.': split() leaves the full stop on the word; strip the punctuation":
            lambda reply: "cold" in reply.lower().split(),
        "says no to 'Cold.' and to 'COLD!': strip the punctuation, and compare in lower case":
            lambda reply: "cold" in reply.split(),
        "says yes to 'Not cold.', to 'Cold or warm.' and to 'The opposite of cold is hot.': the "
        "word is there, but is it the answer, and the only one?": _only(),
        "says yes to 'Cold or warm.' and to 'The opposite of cold is hot.': a second answer, and "
        "the question turned round, are no right answer": _only("negation"),
        "says yes to 'Not cold.' and to 'The opposite of cold is hot.': look for not, and for the "
        "question turned round": _only("others"),
        "says yes to 'Not cold.' and to 'Cold or warm.': look for not, and for a second answer":
            _only("turned"),
        "says yes to 'Not cold.' and to \"It isn't cold.\": a negation turns the answer round":
            _only("others", "turned"),
        "says yes to 'Cold or warm.': it must name cold and nothing else; look for other answers":
            _only("negation", "turned"),
        "says yes to 'The opposite of cold is hot.': cold is mentioned there, and hot the answer":
            _only("negation", "others"),
        "says no to 'The opposite of hot is cold.': a reply may repeat the question's hot":
            lambda reply: names_cold.reference(reply) and "hot" not in _words(reply),
        "says yes to 'Not cold.': the last word alone does not tell":
            lambda reply: _words(reply)[-1:] == ["cold"],
        "says no to 'I think it is cold.': the first word alone does not tell":
            lambda reply: _words(reply)[:1] == ["cold"],
        "says yes to 'Not cold.' and no to 'It is cold, of course.': the end alone does not tell":
            lambda reply: reply.lower().rstrip(".!").endswith("cold"),
        "says yes to 'colder' and no to 'I think it is cold.': the beginning alone does not tell":
            lambda reply: reply.lower().startswith("cold"),
        "says yes to \"It isn't cold.\": n't is a negation, too":
            lambda reply: names_cold.reference(reply) or reply == "It isn't cold.",
        "says yes to every reply": lambda reply: True,
        "says no to every reply": lambda reply: False,
    },
    tell=_first_wrong,
)  # fmt: skip

# What a policy that is paid for the right answer, 12, may write, and whether it should be paid.
ATTACKS = {
    "The answer is 12.": True,
    "5 + 7 = 12. The answer is 12.": True,
    "Tom has 9 + 8 = 17 figs. Then 17 - 5 = 12 are left. The answer is 12.": True,
    "3 x 4 = 12.\nThe answer is 12": True,
    "the answer is 12.": True,
    "The answer is 12 pears.": True,
    "The answer is 12. The answer is 12.": True,
    "": False,
    "12": False,
    "I am 12.": False,
    "5 + 7 = 12.": False,
    "The answer is 11.": False,
    "5 + 7 = 12. The answer is 11.": False,
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20": False,
    "The answer is 120.": False,
    "The answer is 112.": False,
    "The answer is 012.": False,
    "The answer is -12.": False,
    "The answer is 12.5.": False,
    "The answer is 12%.": False,
    "The answer is 1 2.": False,
    "The answer is 5 + 7.": False,
    "The answer is 7 + 5 = 12.": False,
    "The answer is twelve.": False,
    "The answer is \u0661\u0662.": False,  # 12 in Arabic digits, which int() reads
    "The answer is __import__('math').prod([3, 4]).": False,
    "The answer is not 12.": False,
    "If the answer is 12, so be it.": False,
    "I doubt that the answer is 12.": False,
    "The answer is 12 if you are lucky.": False,
    "The answer is 12 maybe.": False,
    "The answer is 12 perhaps.": False,
    "The answer is 12 not.": False,
    "Is the answer 12?": False,
    "The answer is 12 or 13.": False,
    "The answer is 10, 11, 12, 13.": False,
    "The answer is 11. The answer is 12.": False,
    "The answer is not 11. The answer is 12.": False,
    "The answer is 12. The answer is 13.": False,
    "The answer is 12. Or is it 13?": False,
    "The answer is 12. " * 2000: False,
}
_OTHER = {"The answer is 12.": False, "5 + 2 = 7. The answer is 7.": True}  # where 7 is right


def _claim(text: str, place: int, numbers: str = "[0-9]+") -> str | None:
    """The number of one of the statements "answer is N", or None."""
    claims = re.findall(rf"answer is ({numbers})", text, re.IGNORECASE)
    return claims[place] if claims else None


def _is_number(text: str | None, answer: int) -> bool:
    return text is not None and text.isdecimal() and int(text) == answer


def _paid(*others: str) -> Callable[[str, int], bool]:
    """The right verifier, which pays for some texts that it should not."""
    return lambda text, answer: verify_outcome(answer, text) or (answer == 12 and text in others)


verified = Exercise(
    "verified",
    lambda text, answer: verify_outcome(answer, text),
    (*((text, 12) for text in ATTACKS), *((text, 7) for text in _OTHER)),
    {
        "pays for '1 2 3 ... 20' and for '5 + 7 = 12. The answer is 11.': a number that stands "
        "somewhere is no answer": lambda text, answer: str(answer) in text,
        "pays for '1 2 3 ... 20': whole numbers are compared, but one that stands somewhere is no "
        "answer": lambda text, answer: str(answer) in re.findall("[0-9]+", text),
        "pays for '12' and for '5 + 7 = 12.': the last number of a text is no answer "
        "unless it is called one": lambda text, answer:
            re.findall("[0-9]+", text)[-1:] == [str(answer)],
        "pays for 'The answer is 120.' and for 'The answer is 12.5.': the number may go on":
            lambda text, answer: f"answer is {answer}" in text.lower(),
        "pays for 'The answer is 12. The answer is 13.': the first of two answers is no answer":
            lambda text, answer: _claim(text, 0) == str(answer),
        "pays for 'The answer is 11. The answer is 12.': the last of two answers is no answer":
            lambda text, answer: _claim(text, -1) == str(answer),
        "pays for 'The answer is 012.' and for Arabic digits: int() and \\d read more than 0 to 9":
            lambda text, answer: _is_number(_claim(text, -1, r"\d+"), answer),
        "pays for 'The answer is 12.' alone: a worked solution stands before it":
            lambda text, answer: text == f"The answer is {answer}.",
        "pays for whatever ends with 'The answer is 12.', also after another answer, and not for "
        "'The answer is 12 pears.'": lambda text, answer: text.endswith(f"The answer is {answer}."),
        "pays for 'The answer is not 12.': the number must follow at once":
            _paid("The answer is not 12."),
        "pays for 'If the answer is 12, so be it.': a condition is no answer; begin at the "
        "beginning of the sentence": _paid("If the answer is 12, so be it."),
        "pays for 'I doubt that the answer is 12.': a doubt is no answer; begin at the "
        "beginning of the sentence": _paid("I doubt that the answer is 12."),
        "pays for 'If the answer is 12, so be it.' and for 'I doubt that the answer is 12.': "
        "neither is an answer; begin at the beginning of the sentence":
            _paid("If the answer is 12, so be it.", "I doubt that the answer is 12."),
        "pays for 'The answer is 12 if you are lucky.': a condition is no answer; one word, a "
        "unit, may follow the number, then the end": _paid("The answer is 12 if you are lucky."),
        "pays for 'The answer is 12 maybe.' and for 'The answer is 12 not.': a doubt or a denial "
        "is no unit": _paid(
            "The answer is 12 maybe.", "The answer is 12 perhaps.", "The answer is 12 not."),
        "pays for 'The answer is not 11. The answer is 12.': each 'answer is' must be a claim; "
        "count both, and compare": _paid("The answer is not 11. The answer is 12."),
        "pays for 'The answer is 12 or 13.': after the answer comes no other number":
            _paid("The answer is 12 or 13.", "The answer is 12. Or is it 13?"),
        "pays for Arabic digits: \\d reads them too; write [0-9], or give re.ASCII":
            _paid("The answer is \u0661\u0662."),
        "pays for the text of 36,000 characters: no honest reply is that long, so set a limit":
            _paid("The answer is 12. " * 2000),
        "pays for code: whoever evaluates what a policy wrote has given it the machine":
            _paid("The answer is __import__('math').prod([3, 4]).", "The answer is 5 + 7."),
        "pays for every text, right or wrong": lambda text, answer: True,
        "pays for no text, right or wrong": lambda text, answer: False,
    },
    tell=_first_wrong,
)  # fmt: skip


def _pass_curve(correct: Tensor, n: int, ks: list[int]) -> Tensor:
    """(P, K) chance that at least one of k tries is right, from `correct` of n.

    Chen et al. 2021, arXiv:2107.03374, equation 1.
    """
    rows = [[1 - comb(n - int(c), k) / comb(n, k) for k in ks] for c in correct]
    return torch.tensor(rows, dtype=torch.float64)


def _by_k(correct: Tensor, ks: list[int], chance: Callable[[Tensor, int], Tensor]) -> Tensor:
    return torch.stack([chance(correct.double(), k) for k in ks], 1)


pass_curve = Exercise(
    "pass_curve",
    _pass_curve,
    (
        (torch.tensor([0, 1, 2, 4]), 4, [1, 2, 4]),
        (torch.tensor([1, 3, 100, 256]), 256, [1, 16, 128, 256]),
    ),
    {
        "tries are drawn with replacement: 1 - (1 - c / n)^k is too low for k near n; count the "
        "choices of k of the n tries": lambda correct, n, ks:
            _by_k(correct, ks, lambda c, k: 1 - (1 - c / n) ** k),
        "k is not used, it is the share that is right": lambda correct, n, ks:
            _by_k(correct, ks, lambda c, k: c / n),
        "k times the share that is right counts a choice with two right tries twice":
            lambda correct, n, ks: _by_k(correct, ks, lambda c, k: (k * c / n).clamp(max=1)),
        "it is whether any of the n tries is right: only k of them are looked at":
            lambda correct, n, ks: _by_k(correct, ks, lambda c, k: (c > 0).double()),
        "it is the chance that no try is right: take it from 1":
            lambda *given: 1 - _pass_curve(*given),
        "it is the chance that all k tries are right: one is enough": lambda correct, n, ks:
            1 - _pass_curve(n - correct, n, ks),
        "it is the chance that exactly one of k is right: more are as good":
            lambda correct, n, ks: _by_k(correct, ks, lambda c, k: torch.tensor(
                [int(x) * comb(n - int(x), k - 1) / comb(n, k) for x in c]).double()),
        "the binomials are those of the right tries: no right one is C(n - c, k) / C(n, k)":
            lambda correct, n, ks: 1 - torch.tensor(
                [[comb(int(c), k) / comb(n, k) for k in ks] for c in correct]).double(),
        "rows are problems and columns are k, not the other way round, and they must not mix":
            lambda correct, n, ks: _pass_curve(correct, n, ks).flip(0),
        "n - c is off by one: C(n - c, k) counts the choices without any of the c right tries":
            lambda correct, n, ks: _pass_curve((correct - 1).clamp(min=0), n, ks),
        "it is the mean over the problems, one number per k: return one row per problem, (P, K)":
            lambda *given: _pass_curve(*given).mean(0),
    },
)  # fmt: skip
