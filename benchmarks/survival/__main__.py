"""What the package survives, measured, and written to SURVIVAL.md.

    python -m benchmarks.survival [--only kills disk] [--kills 100] [--completions 100000]

Each part can be run alone; the lines of the others stay as they were.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

# One thread, before torch is loaded: parts fork, and tensors are tiny.
os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1"}

PARTS = {  # part -> the option that says how often it tries, and the default
    "kills": ("kills", 100),
    "course": ("course_kills", 4),
    "disk": None,
    "memory": None,
    "folders": ("pairs", 20),
    "texts": ("completions", 100_000),
    "code": None,
    "notebooks": ("notebooks", 10),
}
UNASKED = ("notebooks",)  # takes 20 minutes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, help=f"all but {', '.join(UNASKED)}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=Path, help="where results are kept (survival.json)")
    for option, default in filter(None, PARTS.values()):
        parser.add_argument(f"--{option.replace('_', '-')}", type=int, default=default)
    options = parser.parse_args()
    from benchmarks.survival.outcome import PAGE, RECORD, keep, write_page

    record = options.record or RECORD
    page = record.with_suffix(".md") if options.record else PAGE
    failures = 0
    for part in options.only or [part for part in PARTS if part not in UNASKED]:
        said, arguments = "", []
        if PARTS[part]:
            name = PARTS[part][0]
            arguments = [getattr(options, name), options.seed]
            said = f" --{name.replace('_', '-')} {arguments[0]}"
            said += f" --seed {options.seed}" if options.seed else ""
        found = importlib.import_module(f"benchmarks.survival.{part}").measure(*arguments)
        keep(part, found, said, record)
        write_page(record, page)
        failures += sum(one.failures for one in found)
        for one in found:
            print(f"{one.threat}: {one.tries} tries, {one.happened}; {one.worst}", flush=True)
    return min(1, failures)


if __name__ == "__main__":
    sys.exit(main())
