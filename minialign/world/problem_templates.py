"""The wording of the word problems: twelve templates a level, of which the last three are held out.

A prompt and its notes (one sentence for each step) are `str.format` templates over these slots:
`a`..`e` are given numbers, `n` a number that does not matter and `m` a small one of that sort; `A`,
`B` and `C` are people; `he`, `him` and `his` the pronouns of A; `things` and `others` two sorts of
goods; `bag` and `bags` a container; `place` a place with its preposition. In a note `{eq}` is the
equation of the step. A plan is the steps themselves: their results are called p, q, r and s.
"""

from __future__ import annotations

from dataclasses import dataclass

HELD_OUT = 4  # the last quarter of the templates of a level is kept for testing


@dataclass(frozen=True)
class Template:
    """One kind of problem."""

    name: str
    prompt: str
    plan: str
    notes: tuple[str, ...]

    @property
    def steps(self) -> list[tuple[str, str, str]]:
        """The plan as (left, operation, right)."""
        return [tuple(step.split()) for step in self.plan.split(", ")]  # type: ignore[misc]


T = Template

LEVEL_1 = (
    T("find",
      "{A} has {a} {things}. {he} finds {b} more {place}. How many {things} does {he} have now?",
      "a + b", ("{A} now has {eq} {things}.",)),
    T("give",
      "{A} has {a} {things} and gives {b} of them to {B}. How many {things} does {A} have left?",
      "a - b", ("{A} has {eq} {things} left.",)),
    T("together",
      "{A} has {a} {things} and {B} has {b}. How many {things} do they have together?",
      "a + b", ("Together they have {eq} {things}.",)),
    T("take_out",
      "There are {a} {things} in a {bag}. {A} takes {b} of them out. How many {things} are still "
      "in the {bag}?",
      "a - b", ("There are {eq} {things} in the {bag}.",)),
    T("more_than",
      "{A} has {a} {things}. {B} has {b} more than {A}. How many {things} does {B} have?",
      "a + b", ("{B} has {eq} {things}.",)),
    T("fewer_than",
      "{A} has {a} {things}. {B} has {b} fewer than {A}. How many {things} does {B} have?",
      "a - b", ("{B} has {eq} {things}.",)),
    T("difference",
      "{A} has {a} {things} and {B} has {b}. How many more {things} does {A} have than {B}?",
      "a - b", ("{A} has {eq} {things} more.",)),
    T("two_days",
      "On Monday {A} finds {a} {things}. On Tuesday {he} finds {b}. How many {things} is that in "
      "all?",
      "a + b", ("That is {eq} {things} in all.",)),
    T("on_the_way",
      "{A} carries {a} {things} home and loses {b} of them on the way. How many {things} does {he} "
      "bring home?",
      "a - b", ("{A} brings home {eq} {things}.",)),
    T("need",
      "{A} needs {a} {things} and already has {b}. How many more {things} does {he} need?",
      "a - b", ("{A} needs {eq} more {things}.",)),
    T("shelves",
      "There are {a} {things} on the top shelf and {b} on the low shelf. How many {things} are on "
      "both shelves?",
      "a + b", ("On both shelves there are {eq} {things}.",)),
    T("sell",
      "{A} takes {a} {things} to the market and sells {b} of them there. How many {things} does "
      "{he} take home?",
      "a - b", ("{A} takes home {eq} {things}.",)),
)  # fmt: skip

