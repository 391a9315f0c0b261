"""The service: discovery, parsing and validation over HTTP on Ray Serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .running import run, running_service

__all__ = ["run", "running_service"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: a client of the service reads its models without Ray.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import running

    return getattr(running, name)
