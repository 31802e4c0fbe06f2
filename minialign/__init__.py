"""minialign: a course on aligning language models, and one minimal implementation of each
algorithm."""

import os

__version__ = "0.1.0"

# OpenMP's idle threads spin before they sleep, 300,000 rounds by default. Beside other work they
# spin on time that a process needs. A two-thread rollout on two cores, medians of four runs of
# benchmarks/bench_busy.py on a machine that was not always quiet: alone 0.9 to 1.0 s by default,
# 1.05 to 1.2 with 1,000 rounds (2.9 in one run), 1.35 to 1.7 without any; beside two busy processes
# 5.5 to 40, 1.9 to 7.0 and 1.6 to 2.8. So 1,000 is about twice its own quiet time, none is surely
# below. It is read when torch is loaded, so it is set here, unless the user has said something, and
# does nothing where torch was imported before.
SPINS = 1000
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = str(SPINS)