LEVEL_2 = (
    T("find_give",
      "{A} has {a} {things}. {he} finds {b} more and then gives {c} to {B}. How many {things} does "
      "{A} have left?",
      "a + b, p - c", ("{A} has {eq} {things}.", "Then {eq} are left.")),
    T("lose_get",
      "{A} has {a} {things} and loses {b} of them. Then {B} gives {him} {c} more. How many "
      "{things} does {A} have now?",
      "a - b, p + c", ("{A} keeps {eq} {things}.", "Then {he} has {eq}.")),
    T("three",
      "{A} has {a} {things}, {B} has {b} and {C} has {c}. How many {things} do all three have "
      "together?",
      "a + b, p + c", ("{A} and {B} have {eq} {things}.", "All three have {eq}.")),
    T("more_together",
      "{A} has {a} {things}. {B} has {b} more than {A}. How many {things} do they have together?",
      "a + b, a + p", ("{B} has {eq} {things}.", "Together they have {eq}.")),
    T("fewer_together",
      "{A} has {a} {things}. {B} has {b} fewer than {A}. How many {things} do they have together?",
      "a - b, a + p", ("{B} has {eq} {things}.", "Together they have {eq}.")),
    T("two_take",
      "There are {a} {things} in a {bag}. {A} takes {b} and {B} takes {c}. How many {things} are "
      "still in the {bag}?",
      "a - b, p - c", ("{A} leaves {eq} {things}.", "{B} leaves {eq}.")),
    T("mixed",
      "{A} puts {a} {things} and {b} {others} into a {bag}. Then {he} takes {c} of them out. How "
      "many things are still in it?",
      "a + b, p - c", ("There are {eq} things in the {bag}.", "Then {eq} are still in it.")),
    T("three_days",
      "{A} finds {a} {things} on Monday, {b} on Tuesday and {c} on Wednesday. How many {things} is "
      "that in all?",
      "a + b, p + c", ("In two days that is {eq} {things}.", "In all it is {eq}.")),
    T("catch_up",
      "{A} has {a} {things}. {B} has {b} and finds {c} more. How many more {things} does {B} have "
      "than {A} now?",
      "b + c, p - a", ("{B} has {eq} {things}.", "That is {eq} more.")),
    T("need_help",
      "{A} needs {a} {things}. {he} has {b}, and {B} brings {c}. How many more {things} does {A} "
      "need?",
      "b + c, a - p", ("So far there are {eq} {things}.", "{A} needs {eq} more.")),
    T("pick_and_put",
      "There are {a} {things} on a table. {A} takes {b} of them away. Later {B} puts {c} there. "
      "How many {things} are on the table now?",
      "a - b, p + c", ("First {eq} {things} stay there.", "Later there are {eq}.")),
    T("sell_twice",
      "{A} has {a} {things} to sell. {he} sells {b} before lunch and {c} after lunch. How many "
      "{things} are left?",
      "b + c, a - p", ("{A} sells {eq} {things}.", "Then {eq} are left.")),
)  # fmt: skip

