"""The registry: one row per method, what it is made of, and where it comes from.

A variant is a pure function and a row here. The notebooks print this table: read down a column, and
the differences between papers are a word each.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Method:
    """One method: the loop that runs it, the settings that make it what it is, and its paper."""

    name: str
    loop: str  # the function of minialign.train that runs it
    idea: str  # in a few words
    paper: str  # authors and year
    arxiv: str  # identifier, "" where there is none
    settings: dict[str, Any] = field(default_factory=dict)  # of the loop's config


REGISTRY: dict[str, Method] = {
    m.name: m
    for m in (
        Method(
            "sft",
            "train_sft",
            "imitate the tokens of the reply",
            "Ouyang et al. 2022, section 3.5",
            "2203.02155",
            {"loss_on": "completion"},
        ),
        Method(
            "sft_all_tokens",
            "train_sft",
            "imitate prompt and reply alike",
            "Shi et al. 2024 (instruction modelling)",
            "2405.14394",
            {"loss_on": "all"},
        ),
        Method(
            "neftune",
            "train_sft",
            "imitate under noise on the embeddings",
            "Jain et al. 2023",
            "2310.05914",
            {"noise_alpha": 5.0},
        ),
        Method(
            "lora",
            "train_sft",
            "train a low-rank update of each matrix",
            "Hu et al. 2021",
            "2106.09685",
        ),
    )
}


def table() -> pd.DataFrame:
    """The registry as a table."""
    return pd.DataFrame([asdict(m) for m in REGISTRY.values()]).set_index("name")


def method(name: str) -> Method:
    """A row by its name; an unknown name lists those that there are."""
    if name not in REGISTRY:
        raise ValueError(f"method {name!r} is unknown; use one of {', '.join(REGISTRY)}")
    return REGISTRY[name]
