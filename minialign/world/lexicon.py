"""The words of the embedded world: who and what there is to speak about.

They lie in data/world/lexicon.toml. Everything the world writes is put together from these tables,
so a checker can ask which colours, animals or numbers a reply mentions by looking them up here.
"""

from __future__ import annotations

from minialign.world.tables import read

_FILE = read("lexicon")
# Subject, object, possessive.
_PRONOUNS = {"she": ("she", "her", "her"), "he": ("he", "him", "his")}


def _people(name: str) -> dict[str, tuple[str, str, str]]:
    """Name -> (subject, object, possessive) pronouns."""
    people = _FILE.table(name)
    for person in people:
        people.known(person, [people[person]], _PRONOUNS)
    return {person: _PRONOUNS[pronoun] for person, pronoun in people.items()}


CHILDREN = _people("children")
VILLAGERS = _people("villagers")
STRANGERS = _people("strangers")
PRONOUNS = {**CHILDREN, **VILLAGERS, **STRANGERS}

ANIMALS = _FILE.texts("animals")
BIRDS = _FILE.texts("birds")
PETS = _FILE.texts("pets")
FRUITS = _FILE.texts("fruits")
VEGETABLES = _FILE.texts("vegetables")
DISHES = _FILE.texts("dishes")
COLOURS = _FILE.texts("colours")
CLOTHES = _FILE.texts("clothes")
TOOLS = _FILE.texts("tools")
INSTRUMENTS = _FILE.texts("instruments")
TREES = _FILE.texts("trees")
FLOWERS = _FILE.texts("flowers")
TOYS = _FILE.texts("toys")
DAYS = _FILE.texts("days")
SEASONS = _FILE.texts("seasons")
OBJECTS = _FILE.texts("objects")
JOBS = _FILE.texts("jobs")
NUMBER_WORDS = _FILE.texts("number_words")  # from zero on
TEENS = _FILE.texts("teens")
TENS = _FILE.texts("tens")  # from twenty on
IDIOMS = _FILE.texts("idioms")
OPENERS = _FILE.texts("openers")
NEAR_OPPOSITES = _FILE.texts("near_opposites")
SORTED_KINDS = _FILE.texts("sorted_kinds")
DISPUTED = _FILE.texts("disputed")
AMBIGUOUS_OBJECTS = _FILE.texts("ambiguous_objects")
OVERLAP = [set(kinds) for kinds in _FILE["overlap"]]

GOODS: dict[str, str] = _FILE["goods"]  # singular -> plural
PLACES: dict[str, str] = _FILE["places"]  # place -> its preposition
OPPOSITES: dict[str, str] = _FILE["opposites"]
OPPOSITE_OF = {**OPPOSITES, **{b: a for a, b in OPPOSITES.items()}}
SECOND_OPPOSITES: dict[str, list[str]] = _FILE["second_opposites"]
IRREGULAR_PLURALS: dict[str, str] = _FILE["irregular_plurals"]
SINGULAR: dict[str, str] = _FILE["singular"]  # kind -> one of its members
KIND_NAMES: dict[str, str] = _FILE["kind_names"]
# Kind (plural) -> its members: the lists that can be asked for.
CATEGORIES = {kind: _FILE.texts(kind) for kind in _FILE.texts("categories")}

# Each field of the file is one of the constants above.
_FILE.only((), [name.lower() for name in globals() if name.isupper() and name[0] != "_"])
