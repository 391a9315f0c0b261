"""What a discovery of a stream adds: the next version of its specification, and events that say what differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..cluster.buckets import Span
from ..cluster.catalog import Catalog
from ..cluster.manifest import Stream
from ..cluster.state import State
from ..cluster.unknowns import UnknownNames
from ..cluster.versions import Drift, Version, Versions
from ..discovery.drift import moved
from ..discovery.errors import NotFoundError
from ..discovery.orchestrator import DiscoveryResult
from ..discovery.spec import ProtocolSpec
from ..discovery.spec.diff import Change, diff
from ..discovery.statistics import MessageStatistics

Reading = Callable[[Span], MessageStatistics]


def keep_version(
    state: State, stream: Stream, span: Span, result: DiscoveryResult, read: Reading
) -> tuple[DiscoveryResult, Version | None]:
    """
    Keep what a discovery found as the next version of the stream's specification, and return it with its changes.

    The number rises where the structure or a constraint differs from the newest version; a partial specification is
    not kept. Where that version was read from another part of the time, distributions are compared with those before.

    Args:
        read: returns the statistics of a part of the stream's time.

    Raises:
        InputError: another discovery kept a version meanwhile.
    """
    spec = result.spec
    if spec.id is None:
        return result, None
    versions, catalog = Versions(state.engine), Catalog(state.engine, stream.tenant)
    earlier = next(iter(versions.all(stream.name)), None)
    before = specification_of(catalog, stream.name, earlier) if earlier else None
    changes: list[Change] = []
    drifts: list[Drift] = []
    number, identity = 1, ""
    if earlier is not None and before is not None:
        changes = diff(before, spec)
        number, identity = earlier.number + bool(changes or spec.id != earlier.id), earlier.identity
        # Read anew without a change, it is the same version: the same messages give the same document.
        parent = earlier.digest if number > earlier.number else before.provenance.parent
        provenance = spec.provenance.model_copy(update={"parent": parent})
        spec = spec.model_copy(update={"version": number, "provenance": provenance})
        drifts = [_event(change, spec) for change in changes]
        if earlier.span != span:
            drifts += _moved(read(earlier.span.before(span)), result.statistics, spec)
    identity = identity or UnknownNames(state.engine, stream.tenant).name(result.statistics.sample().view)
    digest, counted = spec.digest, spec.measures.messages
    version = Version(number, str(spec.id), digest, identity, counted, datetime.now(UTC), span)
    origin: dict[str, Any] = {"version": spec.version, "parent": spec.provenance.parent}
    catalog.add_specification(version.id, digest, spec.protocol, counted, spec.to_bytes(), stream.name, **origin)
    versions.add(stream.name, version, drifts)
    return replace(result, spec=spec, changes=tuple(changes)), version


def specification_of(catalog: Catalog, stream: str, version: Version) -> ProtocolSpec:
    """
    Return the specification of a version.

    Raises:
        NotFoundError: it was erased.
    """
    document = catalog.document(version.digest)
    if document is None:
        raise NotFoundError(f"the document of version {version.number} is gone", where=stream)
    return ProtocolSpec.from_bytes(document)


def _event(change: Change, spec: ProtocolSpec) -> Drift:
    """Return the event of a change; its evidence is that of the type in the new version."""
    name = change.path.split(".")[0].split(" ")[0]
    found = next((each for each in spec.types if each.name == name), None)
    evidence = {"type": name, "type_messages": found.messages, "messages": spec.measures.messages} if found else {}
    return Drift(change.kind, change.path, change.before, change.after, evidence)


def _moved(before: MessageStatistics, after: MessageStatistics, spec: ProtocolSpec) -> list[Drift]:
    return [Drift("moved", each.path, each.before, each.after, each.evidence()) for each in moved(before, after, spec)]
