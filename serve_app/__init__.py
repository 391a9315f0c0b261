"""The service: discovery, parsing and validation over HTTP on Ray Serve."""

from .running import run, running_service

__all__ = ["run", "running_service"]
