"""Animals in documents: the plain forms of their verbs, and what is surely false of each."""

from __future__ import annotations

from random import Random

from minialign.world.facts import ANIMAL_TABLE


def base(verb: str) -> str:
    """The plain form of a verb of the table, as it follows a plural.

    >>> base("hoots"), base("buzzes"), base("flies"), base("makes no sound")
    ('hoot', 'buzz', 'fly', 'make no sound')
    """
    first, *rest = verb.split(" ")
    if first.endswith(("sses", "zzes")):
        first = first[:-2]
    else:
        first = first[:-3] + "y" if first.endswith("ies") else first[:-1]
    return " ".join([first, *rest])


# A falsehood must be false of the real animal too, not only of the table: hens do eat worms.
_PLANTS = ("clover", "corn", "grain", "grass", "hay", "leaves", "nectar", "nuts", "roots", "weeds")
_PREY = ("beetles", "fish", "flies", "insects", "meat", "mice", "worms")
_EATS_ALL = ("ant", "badger", "bear", "crow", "dog", "duck", "fox", "goose", "hedgehog", "hen",
             "mouse", "pig", "robin", "squirrel", "swan")  # fmt: skip
_HOMES = ("coop", "hive", "kennel", "nest", "shell", "sty", "tunnel")
_COVERS = ("feathers", "fur", "spines", "wool")
_ALSO: dict[str, tuple[str, ...]] = {
    "ant": ("tunnel",), "badger": ("nest", "tunnel", "snorts", "grunts", "barks"),
    "bear": ("grunts", "snorts"), "bee": ("nest",), "cat": ("hisses", "growls", "yelps"),
    "cow": ("snorts",), "deer": ("barks", "snorts", "grunts"), "dog": ("growls", "howls", "yelps"),
    "duck": ("coop",), "fox": ("tunnel", "barks", "howls", "growls"), "goose": ("coop", "hisses"),
    "hedgehog": ("nest", "tunnel", "squeals", "grunts"), "hen": ("nest",), "horse": ("snorts",),
    "mole": ("nest",), "mouse": ("nest", "tunnel"), "otter": ("nest", "tunnel", "squeaks"),
    "owl": ("nest", "hisses"), "pig": ("snorts", "squeals"), "robin": ("whistles", "chatters"),
    "squirrel": ("squeaks",), "swan": ("honks", "grunts"), "toad": ("tunnel",),
    "wolf": ("tunnel", "growls", "barks", "yelps"),
}  # fmt: skip


def false_value(rng: Random, name: str, field: str) -> str | int:
    """A value of a field that is surely false of the animal.

    >>> false_value(Random(0), "owl", "cover") in ("fur", "spines", "wool")
    True
    """
    right = getattr(ANIMAL_TABLE[name], field)
    if field == "legs":
        pool: tuple[str | int, ...] = (0, 2, 4, 6)
    elif field == "home":
        pool = _HOMES
    elif field == "cover":
        pool = _COVERS if right not in ("fur", "hair", "wool") else ("feathers", "spines")
    elif field == "eats":
        pool = ("hay", "nectar") if name in _EATS_ALL else _PREY if right in _PLANTS else _PLANTS
    else:
        others = (getattr(facts, field) for facts in ANIMAL_TABLE.values())
        pool = tuple(dict.fromkeys(v for v in others if v != "makes no sound"))
    also = _ALSO.get(name, ())
    return rng.choice([value for value in pool if value != right and value not in also])
