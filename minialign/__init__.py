"""minialign: a course on aligning language models, and one minimal implementation of each
algorithm."""

import os
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

# OpenMP's idle threads spin before they sleep, 300,000 rounds by default. Beside other work they
# spin on time that a process needs. A two-thread rollout on two cores, medians of four runs of
# benchmarks/busy.py on a machine that was not always quiet: alone 0.9 to 1.0 s by default,
# 1.05 to 1.2 with 1,000 rounds (2.9 in one run), 1.35 to 1.7 without any; beside two busy processes
# 5.5 to 40, 1.9 to 7.0 and 1.6 to 2.8. So 1,000 is about twice its own quiet time, none is surely
# below. It is read when torch is loaded, so it is set here, unless the user has said something, and
# does nothing where torch was imported before.
SPINS = 1000
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = str(SPINS)

# The public names, each loaded from its module when it is first used: importing minialign is quick.
PUBLIC = {
    "load_policy": "core.models.loading",
    "add_lora": "core.models.loading",
    "RewardModel": "core.models.heads",
    "ValueModel": "core.models.heads",
    "encode": "core.tokens",
    "sample": "core.sampling",
    "token_logprobs": "core.logprobs",
    "train_sft": "algorithms.sft",
    "SftConfig": "algorithms.sft",
    "train_reward": "algorithms.reward_model",
    "RewardConfig": "algorithms.reward_model",
    "train_ppo": "algorithms.ppo",
    "PpoConfig": "algorithms.ppo",
    "train_dpo": "algorithms.dpo",
    "DpoConfig": "algorithms.dpo",
    "dpo_loss": "algorithms.dpo",
    "train_grpo": "algorithms.grpo",
    "GrpoConfig": "algorithms.grpo",
    "method": "variants.methods",
    "read": "data.reading",
    "stage": "course.pipeline",
}
__all__ = [*PUBLIC]


def __getattr__(name: str) -> object:
    """A public name; any other one is refused with the list of those that there are."""
    if name not in PUBLIC:
        raise AttributeError(f"minialign has no {name!r}; it has {', '.join(PUBLIC)}")
    return getattr(import_module(f"minialign.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *PUBLIC]


def modules_of(room: str) -> Callable[[str], ModuleType]:
    """A room's `__getattr__`: its modules by name, each loaded when it is first used.

    With it `from minialign import evaluate` is enough for `evaluate.exact` and its neighbours.
    """

    def module(name: str) -> ModuleType:
        wanted = f"{room}.{name}"
        try:
            return import_module(wanted)
        except ModuleNotFoundError as error:
            if error.name != wanted:  # the module is there, and something that it needs is not
                raise
            raise AttributeError(f"{room} has no {name!r}; see its folder") from None

    return module
