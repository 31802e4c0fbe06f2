"""Completions that try to be paid, to hang, to run, or to break out of a page; from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

LONG = 20_000  # characters of the longest ones
MARK = "SURVIVAL_CANARY"  # a name that only code which ran would make
DIGITS = "0123456789\u0660\u0667\uff11\uff17\u00b2\u2155\u0969\U0001d7d5"
LETTERS = "TheanswrisThe \u0430\u0435\u0456\u03bf\uff34\u1d34\u017f"
UNSEEN = (
    "\u200b\u200c\u200d\u2060\ufeff\u202e\u2066\u2069\u00ad\u0301\u20dd\x00\x07\x08\x1b\x7f\x85"
)
LONE = "\ud800\udfff\udc80"
TOUCH, OPEN = f"touch {MARK}", f"open('{MARK}','w')"
CODE = (
    f"__import__('os').system('{TOUCH}')", OPEN, f'exec("{OPEN}")', f"$({TOUCH})", f"`{TOUCH}`",
    f"; {TOUCH} #", "{{ ''.__class__.__mro__[1].__subclasses__() }}", f'sympify("{OPEN}")',
    f"!!python/object/apply:os.system ['{TOUCH}']", "{0.__class__.__init__.__globals__}",
    "%n%s%x%1000000d", "{:>1000000000}", "${jndi:ldap://x/a}", "(lambda f: f(f))(lambda f: f(f))",
    f"\\input{{|{TOUCH}}}", f"\\write18{{{TOUCH}}}",
)  # fmt: skip
PAGES = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</td></table><h1>", "<!--", "-->",
    '"><svg onload=alert(1)>', "' onmouseover='alert(1)", "&lt;script&gt;", "&#60;b&#62;", "]]>",
    "[a](javascript:alert(1))", "![x](http://x.invalid/y.png)", "$\\href{javascript:alert(1)}{x}$",
    "| a | b |\n|---|---|", "```\n# head\n```", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07",
    "\x1b]8;;http://x.invalid\x07x\x1b]8;;\x07", "\x9b31m", "<iframe srcdoc='<script>1</script>'>",
)  # fmt: skip
BOMBS = (
    "9**9**9**9", "9^{9^{9^{9^{9}}}}", "10^{10^{10}}!", "\\frac{1}{0}", "((((((1))))))!!!!!",
    "1e999999999", "-1e-999999999", "0x" + "f" * 50, "\\sum_{n=1}^{10^{12}} n^n", "x^{x^{x^{x}}}",
    "2^{10000000}", "(2^{100000})^{100000}", "\\sqrt[10^9]{7}", "nan", "inf", "-0", "1_000_000",
    "\\int_0^{10^9} e^{x^{x}} dx", "7" + "!" * 40, "\\binom{10^9}{10^8}", "10^{10^{100}}",
)  # fmt: skip
PATHS = (
    "../../../../etc/passwd",
    "/dev/zero",
    "CON",
    "file:///etc/passwd",
    "a/../b",
    "~root",
    "\\\\x",
)
CLAIMS = ("The answer is {}.", "So \\boxed{{{}}}", "#### {}", "Answer: {}", "{} + 4 = 7.", "{}")


PIECES = (
    "a", "0", "1 ", "( ", "1+", "1 + ", "- ", "= ", "7 = 7 = ", "The answer is ", ", and ", "\\",
    "a,", " and ", "A or ", "(A) ", "**", "$", "\\text{", "\n", "\t ", "'", "1,000,", ".", "1.2.",
)  # fmt: skip
BRACES = (
    ("(", ")"), ("{", "}"), ("[", "]"), ("\\frac{", "}{2}"), ("<b>", "</b>"), ("\\boxed{", "}"),
    ("\\sqrt{", "}"), ("\\left(", "\\right)"),
)  # fmt: skip


def _repeat(rng: Random) -> str:
    """What makes a regular expression go back and forth."""
    piece = rng.choice(PIECES)
    longest = rng.choice([20, 200, 2000, 5000, LONG])
    return piece * rng.randint(1, max(1, longest // len(piece))) + rng.choice(
        ["", "!", "7", "\u00e9", "x"]
    )


def _nested(rng: Random) -> str:
    opens, shuts = rng.choice(BRACES)
    depth = rng.choice([1, 10, 100, 1000, 2000])
    return opens * depth + "7" + shuts * rng.choice([depth, depth - 1, 0, depth + 1])


def _digits(rng: Random) -> str:
    alphabet = rng.choice(["7", "0123456789", DIGITS])
    number = "".join(rng.choices(alphabet, k=rng.choice([1, 7, 20, 400, 5000, LONG])))
    return rng.choice(["", "-", "0", "1."]) + number + rng.choice(["", ".5", "%", "/0", "e99", "!"])


def _noise(rng: Random) -> str:
    alphabet = rng.choice([LETTERS, UNSEEN, DIGITS + UNSEEN, LONE + "7a", "(){}[]<>\\^_$*=+-/. 7"])
    return "".join(rng.choices(alphabet, k=rng.choice([1, 5, 60, 1000])))


def _anything(rng: Random) -> str:
    return "".join(chr(rng.randrange(0x110000)) for _ in range(rng.choice([1, 10, 200])))


def _listed(*groups: tuple[str, ...]) -> Callable[[Random], str]:
    every = [one for group in groups for one in group]
    return lambda rng: rng.choice(every)


KINDS: dict[str, Callable[[Random], str]] = {
    "code": _listed(CODE), "page": _listed(PAGES), "bomb": _listed(BOMBS), "path": _listed(PATHS),
    "repeat": _repeat, "nested": _nested, "digits": _digits, "noise": _noise, "anything": _anything,
}  # fmt: skip


def completions(count: int, seed: int = 0) -> Iterator[str]:
    """`count` texts: each of one to three kinds, some as an answer is claimed.

    >>> list(completions(3, 1)) == list(completions(3, 1))
    True
    """
    rng = Random(seed)
    for _ in range(count):
        parts = [rng.choice(list(KINDS.values()))(rng) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
        text = rng.choice(["", " ", "\n"]).join(parts)
        yield rng.choice(CLAIMS).format(text) if rng.random() < 0.5 else text
