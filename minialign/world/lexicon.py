"""The words of the embedded world: who and what there is to speak about.

They lie in data/world/lexicon.toml. Everything the world writes is put together from these tables,
so a checker can ask which colours, animals or numbers a reply mentions by looking them up here.
"""

from __future__ import annotations

from minialign.world.wording import check_fields, wording

_LISTS = (
    "animals", "birds", "pets", "fruits", "vegetables", "dishes", "colours", "clothes", "tools",
    "instruments", "trees", "flowers", "toys", "days", "seasons", "objects", "jobs",
    "number_words", "categories", "sorted_kinds", "overlap", "disputed", "ambiguous_objects",
)  # fmt: skip
_TABLES = (
    "children", "villagers", "strangers", "goods", "places", "opposites", "irregular_plurals",
    "singular", "kind_names",
)  # fmt: skip
_PRONOUNS = {
    "she": ("she", "her", "her"),
    "he": ("he", "him", "his"),
}  # subject, object, possessive


def _words(name: str) -> tuple[str, ...]:
    return tuple(wording("lexicon")[name])


def _people(name: str) -> dict[str, tuple[str, str, str]]:
    """Name -> (subject, object, possessive) pronouns."""
    people: dict[str, str] = wording("lexicon")[name]
    for person, pronoun in people.items():
        if pronoun not in _PRONOUNS:
            raise ValueError(
                f"world/lexicon.toml, [{name}] {person} is {pronoun!r}; write 'she' or 'he'"
            )
    return {person: _PRONOUNS[pronoun] for person, pronoun in people.items()}


def _categories() -> dict[str, tuple[str, ...]]:
    unknown = set(_words("categories")) - set(_LISTS)
    if unknown:
        raise ValueError(
            f"world/lexicon.toml, categories: {min(unknown)!r} is no list of the file; "
            "write the list, or take the name out"
        )
    return {name: _words(name) for name in _words("categories")}


check_fields("world/lexicon.toml", wording("lexicon"), (*_LISTS, *_TABLES))
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

CATEGORIES = _categories()  # name (plural) -> members: the lists that can be asked for
SINGULAR: dict[str, str] = wording("lexicon")["singular"]
SORTED_KINDS = _words("sorted_kinds")
GOODS: dict[str, str] = wording("lexicon")["goods"]  # singular -> plural
PLACES: dict[str, str] = wording("lexicon")["places"]  # place -> its preposition
OPPOSITES: dict[str, str] = wording("lexicon")["opposites"]
OPPOSITE_OF = {**OPPOSITES, **{b: a for a, b in OPPOSITES.items()}}
IRREGULAR_PLURALS: dict[str, str] = wording("lexicon")["irregular_plurals"]
