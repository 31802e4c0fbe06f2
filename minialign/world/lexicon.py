"""The words of the embedded world: who and what there is to speak about.

They lie in data/world/lexicon.toml. Everything the world writes is put together from these tables,
so a checker can ask which colours, animals or numbers a reply mentions by looking them up here.
"""

from __future__ import annotations

from typing import Any

from minialign.world.wording import check_fields, wording

# Subject, object, possessive.
_PRONOUNS = {"she": ("she", "her", "her"), "he": ("he", "him", "his")}
_FIELDS: list[str] = []  # that the file must have, and no others


def _field(name: str) -> Any:
    _FIELDS.append(name)
    check_fields("world/lexicon.toml", wording("lexicon"), [name], wording("lexicon"))
    return wording("lexicon")[name]


def _words(name: str) -> tuple[str, ...]:
    return tuple(_field(name))


def _people(name: str) -> dict[str, tuple[str, str, str]]:
    """Name -> (subject, object, possessive) pronouns."""
    people: dict[str, str] = _field(name)
    for person, pronoun in people.items():
        if pronoun not in _PRONOUNS:
            raise ValueError(
                f"world/lexicon.toml, [{name}] {person} is {pronoun!r}; write 'she' or 'he'"
            )
    return {person: _PRONOUNS[pronoun] for person, pronoun in people.items()}


CHILDREN = _people("children")
VILLAGERS = _people("villagers")
STRANGERS = _people("strangers")
PRONOUNS = {**CHILDREN, **VILLAGERS, **STRANGERS}

ANIMALS = _words("animals")
BIRDS = _words("birds")
PETS = _words("pets")
FRUITS = _words("fruits")
VEGETABLES = _words("vegetables")
DISHES = _words("dishes")
COLOURS = _words("colours")
CLOTHES = _words("clothes")
TOOLS = _words("tools")
INSTRUMENTS = _words("instruments")
TREES = _words("trees")
FLOWERS = _words("flowers")
TOYS = _words("toys")
DAYS = _words("days")
SEASONS = _words("seasons")
OBJECTS = _words("objects")
JOBS = _words("jobs")
NUMBER_WORDS = _words("number_words")  # from zero on

TEENS = _words("teens")
TENS = _words("tens")  # from twenty on
IDIOMS = _words("idioms")
OPENERS = _words("openers")
NEAR_OPPOSITES = _words("near_opposites")
SORTED_KINDS = _words("sorted_kinds")
DISPUTED = _words("disputed")
AMBIGUOUS_OBJECTS = _words("ambiguous_objects")
OVERLAP = [set(kinds) for kinds in _words("overlap")]

GOODS: dict[str, str] = _field("goods")  # singular -> plural
PLACES: dict[str, str] = _field("places")  # place -> its preposition
OPPOSITES: dict[str, str] = _field("opposites")
OPPOSITE_OF = {**OPPOSITES, **{b: a for a, b in OPPOSITES.items()}}
SECOND_OPPOSITES: dict[str, list[str]] = _field("second_opposites")
IRREGULAR_PLURALS: dict[str, str] = _field("irregular_plurals")
SINGULAR: dict[str, str] = _field("singular")  # kind -> one of its members
KIND_NAMES: dict[str, str] = _field("kind_names")
# Kind (plural) -> its members: the lists that can be asked for.
CATEGORIES = {kind: _words(kind) for kind in _words("categories")}

check_fields("world/lexicon.toml", wording("lexicon"), _FIELDS)
