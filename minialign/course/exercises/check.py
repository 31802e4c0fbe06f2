"""The checks that notebooks call: every exercise, and whether shown code is the package's own."""

from minialign.course.exercises.compare import Exercise, same_code
from minialign.course.exercises.likelihood import (
    cross_entropy,
    next_token_logprobs,
    summed_logprobs,
)
from minialign.course.exercises.policy import clipped, group_advantages, token_rewards, value_loss
from minialign.course.exercises.preference import bradley_terry, dpo_loss, last_token

__all__ = [
    "Exercise",
    "bradley_terry",
    "clipped",
    "cross_entropy",
    "dpo_loss",
    "group_advantages",
    "last_token",
    "next_token_logprobs",
    "same_code",
    "summed_logprobs",
    "token_rewards",
    "value_loss",
]  # fmt: skip
