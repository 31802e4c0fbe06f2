"""minialign: a course on aligning language models, and one minimal implementation of each
algorithm."""

import os

__version__ = "0.1.0"

# OpenMP's idle threads spin before they sleep, 300,000 rounds by default. Beside other work they
# spin on time that a process needs, and two threads are slower than one. It is read when torch is
# loaded, so it is set here, unless the user has said something; benchmarks/bench_busy.py measures.
SPINS = 1000
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = str(SPINS)
