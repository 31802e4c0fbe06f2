"""What this machine is: processor, graphics card, memory and disk."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

GIB = 2**30


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """The name of the processor, as well as the system knows it."""
    try:
        if platform.system() == "Linux":
            for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
        if platform.system() == "Darwin":
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            answer = subprocess.run(command, capture_output=True, text=True, timeout=5)
            return answer.stdout.strip() or platform.machine()
    except (OSError, subprocess.SubprocessError):
        pass  # the next line is good enough
    return platform.processor() or platform.machine()


def load() -> float | None:
    """Processes that ran or waited over the last minute, or None where it cannot be known."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def memory() -> tuple[float, float] | None:
    """(all, available) main memory in GiB, or None where it cannot be known."""
    try:
        import psutil  # comes with ipykernel

        state = psutil.virtual_memory()
        return state.total / GIB, state.available / GIB
    except ImportError:
        pass
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        return tuple(os.sysconf(f"SC_{x}_PAGES") * page / GIB for x in ("PHYS", "AVPHYS"))
    except (AttributeError, OSError, ValueError):
        return None


def free_disk(folder: Path) -> float:
    """Free space in GiB of the disk that holds the folder."""
    return shutil.disk_usage(folder).free / GIB


def graphics() -> tuple[str, float] | None:
    """(name, memory in GiB) of the CUDA card, or of Apple's graphics with the memory it may use."""
    import torch

    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        return card.name, card.total_memory / GIB
    if torch.backends.mps.is_available():
        return "Apple MPS", torch.mps.recommended_max_memory() / GIB
    return None


def describe() -> str:
    """The machine in one line."""
    parts = [f"{processor()}, {cores()} core{'s' * (cores() != 1)}"]
    if size := memory():
        parts.append(f"{size[0]:.0f} GiB of memory")
    if card := graphics():
        parts.append(f"{card[0]} with {card[1]:.0f} GiB")
    return "; ".join([*parts, f"{platform.system()} {platform.machine()}"])
