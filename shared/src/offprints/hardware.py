"""What a run ran on: processor, threads, GPU, versions, commit, peak memory, and its place among torchrun's processes.

Nothing here imports torch; where torch is loaded already, it is asked.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_VERSIONED = ("torch", "numpy", "scipy", "pandas", "dgl", "babel", "hydra", "lightning_fabric", "offprints")


@dataclass(frozen=True)
class Hardware:
    """The machine as a reader of a result needs it.

    Attributes:
        cpu: model name.
        threads: that torch computes with, or that the process may use where torch is not loaded.
        gpu: name of the CUDA device in use, else None.
    """

    cpu: str
    threads: int
    gpu: str | None


def hardware() -> Hardware:
    """The hardware of this process, now."""
    return Hardware(_cpu_name(), _threads(), _gpu_name())


def versions() -> dict[str, str]:
    """Versions of python and of the libraries that this process has imported."""
    found = {"python": platform.python_version()}
    for name in _VERSIONED:
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            found[name] = str(version)
    return found


def commit(package: str, slug: str) -> str | None:
    """The commit that the code of `package` comes from, with "-dirty" if code differs from it.

    That is the checkout that tracks the package's source; for an installed wheel it is the checkout that the command runs in,
    if that is one of Offprints with this package. Else None.
    """
    spec = find_spec(package)
    if spec is not None and spec.origin is not None:
        source = Path(spec.origin)
        if _git(source.parent, "ls-files", "--error-unmatch", source.name) is not None:
            return _described(source.parent)
    if _git(Path.cwd(), "ls-files", "--error-unmatch", f":/packages/{slug}/pyproject.toml") is not None:
        return _described(Path.cwd())
    return None


def rank() -> int:
    """The place of this process among all that torchrun started; 0 without torchrun."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes torchrun started; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def restarted() -> bool:
    """Whether torchrun has started its processes again after a failure (--max-restarts)."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far (since `reset_peak_memory`, where Linux allows that), in 10^6 bytes."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def reset_peak_memory() -> bool:
    """Start the peak afresh from what is resident now.

    Returns:
        Whether the system allows it (Linux with a writable /proc/self/clear_refs); if not, the peak is that of the process.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _cpu_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _threads() -> int:
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpu_name() -> str | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return str(torch.cuda.get_device_name())


def _described(folder: Path) -> str | None:
    revision = _git(folder, "rev-parse", "HEAD")
    if revision is None:
        return None
    # Only code counts: committing results one after the other must not mark each next run as dirty.
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":/*.py", ":/*.yaml")
    return f"{revision}-dirty" if changed else revision


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
