"""What a process of the service says of itself: memory, processor time, files and threads, every few seconds."""

from __future__ import annotations

import os
import resource
import threading
from importlib import metadata
from pathlib import Path
from time import process_time
from typing import Protocol

from .cost import set_price
from .logs import start_logging
from .names import FILES, MEMORY, PROCESSOR, THREADS
from .traces import start_tracing

_INTERVAL = "RAY_metrics_report_interval_ms"
_EVERY_S = min(float(os.environ.get(_INTERVAL, "10000")) / 2000, 5.0)
_PAGE = resource.getpagesize()


class Watched(Protocol):
    """The settings that say what is seen of a process; those of the service are."""

    @property
    def log_dir(self) -> Path | None:
        """Folder of logs."""

    @property
    def log_level(self) -> str:
        """The least level that is logged."""

    @property
    def traces_endpoint(self) -> str | None:
        """The collector's URL."""

    @property
    def traces_share(self) -> float:
        """Share of traces that are recorded."""

    @property
    def core_hour_price(self) -> float:
        """What an hour of a core costs."""


def observe_process(role: str, settings: Watched) -> None:
    """Log, trace and measure this process from now on, as the settings say; once a process."""
    start_logging(role, settings.log_dir, settings.log_level)
    set_price(settings.core_hour_price)
    start_tracing(role, settings.traces_endpoint, settings.traces_share, metadata.version("qbitel"))
    threading.Thread(target=_measure, args=(role,), name="qbitel-process", daemon=True).start()


def _measure(role: str) -> None:
    ended = threading.Event()
    while not ended.wait(_EVERY_S):
        tell_process(role)


def tell_process(role: str) -> None:
    """Record how much of the machine this process takes now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    MEMORY.record(pages * _PAGE, role=role)
    PROCESSOR.record(process_time(), role=role)
    FILES.record(len(os.listdir("/proc/self/fd")), role=role)  # noqa: PTH208
    THREADS.record(threading.active_count(), role=role)
