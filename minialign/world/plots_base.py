"""What a plot is, and what each thing of a story is good for.

A plot is written as blocks of text: one wording a line, a blank line between beats. Its wordings
are `str.format` templates over the slots that `stories` fills; `{hero}` and `{pal}` introduce
themselves at their first mention ("a little fox") and are known afterwards ("the fox").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minialign.world.lexicon import OBJECTS, PLACES

INDOORS = ("barn", "inn", "library", "school", "stable")
OUTDOORS = tuple(p for p in PLACES if p not in INDOORS)
WATER = ("beach", "bridge", "harbour", "lake", "pond", "river")

# thing -> (what is done with it, how it looks); {} is where the noun or "it" goes
USES: dict[str, tuple[str, str]] = {
    "ball": ("kick {}", "round and light"),
    "basket": ("fill {} with apples", "wide and strong"),
    "bell": ("ring {}", "round and bright"),
    "blanket": ("sit on {}", "thick and soft"),
    "book": ("look at {}", "thick and full of pictures"),
    "boat": ("sail {}", "narrow and fast"),
    "box": ("open {}", "smooth and square"),
    "broom": ("sweep the path with {}", "long and strong"),
    "bucket": ("fill {} with water", "deep and strong"),
    "button": ("polish {}", "round and smooth"),
    "candle": ("look at {}", "tall and smooth"),
    "cap": ("wear {}", "soft and warm"),
    "clock": ("listen to {}", "round and bright"),
    "coat": ("wear {}", "long and warm"),
    "coin": ("spin {}", "round and bright"),
    "comb": ("use {}", "smooth and light"),
    "cup": ("drink from {}", "smooth and thin"),
    "drum": ("beat {}", "round and loud"),
    "flute": ("blow into {}", "long and smooth"),
    "hammer": ("knock with {}", "heavy and strong"),
    "hat": ("wear {}", "tall and soft"),
    "jar": ("fill {} with honey", "round and clean"),
    "key": ("turn {}", "thin and bright"),
    "kite": ("fly {}", "light and wide"),
    "ladder": ("climb {}", "long and strong"),
    "lamp": ("clean {}", "round and bright"),
    "lantern": ("carry {}", "bright and warm"),
    "letter": ("read {}", "long and kind"),
    "map": ("look at {}", "wide and full of lines"),
    "mirror": ("look into {}", "clean and bright"),
    "needle": ("sew with {}", "thin and sharp"),
    "paintbrush": ("paint with {}", "long and soft"),
    "puppet": ("dance with {}", "funny and soft"),
    "puzzle": ("finish {}", "hard and full of colours"),
    "ribbon": ("tie {}", "long and smooth"),
    "ring": ("wear {}", "thin and bright"),
    "rope": ("skip with {}", "long and strong"),
    "scarf": ("wear {}", "long and soft"),
    "shell": ("listen to {}", "smooth and pretty"),
    "spoon": ("eat with {}", "smooth and round"),
    "stone": ("hold {}", "round and smooth"),
    "umbrella": ("open {}", "wide and strong"),
    "wagon": ("pull {}", "low and strong"),
    "whistle": ("blow {}", "smooth and loud"),
}

CLOTH = ("blanket", "cap", "coat", "hat", "puppet", "ribbon", "scarf")
WARM = ("blanket", "cap", "coat", "hat", "scarf")
SOUNDING = ("bell", "drum", "flute", "whistle")
LIGHTS = ("candle", "lamp", "lantern")
SKILLS = ("boat", "broom", "drum", "flute", "hammer", "kite", "needle", "paintbrush", "puppet",
          "puzzle", "rope", "whistle")  # fmt: skip
BIG = ("basket", "boat", "box", "bucket", "clock", "drum", "ladder", "wagon")
NOISY = ("bell", "boat", "box", "broom", "bucket", "drum", "hammer", "jar", "kite", "ladder",
         "lamp", "lantern", "puppet", "spoon", "umbrella", "wagon")  # fmt: skip
NEST = ("ball", "bell", "button", "coin", "comb", "cup", "key", "ring", "shell", "spoon", "stone",
        "whistle")  # fmt: skip
GUIDED = {
    "bell": "rang the bell", "drum": "beat the drum", "flute": "blew into the flute",
    "lamp": "held up the lamp", "lantern": "held up the lantern", "map": "looked at the map",
    "whistle": "blew the whistle",
}  # fmt: skip
FLOATING = ("ball", "basket", "boat", "box", "broom", "bucket", "cap", "hat", "kite", "ladder",
            "letter", "map", "paintbrush", "puppet", "ribbon", "scarf", "umbrella")  # fmt: skip
STITCHED = ("a hole in it", "a needle and some thread")
GLUED = ("a crack in it", "a little glue")
NAILED = ("a broken side", "a hammer and four nails")
# thing -> (what is wrong with it, what mends it)
MENDING: dict[str, tuple[str, str]] = {
    **{t: STITCHED for t in (*CLOTH, "kite", "umbrella")},
    **{t: GLUED for t in ("cup", "flute", "jar", "lamp", "lantern", "mirror", "spoon")},
    **{t: NAILED for t in ("boat", "box", "ladder", "wagon")},
    "basket": ("a hole in it", "some thin willow"), "book": ("a torn page", "paper and glue"),
    "broom": ("a loose head", "a piece of string"), "bucket": ("a hole in it", "a bit of tin"),
    "drum": ("a hole in it", "a patch and some glue"), "map": ("a torn corner", "paper and glue"),
    "clock": ("a bent hand", "a very small hammer"),
}  # fmt: skip
BREAKABLE = ("clock", "cup", "flute", "jar", "kite", "lamp", "mirror", "umbrella", "wagon", "boat",
             "box", "drum", "puppet", "lantern")  # fmt: skip
# thing -> who makes it
MADE_BY: dict[str, str] = {
    **{t: "tailor" for t in ("cap", "coat", "hat")},
    **{t: "weaver" for t in ("basket", "blanket", "ribbon", "rope", "scarf")},
    **{t: "potter" for t in ("cup", "jar")},
    **{t: "smith" for t in ("bell", "hammer", "key", "lamp", "lantern", "needle", "ring")},
    **{t: "painter" for t in ("map", "paintbrush")},
    **{t: "toymaker" for t in ("ball", "kite", "puppet", "puzzle")},
    **{t: "carpenter" for t in ("boat", "box", "broom", "bucket", "comb", "drum", "flute", "ladder",
                                "spoon", "wagon", "whistle")},
}  # fmt: skip
# colours would read oddly on these
UNPAINTED = ("clock", "coin", "hammer", "key", "letter", "map", "mirror", "needle", "ring",
             "spoon")  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """A story's skeleton: beats to tell in order, and which of them make the short form.

    `extras` are slots drawn once per story, so that all beats agree on them. `rude` plots hold a
    rude speaker and are drawn seldom. `pal` is "friend" where hero and pal know each other, "new"
    where they do not, or "any".
    """

    name: str
    mood: str
    beats: tuple[tuple[str, ...], ...]
    short: tuple[tuple[int, ...], ...]
    summaries: tuple[str, ...]
    things: tuple[str, ...] = OBJECTS
    places: tuple[str, ...] = OUTDOORS
    extras: tuple[tuple[str, tuple[str, ...]], ...] = ()
    pal: str = "any"
    rude: bool = False


def plot(
    name: str,
    mood: str,
    beats: str,
    short: Sequence[str],
    summaries: str,
    *,
    things: Sequence[str] = OBJECTS,
    places: Sequence[str] = OUTDOORS,
    extras: Mapping[str, Sequence[str]] | None = None,
    pal: str = "any",
    rude: bool = False,
) -> Plot:
    """A plot from its blocks of text; `short` names beats by digits, such as "0236".

    >>> plot("p", "sad", "A.\\nB.\\n\\nC.", ["01"], "S.").beats
    (('A.', 'B.'), ('C.',))
    """
    blocks = [b.split("\n") for b in beats.strip().split("\n\n")]
    return Plot(
        name=name,
        mood=mood,
        beats=tuple(tuple(line.strip() for line in b if line.strip()) for b in blocks),
        short=tuple(tuple(int(d) for d in s) for s in short),
        summaries=tuple(line.strip() for line in summaries.strip().split("\n")),
        things=tuple(things),
        places=tuple(places),
        extras=tuple((k, tuple(v)) for k, v in (extras or {}).items()),
        pal=pal,
        rude=rude,
    )
