"""
The protocol discovery engine: unknown traffic in; a specification, a running parser and a service out.

>>> from qbitel import Parser, discover, read_capture
>>> capture = read_capture("plant.pcapng")
>>> spec = discover(capture, protocol="udp_20547")
>>> Parser(spec).parse_batch(capture.groups[0].batch).to_arrow()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import discover, discover_all
    from .client import AsyncClient, Client
    from .discovery.analyst import MessageLabel
    from .discovery.batch import MessageBatch
    from .discovery.captures import read_capture
    from .discovery.classifier import ProtocolClassifier
    from .discovery.errors import QbitelError
    from .discovery.orchestrator import ProtocolDiscoveryOrchestrator
    from .discovery.parser import Parser
    from .discovery.settings import DiscoverySettings
    from .discovery.spec import ProtocolSpec
    from .discovery.validator import MessageValidator
    from .stream import Stream

__version__ = "0.1.0"
__all__ = [
    "AsyncClient",
    "Client",
    "DiscoverySettings",
    "MessageBatch",
    "MessageLabel",
    "MessageValidator",
    "Parser",
    "ProtocolClassifier",
    "ProtocolDiscoveryOrchestrator",
    "ProtocolSpec",
    "QbitelError",
    "Stream",
    "discover",
    "discover_all",
    "read_capture",
]

_HOMES = {
    "AsyncClient": "client",
    "Client": "client",
    "DiscoverySettings": "discovery.settings",
    "MessageBatch": "discovery.batch",
    "MessageLabel": "discovery.analyst",
    "MessageValidator": "discovery.validator",
    "Parser": "discovery.parser",
    "ProtocolClassifier": "discovery.classifier",
    "ProtocolDiscoveryOrchestrator": "discovery.orchestrator",
    "ProtocolSpec": "discovery.spec",
    "QbitelError": "discovery.errors",
    "Stream": "stream",
    "discover": "api",
    "discover_all": "api",
    "read_capture": "discovery.captures",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that `import qbitel` and `qbitel --help` stay fast.
    if name not in _HOMES:
        raise AttributeError(f"module 'qbitel' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
