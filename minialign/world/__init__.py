"""The embedded world: a village in a valley, small enough for a tiny language model to know.

Corpus, facts, instructions with exact checkers, demonstrations of mixed quality, a gold utility
with simulated annotators, and verifiable problems: everything that the course runs on by default,
made from code and seeds alone.
"""

from minialign import modules_of

__getattr__ = modules_of(__name__)
WORLD_VERSION = "2"  # recorded in checkpoints; raise it when any text of the world changes
