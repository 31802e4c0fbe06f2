"""Is this machine ready for the course? What is missing, how to mend it, and which profile fits."""

from __future__ import annotations

import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import minialign
from minialign.system import hardware
from minialign.system.terminal import one_line, plain

_PACKAGE = Path(__file__).resolve().parents[1]
OLDEST, NEWEST = (3, 11), (3, 13)  # Python
DISK, MEMORY = 1.0, 2.0  # GiB that the tiny profile needs
SMALL_CARD, WHOLE_CARD = 7.5, 14.5  # GiB; cards sold with 8 and 16 show a little less
NEW_TOKENS = 48  # of the sample


@dataclass(frozen=True)
class Check:
    """The finding of one check; only a needed thing that is bad makes the doctor fail."""

    what: str
    state: str  # ok, note, old, missing, low, broken
    text: str  # what is there
    repair: str = ""

    @property
    def bad(self) -> bool:
        """Whether something needed is wrong."""
        return self.state not in ("ok", "note")

    def __str__(self) -> str:
        return f"{self.state:<8} {self.what:<14} {self.text}"


def check_python(running: tuple[int, int] = sys.version_info[:2]) -> Check:
    """Python is new enough, and not newer than what is tested."""
    span = " to ".join(".".join(map(str, version)) for version in (OLDEST, NEWEST))
    text = f"{running[0]}.{running[1]}, {sys.executable}"
    if running < OLDEST:
        repair = f"make an environment with Python {span}, as with conda or uv"
        return Check("python", "old", text, repair)
    if running > NEWEST:
        return Check("python", "note", f"{text}; tested with {span}")
    return Check("python", "ok", text)


def requirements() -> list[str]:
    """What minialign needs, such as "torch>=2.13": from a clone's pyproject.toml, else installed.

    Raises:
        FileNotFoundError: if there is neither.
    """
    project = _PACKAGE.parent / "pyproject.toml"
    if project.is_file():
        return tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    try:
        lines = metadata.requires("minialign") or []
    except metadata.PackageNotFoundError as error:
        raise FileNotFoundError(
            f"neither a pyproject.toml beside {_PACKAGE} nor an installed minialign; "
            "clone minialign, or install it with pip"
        ) from error
    return [line for line in lines if "extra ==" not in line]


def check_requirement(line: str) -> Check:
    """One dependency's installed version against its lower bound; it is not imported."""
    from packaging.requirements import Requirement

    requirement = Requirement(line)
    name, bound = requirement.name, requirement.specifier
    repair = f'python -m pip install --upgrade "{line}"'
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, "missing", f"not installed; needs {bound}", repair)
    if not bound.contains(version, prereleases=True):
        return Check(name, "old", f"{version}; needs {bound}", repair)
    return Check(name, "ok", version)


def check_memory(memory: tuple[float, float] | None) -> Check:
    """Main memory: (all, available) in GiB, or None where it is unknown."""
    if memory is None:
        return Check("memory", "note", "unknown")
    text = f"{memory[0]:.1f} GiB, {memory[1]:.1f} available"
    if memory[1] < MEMORY:
        return Check("memory", "note", f"{text}; below {MEMORY:g}, so close other programs first")
    return Check("memory", "ok", text)


def check_load(load: float | None, cores: int) -> Check:
    """Other work on this machine: processes that ran or waited over the last minute."""
    if load is None:
        return Check("load", "note", "unknown")
    text = f"{load:.1f} processes at work, yours among them, on {cores} cores"
    if load > cores / 2:
        slower = "trainings take about twice as long; close other programs, or wait"
        return Check("load", "note", f"{text}: {slower}")
    return Check("load", "ok", text)


def check_disk(free: float) -> Check:
    """Free disk in GiB of the current folder."""
    if free < DISK:
        return Check("disk", "low", f"{free:.1f} GiB free", f"free {DISK:g} GiB of this disk")
    return Check("disk", "ok", f"{free:.0f} GiB free")


def check_data() -> Check:
    """The data folder is there."""
    from minialign.system.folders import data_folder

    try:
        return Check("data", "ok", str(data_folder()))
    except FileNotFoundError as error:
        return Check("data", "missing", "not found", str(error))


def check_default_profile() -> Check:
    """MINIALIGN_PROFILE, if it is set, names a profile."""
    from minialign.course import profiles  # needs pandas, which may be what lacks

    try:
        return Check("profile", "ok", f"{profiles.get().name} is the default here")
    except ValueError as error:
        repair = f"unset {profiles.ENVIRONMENT}, or set it to {', '.join(profiles.PROFILES)}"
        return Check("profile", "broken", str(error), repair)


