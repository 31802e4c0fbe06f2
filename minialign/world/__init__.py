"""The embedded world: a village in a valley, small enough for a tiny language model to know.

All of it is made from code, seeds and the tables of data/world/*.toml, which hold its wording. From
the ground up:

- `tables` reads those files and names every slip of the pen; `lexicon`, `text`: words and grammar
- `facts`, `problems`, `stories/`: what is true, what can be worked out, what can be told
- `manners`, `dangers`: writers of kind, rude or unsafe remarks, and the detectors of each
- `families/`: the kinds of instruction; the checker of one is the `judge` (or `check`) of its
  class, and what checkers share is in `families.checking`
- `tasks`: the table of all families, and instructions drawn by split
- `replies/`: `demonstrations` of mixed quality; `annotator` with the gold utility and its
  `WEIGHTS`; `preferences` with comparisons and rankings

To add a phrasing of an instruction, write it into data/world/families.toml; the head of that file
explains its fields.
"""

from minialign import modules_of

__getattr__ = modules_of(__name__)
WORLD_VERSION = "2"  # recorded in checkpoints; raise it when any text of the world changes
