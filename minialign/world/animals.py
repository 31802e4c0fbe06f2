"""What is true of the animals: the ground truth that pages, facts and checkers share.

Every value is one word of a small vocabulary, so that a checker finds it in a reply by looking it
up. The wording fits these frames: "An owl eats {eats}.", "An owl sleeps in {a(home)}.",
"An owl {sound}.", "An owl {moves}.", "An owl is covered in {cover}."; only the silent snail's
"makes no sound" is longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class AnimalFacts:
    """Facts about one kind of animal.

    >>> ANIMAL_TABLE["owl"].eats, ANIMAL_TABLE["owl"].sound
    ('mice', 'hoots')
    """

    eats: str  # a plural or a mass noun
    home: str  # a noun that follows "sleeps in a"
    sound: str  # a verb in the third person
    moves: str  # a verb in the third person
    cover: str  # what its body is covered in
    legs: int


ANIMAL_TABLE: dict[str, AnimalFacts] = {
    "ant": AnimalFacts("crumbs", "nest", "clicks", "crawls", "skin", 6),
    "badger": AnimalFacts("worms", "burrow", "growls", "digs", "fur", 4),
    "bear": AnimalFacts("berries", "cave", "growls", "climbs", "fur", 4),
    "bee": AnimalFacts("nectar", "hive", "buzzes", "flies", "hair", 6),
    "cat": AnimalFacts("mice", "basket", "meows", "climbs", "fur", 4),
    "cow": AnimalFacts("grass", "barn", "moos", "walks", "hair", 4),
    "crow": AnimalFacts("corn", "nest", "caws", "flies", "feathers", 2),
    "deer": AnimalFacts("leaves", "forest", "bleats", "jumps", "hair", 4),
    "dog": AnimalFacts("meat", "kennel", "barks", "runs", "fur", 4),
    "duck": AnimalFacts("weeds", "nest", "quacks", "swims", "feathers", 2),
    "fox": AnimalFacts("mice", "den", "yelps", "runs", "fur", 4),
    "frog": AnimalFacts("flies", "pond", "croaks", "jumps", "skin", 4),
    "goat": AnimalFacts("leaves", "shed", "bleats", "climbs", "hair", 4),
    "goose": AnimalFacts("grass", "nest", "honks", "flies", "feathers", 2),
    "hare": AnimalFacts("clover", "meadow", "squeals", "runs", "fur", 4),
    "hedgehog": AnimalFacts("beetles", "hedge", "snorts", "walks", "spines", 4),
    "hen": AnimalFacts("grain", "coop", "clucks", "walks", "feathers", 2),
    "horse": AnimalFacts("hay", "stable", "neighs", "runs", "hair", 4),
    "mole": AnimalFacts("worms", "tunnel", "squeaks", "digs", "fur", 4),
    "mouse": AnimalFacts("seeds", "hole", "squeaks", "runs", "fur", 4),
    "otter": AnimalFacts("fish", "den", "whistles", "swims", "fur", 4),
    "owl": AnimalFacts("mice", "tree", "hoots", "flies", "feathers", 2),
    "pig": AnimalFacts("roots", "sty", "grunts", "walks", "hair", 4),
    "robin": AnimalFacts("worms", "nest", "sings", "flies", "feathers", 2),
    "sheep": AnimalFacts("grass", "field", "bleats", "walks", "wool", 4),
    "snail": AnimalFacts("leaves", "shell", "makes no sound", "crawls", "skin", 0),
    "squirrel": AnimalFacts("nuts", "nest", "chatters", "climbs", "fur", 4),
    "swan": AnimalFacts("weeds", "nest", "hisses", "swims", "feathers", 2),
    "toad": AnimalFacts("insects", "ditch", "croaks", "crawls", "skin", 4),
    "wolf": AnimalFacts("meat", "den", "howls", "runs", "fur", 4),
}


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