LEVEL_3 = (
    T("find_give_lose",
      "{A} has {a} {things}. {he} finds {b} more {place}, gives {c} to {B} and loses {d} on the "
      "way home. How many {things} does {A} have now?",
      "a + b, p - c, q - d",
      ("{A} has {eq} {things}.", "After the gift {he} has {eq}.", "In the end {eq} are left.")),
    T("share_out",
      "{A} has {a} {things}. {B} has {b} more than {A}. They put all of them into one {bag} and "
      "give {c} to {C}. How many {things} are left in the {bag}?",
      "a + b, a + p, q - c",
      ("{B} has {eq} {things}.", "Together they have {eq}.", "Then {eq} are left.")),
    T("up_and_down",
      "{A} has {a} {things}. {B} has {b} fewer than {A}. {C} has {c} more than {B}. How many "
      "{things} do {B} and {C} have together?",
      "a - b, p + c, p + q",
      ("{B} has {eq} {things}.", "{C} has {eq}.", "Together they have {eq}.")),
    T("two_boxes",
      "There are {a} {things} in a red box and {b} in a blue box. {A} takes {c} out of the red box "
      "and puts {d} more into the blue box. How many {things} are in both boxes now?",
      "a - c, b + d, p + q",
      ("The red box has {eq} {things}.", "The blue box has {eq}.", "Both have {eq}.")),
    T("both_give",
      "{A} had {a} {things} and gave away {b}. {B} had {c} and gave away {d}. How many {things} do "
      "they have together now?",
      "a - b, c - d, p + q",
      ("{A} has {eq} {things}.", "{B} has {eq}.", "Together they have {eq}.")),
    T("better_day",
      "On Monday {A} finds {a} {things}. On Tuesday {he} finds {b} more than on Monday. Then {he} "
      "loses {c} of them. How many {things} does {he} have left?",
      "a + b, a + p, q - c",
      ("On Tuesday {A} finds {eq} {things}.", "In two days that is {eq}.",
       "Then {eq} are left.")),
    T("for_each",
      "{A} has {a} {things} and {B} has {b}. Then {C} gives {c} more to each of them. How many "
      "{things} do {A} and {B} have together now?",
      "a + c, b + c, p + q",
      ("{A} has {eq} {things}.", "{B} has {eq}.", "Together they have {eq}.")),
    T("wagon",
      "A wagon carries {a} {things}. At the mill {b} are taken off. At the bridge {c} are put on. "
      "At the market {A} buys {d}. How many {things} are left on the wagon?",
      "a - b, p + c, q - d",
      ("After the mill there are {eq} {things}.", "After the bridge there are {eq}.",
       "Then {eq} are left.")),
    T("two_uses",
      "{A} has {a} {things} and {B} has {b}. They need {c} of them for a game and {d} for a "
      "present. How many {things} do they have left over?",
      "a + b, p - c, q - d",
      ("Together they have {eq} {things}.", "After the game there are {eq}.",
       "After the present there are {eq}.")),
    T("two_helpers",
      "{A} wants {a} {things} and has {b}. {B} brings {him} {c} and {C} brings {him} {d}. How many "
      "more {things} does {A} still want?",
      "b + c, p + d, a - q",
      ("When {B} comes, {A} has {eq} {things}.", "When {C} comes, it is {eq}.",
       "{A} still wants {eq}.")),
    T("second_basket",
      "There are {a} {things} in the first {bag}. In the second {bag} there are {b} fewer. {A} "
      "puts {c} more into the second {bag}. How many {things} are in both now?",
      "a - b, p + c, a + q",
      ("The second {bag} had {eq} {things}.", "Then it has {eq}.", "Both have {eq}.")),
    T("turn_round",
      "In the morning {A} has {a} {things} and {B} has {b}. {A} loses {c} of them, and {B} finds "
      "{d} more. How many more {things} does {B} have than {A} now?",
      "a - c, b + d, q - p", ("{A} has {eq} {things}.", "{B} has {eq}.", "That is {eq} more.")),
)  # fmt: skip

