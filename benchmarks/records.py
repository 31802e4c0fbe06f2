"""Where a benchmark keeps its measurements: a CSV from which its table and its figure are drawn."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.report import FIGURES, RESULTS, ROOT


@dataclass(frozen=True)
class Places:
    """The three files of a benchmark."""

    results: Path  # its section
    records: Path  # every measurement
    figure: Path

    @classmethod
    def of(cls, name: str, folder: Path | None = None) -> Places:
        """Those of the repository; or all three in another folder, which leaves it as it is."""
        if folder is None:
            records = ROOT / "data" / "runs" / f"bench_{name}.csv"
            return cls(RESULTS, records, FIGURES / f"bench_{name}.png")
        names = "RESULTS.md", f"bench_{name}.csv", f"bench_{name}.png"
        return cls(*(folder / each for each in names))

    def draw(self, figure: Figure) -> None:
        """Save the figure as a small PNG of 64 colours, and close it."""
        self.figure.parent.mkdir(parents=True, exist_ok=True)
        drawn = BytesIO()
        figure.savefig(drawn, format="png")
        plt.close(figure)
        Image.open(drawn).convert("RGB").quantize(64).save(self.figure, optimize=True)

    def image(self, alt: str) -> str:
        """The figure in the section's Markdown."""
        return f"![{alt}]({Path(os.path.relpath(self.figure, self.results.parent)).as_posix()})"


def replace_rows(new: pd.DataFrame, path: Path, key: Sequence[str] = ()) -> pd.DataFrame:
    """Write new rows into a CSV and return all that it then holds.

    Args:
        new: the rows, those of one key together.
        path: the CSV; it need not be there yet.
        key: columns; earlier rows with the same values in them give way to the new ones, and
            others stay. Without a key all give way.
    """
    rows = new
    if key and path.exists():
        earlier = pd.read_csv(path)
        measured = pd.MultiIndex.from_frame(new[list(key)])
        stay = ~pd.MultiIndex.from_frame(earlier[list(key)]).isin(measured)
        rows = pd.concat([earlier[stay], new])
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.to_csv(path, index=False, lineterminator="\n")
    return pd.read_csv(path)
