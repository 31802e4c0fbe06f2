"""The embedded world: a village in a valley, small enough for a tiny language model to know.

All of it is made from code, seeds and the tables of data/world/*.toml, which hold its wording. From
the ground up:

- `tables` reads those files and names every slip of the pen; `lexicon`, `text`: words and grammar
- `facts`, `problems`, `stories/`: what is true, what can be worked out, what can be told
- `manners`, `dangers`: writers of kind, rude or unsafe remarks, and the detectors of each
- `families/`: the kinds of instruction; the checker of one is the `judge` (or `check`) of its
  class, and what checkers share is in `families.checking` and, for numbers, `families.counting`
- `tasks`: the table of all families, and instructions drawn by split
- `replies/`: `demonstrations` of mixed quality; `annotator` with the gold utility and its
  `WEIGHTS`; `preferences` with comparisons and rankings
- `dial_table`: what all this puts in by design, as `dials()` prints it

To add a phrasing of an instruction, write it into data/world/families.toml; the head of that file
explains its fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from minialign import modules_of

if TYPE_CHECKING:
    import pandas as pd

__getattr__ = modules_of(__name__)
WORLD_VERSION = "3"  # recorded in checkpoints; raise it when any text of the world changes


def dials() -> pd.DataFrame:
    """What the world puts in by design: section, dial, value, unit and meaning, a row each.

    The dials are turned in data/world/dials.toml.
    """
    from minialign.world.dial_table import dial_table  # slow to import, as it reads all tables

    return dial_table()