LEVEL_4 = (
    T("bags",
      "{A} has {a} {bags} with {b} {things} in each. {he} finds {c} more {things} and gives {d} to "
      "{B}. How many {things} does {A} have left?",
      "a x b, p + c, q - d",
      ("{A} has {eq} {things}.", "With the new ones {he} has {eq}.", "Then {eq} are left.")),
    T("twice",
      "{A} has {a} {things}. {B} has twice as many. Together they give {b} {things} to {C}. How "
      "many {things} do {A} and {B} have left?",
      "a x 2, a + p, q - b",
      ("{B} has {eq} {things}.", "Together they have {eq}.", "Then {eq} are left.")),
    T("times_as_many",
      "{A} has {a} {things}. {B} has {b} times as many, but then loses {c} of them. How many "
      "{things} do {A} and {B} have together now?",
      "a x b, p - c, a + q",
      ("{B} has {eq} {things}.", "Then {B} has {eq}.", "Together they have {eq}.")),
    T("two_fill",
      "{A} fills {a} {bags} with {b} {things} each. {B} fills {c} {bags} with {d} {things} each. "
      "How many {things} do they have together?",
      "a x b, c x d, p + q",
      ("{A} has {eq} {things}.", "{B} has {eq}.", "Together they have {eq}.")),
    T("rows",
      "On a table there are {a} rows of {things} with {b} in each row. {A} takes {c} of them and "
      "{B} takes {d}. How many {things} are left on the table?",
      "a x b, p - c, q - d",
      ("In the rows there are {eq} {things}.", "{A} leaves {eq}.", "{B} leaves {eq}.")),
    T("each_day",
      "Every day {A} finds {a} {things}. After {b} days {he} gives {c} of them to {B} and finds "
      "{d} more. How many {things} does {A} have then?",
      "a x b, p - c, q + d",
      ("{A} finds {eq} {things}.", "After the gift {he} has {eq}.", "In the end {he} has {eq}.")),
    T("buy",
      "{A} has {c} coins, and {B} gives {him} {d} more. Then {A} buys {a} {things} for {b} coins "
      "each. How many coins does {A} have left?",
      "a x b, c + d, q - p",
      ("The {things} cost {eq} coins.", "{A} has {eq} coins.", "Then {eq} are left.")),
    T("twice_gap",
      "{A} has {a} {things}. {B} has twice as many as {A}. Then {A} finds {b} more. How many more "
      "{things} does {B} have than {A} now?",
      "a x 2, a + b, p - q", ("{B} has {eq} {things}.", "{A} has {eq}.", "That is {eq} more.")),
    T("twice_both",
      "{A} has {a} {things} and {B} has {b}. {C} has twice as many as both together and gives {c} "
      "away. How many {things} does {C} have left?",
      "a + b, p x 2, q - c",
      ("{A} and {B} have {eq} {things}.", "{C} has {eq}.", "Then {eq} are left.")),
    T("left_over",
      "{A} puts {a} {things} into each of {b} {bags} and has {c} left over. Then {he} finds {d} "
      "more. How many {things} does {he} have in all?",
      "a x b, p + c, q + d",
      ("In the {bags} there are {eq} {things}.", "With the rest it is {eq}.",
       "In all {he} has {eq}.")),
    T("big_and_small",
      "A big {bag} holds {a} {things}, and a small {bag} holds {b}. {A} fills the big {bag} and "
      "{c} small ones. Then {he} gives {d} {things} away. How many are left?",
      "b x c, a + p, q - d",
      ("The small ones hold {eq} {things}.", "In all {A} has {eq}.", "Then {eq} are left.")),
    T("need_twice",
      "{A} and {B} need {a} {things}. {A} has {b}, and {B} has twice as many as {A}. How many more "
      "{things} do they need?",
      "b x 2, b + p, a - q",
      ("{B} has {eq} {things}.", "Together they have {eq}.", "They need {eq} more.")),
)  # fmt: skip

