"""Every prompt asks what its plan computes: the answers here were read off the prompts alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

import pytest

from minialign.world.problems import LEVELS, SPLITS, problem, templates

# template -> the answer as a formula over the numbers of the prompt in the order they are stated
ANSWERS: dict[str, Callable[..., int]] = {
    "1-find": lambda has, finds: has + finds,
    "1-give": lambda has, gives: has - gives,
    "1-together": lambda one, other: one + other,
    "1-take_out": lambda inside, out: inside - out,
    "1-more_than": lambda one, more: one + more,
    "1-fewer_than": lambda one, fewer: one - fewer,
    "1-difference": lambda one, other: one - other,
    "1-two_days": lambda monday, tuesday: monday + tuesday,
    "1-on_the_way": lambda carries, loses: carries - loses,
    "1-need": lambda needs, has: needs - has,
    "1-shelves": lambda top, low: top + low,
    "1-sell": lambda takes, sells: takes - sells,
    "2-find_give": lambda has, finds, gives: has + finds - gives,
    "2-lose_get": lambda has, loses, gets: has - loses + gets,
    "2-three": lambda one, two, three: one + two + three,
    "2-more_together": lambda one, more: one + (one + more),
    "2-fewer_together": lambda one, fewer: one + (one - fewer),
    "2-two_take": lambda inside, one, two: inside - one - two,
    "2-mixed": lambda things, others, out: things + others - out,
    "2-three_days": lambda one, two, three: one + two + three,
    "2-catch_up": lambda one, other, finds: other + finds - one,
    "2-need_help": lambda needs, has, brought: needs - has - brought,
    "2-pick_and_put": lambda there, away, put: there - away + put,
    "2-sell_twice": lambda has, before, after: has - before - after,
    "3-find_give_lose": lambda has, finds, gives, loses: has + finds - gives - loses,
    "3-share_out": lambda one, more, given: one + (one + more) - given,
    "3-up_and_down": lambda one, fewer, more: (one - fewer) + (one - fewer + more),
    "3-two_boxes": lambda red, blue, out, put: red - out + blue + put,
    "3-both_give": lambda one, gave, other, gave_too: one - gave + other - gave_too,
    "3-better_day": lambda monday, more, loses: monday + (monday + more) - loses,
    "3-for_each": lambda one, other, each: one + other + 2 * each,
    "3-wagon": lambda carries, off, on, buys: carries - off + on - buys,
    "3-two_uses": lambda one, other, game, present: one + other - game - present,
    "3-two_helpers": lambda wants, has, one, two: wants - has - one - two,
    "3-second_basket": lambda first, fewer, put: first + (first - fewer + put),
    "3-turn_round": lambda one, other, loses, finds: (other + finds) - (one - loses),
    "4-bags": lambda bags, each, finds, gives: bags * each + finds - gives,
    "4-twice": lambda one, given: 3 * one - given,
    "4-times_as_many": lambda one, times, loses: one + (one * times - loses),
    "4-two_fill": lambda bags, each, more, each_too: bags * each + more * each_too,
    "4-rows": lambda rows, each, one, two: rows * each - one - two,
    "4-each_day": lambda daily, days, gives, finds: daily * days - gives + finds,
    "4-buy": lambda coins, given, things, price: coins + given - things * price,
    "4-twice_gap": lambda one, finds: 2 * one - (one + finds),
    "4-twice_both": lambda one, other, gives: 2 * (one + other) - gives,
    "4-left_over": lambda each, bags, left, finds: each * bags + left + finds,
    "4-big_and_small": lambda big, small, count, gives: big + small * count - gives,
    "4-need_twice": lambda needs, one: needs - 3 * one,
    "5-birthday": lambda age, bags, each, finds, gives, loses: bags * each + finds - gives - loses,
    "5-twice_give": lambda one, idle, gives, loses: 3 * one - gives - loses,
    "5-rows_back": lambda rows, each, one, two, idle, put: rows * each - one - two + put,
    "5-walk_home": lambda a, b, c, d, minutes, loses: a * b + c * d - loses,
    "5-market": lambda coins, given, people, n, price, loses: coins + given - n * price - loses,
    "5-chain": lambda one, more, fewer, idle: one + (one + more) + (one + more - fewer),
    "5-rain": lambda monday, hours, fewer: monday + 2 * monday + (2 * monday - fewer),
    "5-times_walk": lambda a, times, minutes, finds, gives: a + finds + a * times - gives,
    "5-boxes_and_more": lambda red, blue, idle, out, put, took: red - out + blue + put - took,
    "5-feast": lambda days, needs, has, bags, each, more: needs - has - bags * each - more,
    "5-cart": lambda idle, bags, each, one, two, three: bags * each - one - two - three,
    "5-now_twice": lambda a, lost, c, lost_too, idle: (c - lost_too) + 2 * (a - lost),
}

# The same for prompts that state the numbers in another order: (template, what only they say).
REORDERED: dict[tuple[str, str], Callable[..., int]] = {
    ("1-give", "asks"): lambda gives, had: had - gives,
    ("1-take_out", "needs"): lambda needs, had: had - needs,
    ("1-fewer_than", "who has"): lambda fewer, one: one - fewer,
    ("1-difference", "owns"): lambda other, one: one - other,
    ("1-on_the_way", "On the way home,"): lambda fall, had: had - fall,
    ("1-on_the_way", "When"): lambda gone, had: had - gone,
    ("2-more_together", "who has"): lambda more, one: one + (one + more),
    ("2-fewer_together", "who has"): lambda fewer, one: one + (one - fewer),
    ("2-catch_up", " got "): lambda had, got, other: had + got - other,
    ("2-catch_up", "only"): lambda starts, buys, other: starts + buys - other,
    ("3-share_out", "who has"): lambda more, one, given: one + (one + more) - given,
    ("3-up_and_down", "who has"): lambda fewer, one, more: 2 * (one - fewer) + more,
    ("3-two_boxes", "In the red box"): lambda red, out, blue, put: red - out + blue + put,
    ("3-two_boxes", "'s red box"): lambda red, fall, blue, put: red - fall + blue + put,
    ("3-both_give", "starts with"): lambda one, other, drop, too: one - drop + other - too,
    ("3-better_day", "when"): lambda more, monday, given: monday + (monday + more) - given,
    ("4-times_as_many", "who has"): lambda times, one, fell: one + (one * times - fell),
    ("4-buy", "each costs"): lambda things, price, coins, got: coins + got - things * price,
    ("4-buy", "them costs"): lambda things, price, coins, gets: coins + gets - things * price,
    ("5-birthday", "in each of"): lambda each, n, age, gets, go, gone: each * n + gets - go - gone,
    ("5-twice_give", "They give"): lambda idle, one, give, gone: 3 * one - give - gone,
    ("5-rows_back", "picks up"): lambda n, each, idle, one, two, put: n * each - one - two + put,
    ("5-rows_back", "Later"): lambda each, n, one, two, put, idle: n * each - one - two + put,
    ("5-market", "takes home"): lambda people, a, b, n, price, fall: a + b - n * price - fall,
    ("5-chain", "who has"): lambda more, one, idle, fewer: one + 2 * (one + more) - fewer,
    ("5-chain", "counts"): lambda one, more, idle, fewer: one + 2 * (one + more) - fewer,
    ("5-times_walk", "who has"): lambda times, a, minutes, up, hands: a + up + a * times - hands,
    ("5-times_walk", "buys"): lambda a, times, buys, drops, minutes: a + buys + a * times - drops,
    ("5-boxes_and_more", "fall out"): lambda idle, red, blue, out, put, took: (
        red - out + blue + put - took
    ),
}  # fmt: skip


def answer_of(template: str, prompt: str) -> int:
    """The answer by the formula of a prompt's own order."""
    own = [f for (name, mark), f in REORDERED.items() if name == template and mark in prompt]
    assert len(own) <= 1, prompt
    formula = own[0] if own else ANSWERS[template]
    return formula(*[int(x) for x in re.findall(r"[0-9]+", prompt)])


def test_every_template_has_an_answer() -> None:
    assert set(ANSWERS) == {f"{level}-{t.name}" for level in LEVELS for t in LEVELS[level]}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("split", SPLITS)
def test_prompts_mean_what_the_plans_compute(level: int, split: str) -> None:
    rng, told = Random(level), set()
    for _ in range(700):
        p = problem(rng, level, split)
        assert answer_of(p.template, p.prompt) == p.answer, p.prompt
        told |= {
            prompt
            for t in templates(level, split)
            if p.template == f"{level}-{t.name}"
            for prompt in t.prompts_of(split)
            if re.fullmatch(re.sub(r"\\{\w+\\}", r"[\\w' ]+", re.escape(prompt)), p.prompt, re.I)
        }
    assert told == {prompt for t in templates(level, split) for prompt in t.prompts_of(split)}
