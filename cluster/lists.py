"""Lists of the catalog, page by page: discoveries, specifications, and what was learned on from what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import or_, select

from .catalog import Catalog, SpecificationEntry, _Job, _Specification
from .database import aware


class Mark(NamedTuple):
    """A place in a list of which the newest come first: what follows is older, or as old with a smaller id."""

    at: datetime
    id: str


START = Mark(datetime(9999, 1, 1, tzinfo=UTC), "")


@dataclass(frozen=True)
class JobEntry:
    """A discovery in a list: without what it has found."""

    id: str
    status: str
    created: datetime
    updated: datetime
    attempts: int
    request: dict[str, Any]


_ENTRY = (
    _Specification.id, _Specification.digest, _Specification.protocol, _Specification.messages, _Specification.stored,
    _Specification.version, _Specification.parent,
)  # fmt: skip


class CatalogLists:
    """The lists of a tenant's catalog, the newest first; a page goes on behind the mark of the last that is known."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._jobs, self._own = _Job.tenant == catalog.tenant, _Specification.tenant == catalog.tenant

    def jobs(self, limit: int, after: Mark | None = None, status: str | None = None) -> list[JobEntry]:
        """Return discoveries, of one status or all, the newest first, from behind ``after`` on."""
        at, last = after or START
        columns = (_Job.id, _Job.status, _Job.created, _Job.updated, _Job.attempts, _Job.request)
        chosen = select(*columns).where(self._jobs, _Job.created <= at, or_(_Job.created < at, _Job.id < last))
        if status is not None:
            chosen = chosen.where(_Job.status == status)
        chosen = chosen.order_by(_Job.created.desc(), _Job.id.desc()).limit(limit)
        rows = self._catalog.reading(lambda session: session.execute(chosen).all())
        return [JobEntry(r[0], r[1], aware(r[2]), aware(r[3]), r[4], r[5]) for r in rows]

    def specifications(
        self, limit: int, after: Mark | None = None, protocol: str | None = None
    ) -> list[SpecificationEntry]:
        """Return the newest document of each specification, of one name or all, the newest first, behind ``after``."""
        found: list[SpecificationEntry] = []
        while len(found) < limit:
            entries = self._documents(limit, after or START, protocol)
            newest = self._catalog.newest({entry.id for entry in entries})
            found += [entry for entry in entries if newest.get(entry.id) == entry.digest]
            if len(entries) < limit:
                break
            after = mark_of(entries[-1])
        return found[:limit]

    def _documents(self, limit: int, after: Mark, protocol: str | None) -> list[SpecificationEntry]:
        at, last = after
        older = or_(_Specification.stored < at, _Specification.digest < last)
        chosen = select(*_ENTRY).where(self._own, _Specification.stored <= at, older)
        if protocol is not None:
            chosen = chosen.where(_Specification.protocol == protocol)
        order = (_Specification.stored.desc(), _Specification.digest.desc())
        return self._entries(chosen.order_by(*order).limit(limit))

    def lineage(self, spec_id: str, most: int = 1000) -> list[SpecificationEntry]:
        """
        Return the documents of a specification, those they were learned on from, and those learned on from them.

        The highest version comes first, of one version the newest; at most about ``most`` are looked for.
        """
        found: dict[str, SpecificationEntry] = {}
        edge = self._chosen(_Specification.id == spec_id, most)
        while edge and len(found) < most:
            found.update((entry.digest, entry) for entry in edge)
            edge = [entry for entry in self._near(edge, most) if entry.digest not in found]
        return sorted(found.values(), key=lambda entry: (entry.version, entry.stored), reverse=True)

    def _near(self, edge: Sequence[SpecificationEntry], most: int) -> list[SpecificationEntry]:
        """Return the documents that these were learned on from, and those learned on from them."""
        near = self._chosen(_Specification.parent.in_({entry.digest for entry in edge}), most)
        parents = {entry.parent for entry in edge if entry.parent}
        return near + self._chosen(_Specification.digest.in_(parents), most) if parents else near

    def _chosen(self, condition: Any, most: int) -> list[SpecificationEntry]:
        chosen = select(*_ENTRY).where(self._own, condition).order_by(_Specification.stored.desc()).limit(most)
        return self._entries(chosen)

    def _entries(self, chosen: Any) -> list[SpecificationEntry]:
        return [_entry(row) for row in self._catalog.reading(lambda session: session.execute(chosen).all())]


def mark_of(entry: JobEntry | SpecificationEntry) -> Mark:
    """Return the place of an entry in its list."""
    return Mark(entry.created, entry.id) if isinstance(entry, JobEntry) else Mark(entry.stored, entry.digest)


def _entry(row: Any) -> SpecificationEntry:
    return SpecificationEntry(row[0], row[1], row[2], row[3], aware(row[4]), row[5], row[6])