LEVEL_5 = (
    T("birthday",
      "{A} is {m} years old and has {a} {bags} with {b} {things} in each. {he} finds {c} more "
      "{things} {place}. Then {he} gives {d} to {B} and loses {e}. How many {things} does {A} have "
      "left?",
      "a x b, p + c, q - d, r - e",
      ("{A} has {eq} {things}.", "With the new ones {he} has {eq}.",
       "After the gift {he} has {eq}.", "In the end {eq} are left.")),
    T("twice_give",
      "{A} has {a} {things} and {n} {others}. {B} has twice as many {things} as {A}. Together they "
      "give {b} {things} to {C} and lose {c} {things}. How many {things} do {A} and {B} have left?",
      "a x 2, a + p, q - b, r - c",
      ("{B} has {eq} {things}.", "Together they have {eq}.", "After the gift they have {eq}.",
       "In the end {eq} are left.")),
    T("rows_back",
      "On a table there are {a} rows of {things} with {b} in each row. {A} takes {c} of them and "
      "{B} takes {d}. {C} brings {n} {others} and puts {e} more {things} there. How many {things} "
      "are on the table now?",
      "a x b, p - c, q - d, r + e",
      ("In the rows there are {eq} {things}.", "{A} leaves {eq}.", "{B} leaves {eq}.",
       "In the end there are {eq}.")),
    T("walk_home",
      "{A} fills {a} {bags} with {b} {things} each, and {B} fills {c} {bags} with {d} {things} "
      "each. They walk home for {n} minutes and lose {e} {things} on the way. How many {things} "
      "are left?",
      "a x b, c x d, p + q, r - e",
      ("{A} has {eq} {things}.", "{B} has {eq}.", "Together they have {eq}.",
       "Then {eq} are left.")),
    T("market",
      "{A} has {a} coins, and {B} gives {him} {b} more. At the market there are {n} people. {A} "
      "buys {c} {things} for {d} coins each and loses {e} coins. How many coins does {A} "
      "have left?",
      "a + b, c x d, p - q, r - e",
      ("{A} has {eq} coins.", "The {things} cost {eq} coins.", "Then {eq} are left.",
       "In the end {eq} are left.")),
    T("chain",
      "{A} has {a} {things}. {B} has {b} more than {A}. {C} has {c} fewer than {B}, and also {n} "
      "{others}. How many {things} do all three have together?",
      "a + b, p - c, a + p, r + q",
      ("{B} has {eq} {things}.", "{C} has {eq}.", "{A} and {B} have {eq}.",
       "All three have {eq}.")),
    T("rain",
      "On Monday {A} finds {a} {things}. On Tuesday it rains for {m} hours, and {he} finds twice "
      "as many as on Monday. On Wednesday {he} finds {b} fewer than on Tuesday. How many {things} "
      "does {he} find in all?",
      "a x 2, p - b, a + p, r + q",
      ("On Tuesday {A} finds {eq} {things}.", "On Wednesday {he} finds {eq}.",
       "In the first two days that is {eq}.", "In all it is {eq}.")),
    T("times_walk",
      "{A} has {a} {things}, and {B} has {b} times as many. {A} walks for {n} minutes and finds "
      "{c} more {things} {place}. {B} gives {d} of them away. How many {things} do {A} and {B} "
      "have together now?",
      "a x b, a + c, p - d, q + r",
      ("{B} has {eq} {things}.", "{A} now has {eq}.", "{B} keeps {eq}.",
       "Together they have {eq}.")),
    T("boxes_and_more",
      "A red box holds {a} {things} and a blue box holds {b}. There are {n} {others} near them. "
      "{A} takes {c} {things} out of the red box and puts {d} more into the blue box. {B} takes "
      "{e} out of the blue box. How many {things} are in both boxes?",
      "a - c, b + d, q - e, p + r",
      ("The red box has {eq} {things}.", "The blue box has {eq}.", "Then it has {eq}.",
       "Both have {eq}.")),
    T("feast",
      "The feast is in {m} days. {A} needs {a} {things} for it and has {b}. {B} brings {c} {bags} "
      "with {d} {things} each, and {C} brings {e} {things}. How many more {things} does {A} need?",
      "c x d, b + p, q + e, a - r",
      ("{B} brings {eq} {things}.", "With these {A} has {eq}.", "When {C} comes, it is {eq}.",
       "{A} needs {eq} more.")),
    T("cart",
      "A cart comes with {n} {others} and {a} {bags} of {things}, {b} in each. {A} buys {c} "
      "{things}, {B} buys {d} {things} and {C} buys {e} {things}. How many {things} are left on "
      "the cart?",
      "a x b, p - c, q - d, r - e",
      ("On the cart there are {eq} {things}.", "{A} leaves {eq}.", "{B} leaves {eq}.",
       "{C} leaves {eq}.")),
    T("now_twice",
      "{A} had {a} {things} and lost {b} of them. {B} had {c} and lost {d}. {C} has {n} {others}, "
      "and twice as many {things} as {A} has now. How many {things} do {B} and {C} have together?",
      "a - b, c - d, p x 2, q + r",
      ("{A} has {eq} {things}.", "{B} has {eq}.", "{C} has {eq}.", "Together they have {eq}.")),
)  # fmt: skip

LEVELS: dict[int, tuple[Template, ...]] = {
    1: LEVEL_1, 2: LEVEL_2, 3: LEVEL_3, 4: LEVEL_4, 5: LEVEL_5,
}  # fmt: skip


def templates(level: int, split: str) -> tuple[Template, ...]:
    """The templates of a level for "train", or the last quarter, held out for "test"."""
    every = LEVELS[level]
    cut = len(every) - len(every) // HELD_OUT
    return every[:cut] if split == "train" else every[cut:]
