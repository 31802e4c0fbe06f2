"""Every method side by side with TRL: time, memory and set-up on the same work.

    python -m benchmarks.vs_trl --model tiny-base --precision float32 --repeats 5
    python -m benchmarks.vs_trl --profile grpo

Both libraries train the same model on the same rows in the same batches, precision and lengths, in
one process and turn by turn: ours, TRL, ours, TRL. That the work is equal is asserted
(`benchmarks.trl_checks`): the same rows at every step, and losses and gradient norms that agree. A
table per model and precision goes into RESULTS.md, the repeats themselves into vs_trl.csv beside
it, so that methods can be measured one by one.

TRL runs as its documentation would have it on a CPU, and without what would only cost it time: no
logs, no files, no gradient checkpointing, no packing. Its attention is by default the faster one
for it: sdpa in float32, eager in bfloat16. `--order own` lets TRL draw its own batches, as its
defaults have it, where ours are of like length. On a busy machine take `--threads 1 --cpu-time`;
TQDM_DISABLE=1 in the environment is without progress bars.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from benchmarks.report import FIGURES, RESULTS, machine, middle, write_section
from benchmarks.trl_checks import require_equal, require_like_lengths
from benchmarks.trl_memory import peak_memory
from benchmarks.trl_profile import profile_tables
from benchmarks.trl_results import (
    PRECISIONS,
    Repeat,
    draw_ratios,
    keep,
    notes,
    ratios,
    results_table,
)
from benchmarks.trl_sides import Clock, run_ours, run_theirs
from benchmarks.trl_work import METHODS, SIZES, TITLES, Work, parity, prepare, work_of

FIGURE = "bench_vs_trl.png"
FASTER = {"float32": "sdpa", "bfloat16": "eager"}  # TRL's steps, on CPUs that we tried


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=SIZES, default="tiny-base")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--order", choices=["same", "own"], default="same", help="of TRL's rows")
    parser.add_argument("--trl-attention", choices=["sdpa", "eager"], help="default: the faster")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="of each repeat")
    parser.add_argument("--size", type=int, help="rows, pairs or prompts of a step, to try out")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--sft-steps", type=int, default=100, help="of tiny-base beforehand")
    parser.add_argument("--memory-repeats", type=int, default=2, help="processes of each side")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu-time", action="store_true", help="count seconds of this process")
    parser.add_argument("--profile", choices=METHODS, metavar="METHOD", help="of ours, and stop")
    options = parser.parse_args(words)
    options.trl_attention = options.trl_attention or FASTER[options.precision]
    return options


def measure(work: Work, options: argparse.Namespace) -> list[Repeat]:
    """All repeats of one method."""
    clock = time.process_time if options.cpu_time else time.perf_counter
    check(work, clock)
    repeats = []
    for seed in range(options.repeats):
        one = replace(work, seed=seed)
        ours, theirs = run_ours(one, parity, clock), run_theirs(one, parity, clock=clock)
        if not work.sampled:
            require_equal(one, ours, theirs)
        memory = None
        if seed < options.memory_repeats:
            ours_mib, trl_mib = (peak_memory(one, s, options.threads) for s in ("ours", "trl"))
            memory = ours_mib, trl_mib
        repeats.append(Repeat(ours, theirs, memory))
    if work.sampled:
        require_like_lengths(work, [r.ours for r in repeats], [r.theirs for r in repeats])
    return repeats


def check(work: Work, clock: Clock = time.perf_counter) -> None:
    """One step of both on the same rows, and the same completions: what they compute must agree."""
    short = replace(work.short(), same_order=True)
    ours = run_ours(short, parity, clock)
    given = ours.completions[0] if work.sampled else None
    require_equal(short, ours, run_theirs(short, parity, given, clock))


def command(options: argparse.Namespace) -> str:
    """The heading of the results' section."""
    words = f"python -m benchmarks.vs_trl --model {options.model} --precision {options.precision}"
    return words + (" --order own" if options.order == "own" else "")


def works(options: argparse.Namespace, folder: str) -> list[Work]:
    """The work of every method that was asked for."""
    changes = {"size": options.size} if options.size else {}
    return [
        work_of(
            options.model, method, folder, steps=options.steps, precision=options.precision,
            trl_attention=options.trl_attention, same_order=options.order == "same",
            max_new_tokens=options.max_new_tokens, **changes,
        )
        for method in ([options.profile] if options.profile else options.methods)
    ]  # fmt: skip


def main(
    words: Sequence[str] | None = None, *, results: Path = RESULTS, figures: Path = FIGURES
) -> None:
    """Measure, and write table and figure after every method.

    Args:
        words: of the command line; None reads it.
        results: the file of all benchmarks' results; repeats go into vs_trl.csv beside it.
        figures: the folder of figures.
    """
    options = arguments(words)
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore", FutureWarning)  # of transformers, about names of settings
    with tempfile.TemporaryDirectory() as folder:
        prepare(options.model, Path(folder), options.sft_steps * (options.model == "tiny-base"))
        for work in works(options, folder):
            if options.profile:
                clock = time.process_time if options.cpu_time else time.perf_counter
                tables = profile_tables(work, clock)
                print(tables, flush=True)
                title = f"{command(options)} --profile {options.profile}"
                write_section(title, f"{machine(options.threads)}\n\n{tables}", results)
            else:
                report(work, measure(work, options), options, results, figures)


def report(
    work: Work, repeats: list[Repeat], options: argparse.Namespace, results: Path, figures: Path
) -> None:
    """Keep the repeats, write the section, and draw all models and precisions anew."""
    key = {
        "model": options.model, "precision": options.precision, "order": options.order,
        "method": work.method,
    }  # fmt: skip
    clock = "seconds of this process (CPU time)" if options.cpu_time else "seconds on the wall"
    how = {
        "size": work.size, "steps": work.steps, "clock": clock, "attention": work.trl_attention,
        "machine": machine(options.threads),
    }  # fmt: skip
    lines = keep(results.with_name("vs_trl.csv"), key, repeats, how)
    alike = [(lines[name] == key[name]) for name in ("model", "precision", "order")]
    mine = lines[alike[0] & alike[1] & alike[2]]
    ratio = middle(ratios(mine[mine["method"] == work.method]))
    print(f"{TITLES[work.method]}: TRL / ours {ratio}", flush=True)
    text = [" ".join(mine["machine"].unique()), notes(mine), results_table(options.model, mine)]
    if options.order == "same":
        figure = draw_ratios(lines)
        figures.mkdir(parents=True, exist_ok=True)
        figure.savefig(figures / FIGURE)
        plt.close(figure)
        path = os.path.relpath(figures / FIGURE, results.parent)
        text.append(f"![TRL's time per token by ours, for each method]({path})")
    write_section(command(options), "\n\n".join(text), results)


if __name__ == "__main__":
    main()
