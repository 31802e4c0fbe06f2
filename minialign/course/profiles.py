"""How large a run is: smoke for tests, tiny for any laptop, small for one GPU, two-cores for none.

Every notebook, stage and study takes its sizes from a row of this one table.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from typing import Annotated, get_type_hints

import pandas as pd

ENVIRONMENT = "MINIALIGN_PROFILE"  # names the default, where no parameter can be given
DEFAULT = "tiny"


@dataclass(frozen=True)
class Profile:
    """The sizes of a run; each field's annotation says what it counts."""

    name: Annotated[str, "of the profile"]
    model: Annotated[str, "one that the course ships, one of the Hugging Face hub, or a folder"]
    seeds: Annotated[int, "runs of each experiment, with seeds 0, 1, ..."]
    examples: Annotated[int, "rows of training data"]
    comparisons: Annotated[int, "pairs of replies that a reward model or a policy learns from"]
    steps: Annotated[int, "updates of the weights in fine-tuning"]
    batch_size: Annotated[int, "sequences in one update"]
    eval_prompts: Annotated[int, "held-out prompts in one evaluation"]
    max_new_tokens: Annotated[int, "tokens at which a sampled reply is cut"]

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("name", "model"):
                if not isinstance(value, str) or not value:
                    raise ValueError(f"{field.name} is {value!r}, but must be a name")
            elif not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(
                    f"{field.name} is {value!r}, but must be a whole number of at least 1; "
                    "None keeps the profile's own"
                )

    @property
    def base(self) -> str:
        """The name without changes."""
        return self.name.partition(",")[0]


_TABLE = (
    # name, model, seeds, examples, comparisons, steps, batch_size, eval_prompts, max_new_tokens
    Profile("smoke", "tiny-base", 1, 96, 64, 6, 16, 24, 24),
    Profile("tiny", "tiny-base", 3, 12800, 6400, 800, 32, 288, 64),
    Profile("small", "HuggingFaceTB/SmolLM2-135M", 1, 4000, 4000, 500, 16, 288, 96),
    Profile("two-cores", "smollm2-135m-instruct", 2, 1920, 800, 120, 16, 96, 64),
)
PROFILES = {profile.name: profile for profile in _TABLE}


def get(name: str | Profile | None = None) -> Profile:
    """A profile by name; a profile is returned as it is.

    Args:
        name: of PROFILES, and after commas what is changed in it, such as "small, batch_size=8";
            None is what the environment variable MINIALIGN_PROFILE says, else tiny.

    Raises:
        ValueError: if there is no such profile, or nothing of it can be changed so.

    >>> get("smoke").steps, get("smoke, steps=4").steps, get("smoke, steps=4").name
    (6, 4, 'smoke, steps=4')
    """
    if isinstance(name, Profile):
        return name
    named = os.environ.get(ENVIRONMENT) if name is None else None
    source = ENVIRONMENT if named else "profile"
    name = (named or DEFAULT) if name is None else name
    if not isinstance(name, str):
        raise ValueError(
            f"{source} is {name!r} ({type(name).__name__}), but must be a name: use one of "
            f"{', '.join(PROFILES)}, with changes such as 'small, batch_size=8'"
        )
    known, *changes = (part.strip() for part in name.split(","))
    if known not in PROFILES:
        raise ValueError(
            f"{source} is {name!r}, but there is only {', '.join(PROFILES)}; use one of them"
        )
    if not changes:
        return PROFILES[known]
    values: dict[str, int | str] = {}
    for text in changes:
        field, _, value = (part.strip() for part in text.partition("="))
        if field in values or field not in [f.name for f in fields(Profile)][1:] or not value:
            raise ValueError(
                f"{source} changes {text!r}, but a change is FIELD=VALUE, each field once; write "
                "it like steps=4"
            )
        values[field] = int(value) if value.isdecimal() and len(value) < 19 else value
    return override(PROFILES[known], name=", ".join([known, *changes]), **values)


def override(profile: Profile, **not_none: int | str | None) -> Profile:
    """The profile with every given value that is not None in place of its own.

    Raises:
        ValueError: if a name is no field of a profile, or a value is not allowed there.

    >>> override(get("tiny"), steps=50, batch_size=None).steps
    50
    """
    known = [field.name for field in fields(profile)]
    if unknown := [name for name in not_none if name not in known]:
        raise ValueError(f"a profile has no {unknown[0]!r}; it has {', '.join(known)}")
    return replace(profile, **{name: x for name, x in not_none.items() if x is not None})


def table() -> pd.DataFrame:
    """The profiles side by side: a row per field, with what it counts in the last column."""
    meanings = {
        name: hint.__metadata__[0]
        for name, hint in get_type_hints(Profile, include_extras=True).items()
        if name != "name"
    }
    columns = {p.name: [getattr(p, field) for field in meanings] for p in PROFILES.values()}
    frame = pd.DataFrame(columns, index=list(meanings), dtype=object)
    return frame.assign(meaning=list(meanings.values()))
