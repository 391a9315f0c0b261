"""Where and with what a figure was measured: printed above every table."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

PACKAGES = ("qbitel", "numpy", "numba", "pyarrow")


def machine_lines(packages: Sequence[str] = PACKAGES) -> list[str]:
    """Return lines that name processor, cores, memory, Python, package versions and the command."""
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]  # folders concern nobody
    return [
        f"machine: {processor()}, {os.cpu_count()} cores, {memory} GiB, {platform.system()} {platform.release()}",
        f"versions: Python {platform.python_version()}, {versions}",
        f"command: {_program()} {' '.join(words)}".rstrip(),
    ]


def _program() -> str:
    # What was started by -m is a file of some package to argv: only its specification says what to type.
    started = getattr(sys.modules["__main__"], "__spec__", None)
    return Path(sys.argv[0]).name if started is None else f"python -m {started.name.removesuffix('.__main__')}"


def page_head(title: str, packages: Sequence[str] = PACKAGES) -> str:
    """Return the beginning of a page of figures in Markdown: its title, and the machine."""
    return "\n".join([f"# {title}", "", "```", *machine_lines(packages), "```", ""])


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """Return the processor's name, or the machine's kind where the system tells none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


@dataclass(frozen=True)
class Timing:
    """Seconds of the repeats of one run."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle repeat."""
        return statistics.median(self.seconds)

    def quantile(self, share: float) -> float:
        """The repeat that this share of the repeats does not exceed."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def __str__(self) -> str:
        return f"{self.median:.4f} s ({min(self.seconds):.4f} to {max(self.seconds):.4f})"


def timed(run: Callable[[], object], repeats: int, warmups: int = 1) -> Timing:
    """Return the seconds of each repeat, after warm-ups that do not count."""
    for _ in range(warmups):
        run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return Timing(tuple(seconds))


def peak_mebibytes() -> int:
    """Return the largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
