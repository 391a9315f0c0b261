"""Stages of a discovery: each is timed and told of, may be cancelled, and ends as failed where an error ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal

from .errors import CancelledError, QbitelError
from .spec import ProtocolSpec

STAGES = (
    "statistics", "types", "relations", "boundaries", "layout", "semantics", "confirm", "grammar",
)  # fmt: skip
FAILURES: tuple[type[Exception], ...] = (
    QbitelError, ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError,
    OSError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
"""What ends a stage, raised on purpose or by mistake; what came before it and other protocols are kept."""

Progress = Callable[[str, float], None]
Cancel = Callable[[], bool]
Clock = Callable[[], float]


@dataclass
class StageReport:
    """
    What one stage did.

    Attributes:
        message: why it failed, or what it found; hint: what to do about a failure.
        cause: the error that ended it, with its traceback; None where none did.
    """

    name: str
    status: Literal["ok", "failed", "skipped"] = "skipped"
    seconds: float | None = None
    message: str = ""
    hint: str = ""
    cause: Exception | None = field(default=None, repr=False, compare=False)

    def fail(self, error: Exception) -> None:
        """Say that an error ended the stage: one that was raised on purpose speaks for itself, a defect is named."""
        if not isinstance(error, QbitelError):
            error = _defect(error)
        self.status, self.message, self.hint, self.cause = "failed", str(error), error.hint, error


def _defect(error: Exception) -> QbitelError:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" ({PurePath(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno})" if frame else ""
    told = QbitelError(
        f"{type(error).__name__}: {error}{place}".replace("\n", " "),
        hint="a defect: please report this line, with the capture if you may; the stages before it are kept",
    )
    told.__cause__ = error
    return told


@dataclass
class StageRunner:
    """Runs stages one after another: reports progress, stops on a cancel token, keeps the first failure."""

    progress: Progress | None = None
    cancel: Cancel | None = None
    clock: Clock | None = None
    reports: dict[str, StageReport] = field(default_factory=lambda: {name: StageReport(name) for name in STAGES})
    failed: StageReport | None = None
    found: ProtocolSpec = field(default_factory=ProtocolSpec)

    def keep(self, spec: ProtocolSpec) -> ProtocolSpec:
        """Hold on to what was found so far, for the case that a later stage fails."""
        self.found = spec
        return spec

    @contextmanager
    def stage(self, name: str) -> Iterator[StageReport]:
        """Run the body as that stage; an error ends it as failed and goes on as ``StageError``."""
        self.check()
        report = self.reports[name]
        self.tell(name, 0.0)
        start = self.clock() if self.clock else None
        try:
            yield report
            report.status = "ok"
        except CancelledError:
            raise
        except FAILURES as error:
            report.fail(error)
            self.failed = report
            raise StageError(name) from error
        finally:
            if self.clock and start is not None:
                report.seconds = (report.seconds or 0.0) + self.clock() - start
        self.tell(name, 1.0)

    def tell(self, name: str, fraction: float) -> None:
        """Report the progress of a stage, from 0 to 1."""
        if self.progress:
            self.progress(name, fraction)

    def check(self) -> None:
        """Raise CancelledError where the caller's token is set."""
        if self.cancel and self.cancel():
            raise CancelledError("the discovery was cancelled")


class StageError(Exception):
    """A stage failed; its report says why. Never leaves the orchestrator."""
