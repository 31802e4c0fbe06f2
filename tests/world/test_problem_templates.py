"""Every template asks what its plan computes: the answers below were read off the prompts alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

import pytest

from minialign.world.problems import LEVELS, problem

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


def test_every_template_has_an_answer() -> None:
    assert set(ANSWERS) == {f"{level}-{t.name}" for level in LEVELS for t in LEVELS[level]}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_prompts_mean_what_the_plans_compute(level: int, split: str) -> None:
    rng = Random(level)
    for _ in range(250):
        p = problem(rng, level, split)
        stated = [int(n) for n in re.findall(r"[0-9]+", p.prompt)]
        assert ANSWERS[p.template](*stated) == p.answer, p.prompt
