"""minialign: a course on aligning language models, and one minimal implementation of each
algorithm."""

import os

__version__ = "0.1.0"

# OpenMP's idle threads spin before they sleep, 300,000 rounds by default. Beside other work they
# spin on time that a process needs. A rollout with two threads on two cores (medians of
# benchmarks/bench_busy.py): by default 0.95 s alone and 6.3 s beside two busy processes, with 1,000
# rounds 1.08 s and 1.9 s, without any 1.5 s and 2.1 s. It is read when torch is loaded, so it is
# set here, unless the user has said something, and does nothing where torch was imported before.
SPINS = 1000
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = str(SPINS)