def check_device() -> Check:
    """What torch computes on: the device, and whether it multiplies bfloat16 by itself."""
    import torch

    from minialign.core.models import fast_matmul
    from minialign.course.session import pick_device

    device, card = pick_device(), hardware.graphics()
    native = isinstance(fast_matmul(device), torch.autocast)
    name = f"{card[0]}, {card[1]:.1f} GiB" if card else hardware.processor()
    text = f"{device.type}: {name}; {hardware.cores()} cores, {torch.get_num_threads()} threads"
    text += f", bfloat16 {'native' if native else 'not used'}"
    if torch.version.cuda and not torch.cuda.is_available():
        return Check("device", "note", f"{text}; torch is for CUDA but finds no card")
    return Check("device", "ok", text)


def recommend(
    card: tuple[str, float] | None, cores: int, memory: tuple[float, float] | None
) -> tuple[str, str]:
    """Which profile fits, and why.

    Args:
        card: name and GiB of the graphics card, or None.
        cores: of the processor.
        memory: (all, available) main memory in GiB, or None where it is unknown.

    Returns:
        (profile, reason).

    >>> recommend(None, 2, (8.0, 4.0))
    ('tiny', 'no CUDA card; a notebook takes at most about 4 minutes on 2 cores (here 2)')
    """
    if memory is not None and memory[1] < MEMORY:
        return "smoke", f"only {memory[1]:.1f} GiB of memory are available"
    if card and card[0] != "Apple MPS":
        if card[1] >= WHOLE_CARD:
            return "small", f"{card[0]} has {card[1]:.1f} GiB, and 16 GB are enough"
        if card[1] >= SMALL_CARD:
            return "small, batch_size=4", f"{card[0]} has {card[1]:.1f} GiB; larger batches want 16"
        return "tiny", f"{card[0]} has {card[1]:.1f} GiB, and small wants 8 GB"
    if cores < 2:
        return "tiny", "one core: count twice the minutes that a notebook names, or take smoke"
    why = "no CUDA card" + ("; small runs on Apple MPS, if slowly" if card else "")
    return "tiny", f"{why}; a notebook takes at most about 4 minutes on 2 cores (here {cores})"


def sample_once() -> str:
    """A sample of tiny-base with its speed, as text that is safe to print."""
    import torch

    from minialign.core.models.loading import load_policy
    from minialign.core.sampling import sample
    from minialign.course.session import start
    from minialign.world.tasks import instructions

    session = start(0, "tiny", quiet=True)
    policy, tokenizer = load_policy(session.model, device=session.device)
    prompt = instructions(1, "test", 0)[0].prompt
    sample(policy, tokenizer, [prompt], max_new_tokens=2)  # the first call is slow
    settings = {"max_new_tokens": NEW_TOKENS, "generator": session.generator}
    began = time.perf_counter()
    rollout = sample(policy, tokenizer, [prompt], **settings)
    if session.device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    tokens = int(rollout.lengths.sum())
    speed = f"{tokens} tokens in {seconds:.2f} s, {tokens / seconds:.0f} tokens/s, one at a time"
    reply = plain(rollout.texts[0]).replace("\n", "\n  ")
    return f"{session.model}, {speed}\n  prompt: {plain(prompt)}\n  sample: {reply}"


def run() -> int:
    """Print every finding, the fitting profile and a sample; 1 if something needed is wrong."""
    print(f"minialign {minialign.__version__} in {_PACKAGE}")
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("python", check_python),
        *((line, partial(check_requirement, line)) for line in _known_requirements()),
        ("device", check_device),
        ("memory", lambda: check_memory(hardware.memory())),
        ("load", lambda: check_load(hardware.load(), hardware.cores())),
        ("disk", lambda: check_disk(hardware.free_disk(Path.cwd()))),
        ("data", check_data),
        ("profile", check_default_profile),
        ("sample", lambda: Check("sample", "ok", sample_once())),
    ]
    problems = []
    for what, check in checks:
        finding = _guarded(what, check)
        print(finding, flush=True)
        problems += [finding] * finding.bad
    if not problems:
        name, why = recommend(hardware.graphics(), hardware.cores(), hardware.memory())
        print(f"\nuse the profile {name}: {why}")
    for problem in problems:
        print(f"\nrepair {problem.what}: {problem.repair}")
    return 1 if problems else 0


def _known_requirements() -> list[str]:
    """The requirements, or minialign itself where they are not known: it is not installed then."""
    try:
        return requirements()
    except FileNotFoundError:
        return ["minialign"]


def _guarded(what: str, check: Callable[[], Check]) -> Check:
    """The check's finding; one that breaks is a finding itself."""
    try:
        return check()
    except Exception as error:  # whatever a broken installation throws is what we look for
        text = one_line(f"{type(error).__name__}: {error}")
        mend = "mend what is named above, or `python -m pip install --upgrade -r requirements.txt`"
        return Check(what, "broken", text, mend)
