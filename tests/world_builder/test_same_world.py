"""The corpus is the one that the base model read: its first documents have recorded digests.

That data/*.jsonl are rebuilt byte for byte is tested in tests/data/test_data.py. Whoever changes a
text of the world on purpose raises `WORLD_VERSION` and records the digests that this test prints.
"""

from __future__ import annotations

from hashlib import sha256

import pytest

from tools.world_builder.corpus import HELD_OUT_SEED, TRAIN_SEED, corpus

DIGESTS = {  # (documents, seed) -> sha256 over kinds and texts, each closed by a zero byte
    (2000, TRAIN_SEED): "217d37ba3494cda31759a8fc77be4ca6211a1088d47b9f395b472fff3369a2f8",
    (500, HELD_OUT_SEED): "8328ebc47273a93e1e214506b965a17ab7fc7f5f8f1118fe47d4f516a72351ba",
}


@pytest.mark.parametrize(("n", "seed"), DIGESTS)
def test_the_corpus_is_the_one_that_was_read(n: int, seed: int) -> None:
    digest = sha256()
    for document in corpus(n, seed):
        digest.update(f"{document.kind}\0{document.text}\0".encode())
    assert digest.hexdigest() == DIGESTS[n, seed]
