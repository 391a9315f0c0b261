"""
Logs: one JSON object a line, with the ids of request, trace and tenant; never a byte of a payload.

What went wrong is told by the types of the errors and where they were raised: their texts may quote what was sent.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars
from structlog.typing import EventDict, Processor

from ...discovery.errors import QbitelError

_ROOT = "qbitel"
_FILE_BYTES, _OLDER = 32 << 20, 2
_MOST_FILES = 24
_MOST_TEXT = 1024
_MOST_FRAMES = 30


def start_logging(role: str, folder: Path | None, level: str) -> None:
    """
    Let everything that this process logs under ``qbitel`` be lines of JSON.

    Args:
        role: of the process; in each line and in the file's name.
        folder: of files that are rotated, one a process; None: standard error.
        level: the least level that is logged, for instance ``INFO``.
    """
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        _forget(folder)
        file = folder / f"{role}-{os.getpid()}.jsonl"
        handler = RotatingFileHandler(file, maxBytes=_FILE_BYTES, backupCount=_OLDER, encoding="utf-8")
    told = {"role": role, "process": os.getpid()}

    def who(_: Any, __: str, event: EventDict) -> EventDict:
        return {**told, **event}

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(), structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True), who, _raised, _short,
    ]  # fmt: skip
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer(),
    ]  # fmt: skip
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(), wrapper_class=structlog.stdlib.BoundLogger,
    )  # fmt: skip
    root = logging.getLogger(_ROOT)
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level)
    root.propagate = False


def log(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger ``qbitel.<name>``."""
    found: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(f"{_ROOT}.{name}")
    return found


@contextmanager
def telling(**ids: str) -> Iterator[None]:
    """Let every line that is logged in the block, also by threads that it starts with its context, have these ids."""
    with bound_contextvars(**{name: value for name, value in ids.items() if value}):
        yield


def _raised(_: Any, __: str, event: EventDict) -> EventDict:
    """Turn an exception into the types of it and its causes, and the frames it came through."""
    raised = event.pop("exc_info", None)
    error = sys.exc_info()[1] if raised is True else raised[1] if isinstance(raised, tuple) else raised
    if not isinstance(error, BaseException):
        return event
    types: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(types) < 8:
        code = f"({cause.code})" if isinstance(cause, QbitelError) else ""
        types.append(f"{type(cause).__name__}{code}")
        cause = cause.__cause__ or cause.__context__
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    return {**event, "error": types, "frames": [f"{f.filename}:{f.lineno} {f.name}" for f in frames]}


def _short(_: Any, __: str, event: EventDict) -> EventDict:
    """Leave no bytes and no long texts in a line."""
    return {name: _shortened(value) for name, value in event.items()}


def _shortened(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, str) and len(value) > _MOST_TEXT:
        return f"{value[:_MOST_TEXT]}… ({len(value)} characters)"
    return value


def _forget(folder: Path) -> None:
    """Delete the oldest files: processes come and go, and each begins one."""
    files = sorted(folder.glob("*.jsonl*"), key=lambda path: path.stat().st_mtime)
    for path in files[: -_MOST_FILES or None]:
        path.unlink(missing_ok=True)
