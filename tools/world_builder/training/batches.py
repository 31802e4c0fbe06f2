"""The corpus as batches of token ids, built where they are trained on or ahead by worker processes.

A chunk is a run of documents, and its batches are a pure function of its number and a `Plan`, so
workers change nothing but the time.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import count
from random import Random
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from tools.world_builder.corpus import TRAIN_SEED, corpus

WIDTH_STEP = 16  # widths are its multiples: few of them, so that memory is used again
AHEAD = 2  # chunks that wait for each worker, so that a slow one holds nobody up


@dataclass(frozen=True)
class Plan:
    """What decides the batches of a chunk."""

    tokenizer: str  # as JSON
    pad: int
    bos: int
    eos: int
    documents: int  # of a chunk
    batch_tokens: int  # padded tokens of a batch, before its width is rounded up
    max_tokens: int  # longer documents are cut
    seed: int  # of the order


class Chunk(NamedTuple):
    """The batches of a chunk, one after the other in one array: it travels at once."""

    ids: np.ndarray  # int32
    shapes: list[tuple[int, int]]  # (rows, T) of each batch
    tokens: int  # without padding
    seconds: float  # that it took one process


def make_chunk(plan: Plan, number: int) -> Chunk:
    """The batches of one chunk of the corpus, each (rows, T), right-padded, in a seeded order.

    Documents are sorted by length before they are cut into batches, so that little is padding, and
    the batches are shuffled afterwards, so that lengths mix over time.
    """
    start = time.perf_counter()
    texts = [d.text for d in corpus(plan.documents, TRAIN_SEED, start=number * plan.documents)]
    encoded = _tokenizer(plan.tokenizer).encode_batch_fast(texts, add_special_tokens=False)
    rows = [[plan.bos, *one.ids[: plan.max_tokens], plan.eos] for one in encoded]
    rows = sorted((row[: plan.max_tokens] for row in rows), key=len)
    groups: list[list[list[int]]] = [[]]
    for row in rows:
        if (len(groups[-1]) + 1) * len(row) > plan.batch_tokens:
            groups.append([])
        groups[-1].append(row)
    Random(f"order {plan.seed} {number}").shuffle(groups)
    arrays = [_padded(group, plan.pad) for group in groups]
    return Chunk(
        ids=np.concatenate([array.ravel() for array in arrays]),
        shapes=[array.shape for array in arrays],
        tokens=sum(map(len, rows)),
        seconds=time.perf_counter() - start,
    )


def _padded(group: list[list[int]], pad: int) -> np.ndarray:
    width = -(-max(map(len, group)) // WIDTH_STEP) * WIDTH_STEP
    return np.array([row + [pad] * (width - len(row)) for row in group], dtype=np.int32)


@cache
def _tokenizer(text: str) -> Tokenizer:
    return Tokenizer.from_str(text)


def chunks(plan: Plan, start: int, workers: int) -> Iterator[Chunk]:
    """The chunks from `start` on, without end, in order; without workers each when it is asked for.

    Closing the iterator ends the workers.
    """
    if not workers:
        yield from (make_chunk(plan, number) for number in count(start))
    # Not a fork: a copy of a process that has started a graphics card or threads may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    waiting: deque = deque()
    try:
        for number in count(start):
            waiting.append(pool.submit(make_chunk, plan, number))
            if len(waiting) > AHEAD * workers:
                yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """The tokenizer's own threads are off, every core has a worker; none outlives a killed run."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
