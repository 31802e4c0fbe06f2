"""Exercises on replies: a checker decides what counts as an answer, a group which is better."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from minialign.algorithms import ppo
from minialign.algorithms.grpo import STD_EPS, group_zscore
from minialign.course.exercises.compare import Exercise, drawn
from minialign.variants.group_advantages import group_centred

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
    verdict = "yes" if mine[wrong[0]] else "no"
    more = f", and is wrong about {len(wrong) - 1} more" if len(wrong) > 1 else ""
    reply = cases[wrong[0]][0]
    reason = _REASONS.get((verdict, reply), "")
    return f"says {verdict} to {reply!r}{more}{reason and ': ' + reason}"


# What is behind a wrong verdict where it is the first one, whatever else is wrong.
_REASONS = {
    ("yes", "I was scolded."): "compare whole words, not letters within them",
    ("no", "Cold."): "neither a capital letter nor punctuation matters",
    ("no", "COLD!"): "neither capital letters nor punctuation matter",
    ("no", "cold"): "the bare word is an answer",
    ("no", "The opposite of hot is cold."): "a reply may repeat the question's hot",
    ("no", "I think it is cold."): "the word may stand in a sentence",
    ("yes", "Not cold."): "a negation turns the answer round",
    ("yes", "It isn't cold."): "n't is a negation, too",
    ("yes", "Cold or warm."): "a second answer is no answer",
}


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


group_advantages = Exercise(
    "group_advantages",
    group_zscore,
    (
        (torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 2.0, 0.5, 0.0]]),),
        (torch.tensor([[3.0, 1.0], [0.0, 0.0]]),),
    ),
    {
        "mean and deviation are the whole batch's: each prompt is its own group":
            lambda rewards: (rewards - rewards.mean()) / (rewards.std() + STD_EPS),
        "the deviation is the whole batch's: each prompt is its own group":
            lambda rewards: group_centred(rewards) / (rewards.std() + STD_EPS),
        "it is not divided by the deviation": group_centred,
        "it is not centred": lambda rewards: rewards / (rewards.std(1, keepdim=True) + STD_EPS),
        "a tied group is 0 / 0, which is nan: add 1e-4 to the deviation":
            lambda rewards: group_centred(rewards) / rewards.std(1, keepdim=True),
        "the deviation is the population's: use std with Bessel's correction, torch's default":
            lambda rewards: group_centred(rewards)
                / (rewards.std(1, keepdim=True, correction=0) + STD_EPS),
        "groups are rows, (P, G), and not columns":
            lambda rewards: (rewards - rewards.mean(0)) / (rewards.std(0) + STD_EPS),
    },
)  # fmt: skip


def _tokens() -> tuple[Tensor, ...]:
    """Ratios from 1/4 to 4, and an advantage of either sign for each completion."""
    generator = drawn(7)
    old = torch.rand(4, 6, generator=generator).log()
    logprobs = old + 2.8 * (torch.rand(4, 6, generator=generator) - 0.5)
    return logprobs, old, torch.tensor([1.5, -0.5, 1.0, -2.0])


def _clipped(logprobs: Tensor, old: Tensor, advantages: Tensor) -> Tensor:
    return -ppo.policy_loss((logprobs - old).exp(), advantages[:, None], clip=0.2)


def _cut(logprobs: Tensor, old: Tensor, advantages: Tensor) -> Tensor:
    return (logprobs - old).exp().clamp(0.8, 1.2) * advantages[:, None]


def _uncut(logprobs: Tensor, old: Tensor, advantages: Tensor) -> Tensor:
    return (logprobs - old).exp() * advantages[:, None]


clipped = Exercise(
    "clipped",
    _clipped,
    (_tokens(), (torch.zeros(2, 1), torch.zeros(2, 1), torch.tensor([1.0, -1.0]))),
    {
        "the ratio is upside down: new over old":
            lambda logprobs, old, advantages: _clipped(old, logprobs, advantages),
        "it is clipped only: without the minimum, a mistake far outside has no gradient": _cut,
        "it is not clipped": _uncut,
        "the larger of the two is taken: the minimum is the cautious one":
            lambda *tokens: torch.maximum(_uncut(*tokens), _cut(*tokens)),
        "the sign is reversed: it is an objective, to be raised":
            lambda *tokens: -_clipped(*tokens),
        "the ratio is the difference of logprobs: take its exponential":
            lambda logprobs, old, advantages: torch.minimum(
                (logprobs - old) * advantages[:, None],
                (logprobs - old).clamp(0.8, 1.2) * advantages[:, None],
            ),
    },
    trains=True,
)  # fmt: skip
