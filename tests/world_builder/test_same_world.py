"""The corpus is the one that the base model read: its first documents have recorded digests.

That data/*.jsonl are rebuilt byte for byte is tested in tests/data/test_data.py. Whoever changes a
text of the world on purpose raises `WORLD_VERSION` and records the digests that this test prints.
"""

from __future__ import annotations

from hashlib import sha256

import pytest

from tools.world_builder.corpus import HELD_OUT_SEED, TRAIN_SEED, corpus

DIGESTS = {  # (documents, seed) -> sha256 over kinds and texts, each closed by a zero byte
    (2000, TRAIN_SEED): "fb3fe8435dc5f28b33402c6afe261d0ffc247d86d1f2b4b829c7dec210d5b027",
    (500, HELD_OUT_SEED): "ca14f45e68bccb54dd23fef0d7eb1162f1bbd7cf4aa133df7bad539fda85a840",
}


@pytest.mark.parametrize(("n", "seed"), DIGESTS)
def test_the_corpus_is_the_one_that_was_read(n: int, seed: int) -> None:
    digest = sha256()
    for document in corpus(n, seed):
        digest.update(f"{document.kind}\0{document.text}\0".encode())
    assert digest.hexdigest() == DIGESTS[n, seed]
