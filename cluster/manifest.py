"""
The manifest: which segments are the journal, who may add to it, and which batches it holds already.

A segment counts from the one transaction on that (1) finds its epoch to be the lease's, (2) gives it the next position
and (3) inserts the keys of its batches, each once for a stream and a virtual shard. No clock decides anything here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, delete, func, insert, select, update

from ..discovery.errors import InputError, LimitError, NotFoundError
from .database import transaction
from .entries import Entry, Erasure, KnownBatch, Merge, Outcome, Registration, SnapshotEntry, Superseded
from .erasure import erase_entries
from .manifest_tables import EntryRow, KeyRow, LeaseRow, RedirectRow, SnapshotRow, StreamRow, entry_of, values_of
from .observability.names import FENCED
from .redirects import MOST_REDIRECTS, Redirect, check_redirect
from .registering import AT_ONCE, Registering
from .tenants import stream_name, tenant_of_stream

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")

_LEASE = (
    select(LeaseRow.epoch, LeaseRow.last)
    .where(LeaseRow.stream == bindparam("of_stream"), LeaseRow.shard == bindparam("of_shard"))
    .with_for_update()
)


@dataclass(frozen=True)
class Stream:
    """
    A stream of messages.

    Attributes:
        shards: virtual ones, fixed for its life. settings: of its statistics, a JSON document.
        framing: how its byte streams are cut into messages, a JSON document, or None where they are datagrams.
        horizon: keys made before it (milliseconds since 1970) are refused.
        tenant: whose it is. keep_s: messages are erased so many seconds after they were sent, or never.
        erasures: transactions so far that took messages out of it. privacy: a document of ``StreamPrivacy``.
    """

    name: str
    shards: int
    settings: dict[str, Any]
    framing: dict[str, Any] | None
    horizon: int = 0
    tenant: str = ""
    keep_s: int | None = None
    erasures: int = 0
    privacy: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Lease:
    """Who holds a virtual shard: ``owner`` is None where it was given back; ``last`` is its newest position, or -1."""

    shard: int
    epoch: int
    owner: str | None
    last: int


class Manifest:
    """
    The tables of the journals; every method is one transaction and may be called from any thread or process.

    Every method raises OutcomeUnknownError where the database fails.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(reads=True)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def add_stream(self, stream: Stream) -> Stream:
        """
        Add a stream, or return the one of that name.

        Raises:
            InputError: it exists with other settings, another framing or another number of shards; or the name is none.
        """
        owner = tenant_of_stream(stream.name)
        if not _NAME.match(stream_name(stream.name)) or owner not in ("", stream.tenant):
            hint = "1 to 100 letters, digits, '.', '_' and '-', a letter or digit first; '~' and its tenant may follow"
            raise InputError("not a name for a stream", where=stream.name, hint=hint)
        with transaction(self._engine, stream.name) as connection:
            row = connection.execute(select(StreamRow.__table__).where(StreamRow.name == stream.name)).one_or_none()
            if row is None:
                connection.execute(insert(StreamRow).values(**vars(stream)))
                return stream
        found = _stream(row)
        said = [name for name in ("tenant", "privacy") if getattr(stream, name)]
        for name in ("shards", "settings", "framing", *said):
            if getattr(found, name) != getattr(stream, name):
                hint = "take another name for the stream"
                raise InputError(f"the stream has other {name}", where=stream.name, hint=hint)
        return found

    def stream(self, name: str) -> Stream:
        """
        Return a stream.

        Raises:
            NotFoundError: there is none of that name.
        """
        with transaction(self._reading) as connection:
            row = connection.execute(select(StreamRow.__table__).where(StreamRow.name == name)).one_or_none()
        if row is None:
            raise NotFoundError("no such stream", where=name)
        return _stream(row)

    def streams(self) -> list[Stream]:
        """Return all streams, by name."""
        with transaction(self._reading) as connection:
            return [_stream(row) for row in connection.execute(select(StreamRow.__table__).order_by(StreamRow.name))]

    def take_lease(self, stream: str, shard: int, owner: str, expected: int | None = None) -> int | None:
        """
        Raise the epoch of a virtual shard, so that what held it until now can register nothing more; return it.

        Args:
            expected: raise it only where it is this one; the answer is None where it is another.
        """
        at = (LeaseRow.stream == stream, LeaseRow.shard == shard)
        with transaction(self._engine, stream) as connection:
            epoch = connection.scalar(select(LeaseRow.epoch).where(*at).with_for_update())
            if expected is not None and epoch != expected:
                return None
            if epoch is None:
                connection.execute(insert(LeaseRow).values(stream=stream, shard=shard, epoch=1, owner=owner, last=-1))
                return 1
            connection.execute(update(LeaseRow).where(*at).values(epoch=epoch + 1, owner=owner))
            return int(epoch) + 1

    def give_back(self, stream: str, shard: int, epoch: int) -> None:
        """Say that nobody holds a virtual shard, if the lease is still of this epoch."""
        at = (LeaseRow.stream == stream, LeaseRow.shard == shard, LeaseRow.epoch == epoch)
        with transaction(self._engine, stream) as connection:
            connection.execute(update(LeaseRow).where(*at).values(owner=None))

    def leases(self, stream: str) -> list[Lease]:
        """Return the leases of a stream by virtual shard; one that was never taken has none."""
        chosen = select(LeaseRow.shard, LeaseRow.epoch, LeaseRow.owner, LeaseRow.last).where(LeaseRow.stream == stream)
        with transaction(self._reading) as connection:
            return [Lease(*row) for row in connection.execute(chosen.order_by(LeaseRow.shard))]

    def lags(self) -> dict[str, int]:
        """Return by stream how many segments lie behind the newest snapshot, of the shard that has most of them."""
        at = (SnapshotRow.stream == LeaseRow.stream) & (SnapshotRow.shard == LeaseRow.shard)
        lag = func.max(LeaseRow.last - func.coalesce(SnapshotRow.position, -1))
        chosen = select(LeaseRow.stream, lag).outerjoin(SnapshotRow, at).group_by(LeaseRow.stream)
        with transaction(self._reading) as connection:
            return {stream: int(most) for stream, most in connection.execute(chosen)}

    def register(self, requests: Sequence[Registration]) -> list[Outcome]:
        """Decide on segments of several virtual shards in one transaction; each is taken or rejected by itself."""
        with transaction(self._engine, *(request.stream for request in requests)) as connection:
            standing = self._standing(connection, requests)
            outcomes = [standing.decide(request, self._holds) for request in requests]
            standing.write(connection)
        FENCED.record(sum(isinstance(outcome, Superseded) for outcome in outcomes))
        return outcomes

    def known(self, stream: str, keys: Iterable[str]) -> dict[str, KnownBatch]:
        """Return, of these keys, those that were registered on any virtual shard."""
        wanted = list(keys)
        found: dict[str, KnownBatch] = {}
        with transaction(self._reading) as connection:
            for start in range(0, len(wanted), AT_ONCE):
                chosen = select(KeyRow.key, KeyRow.digest, KeyRow.division, KeyRow.shard).where(
                    KeyRow.stream == stream, KeyRow.key.in_(wanted[start : start + AT_ONCE])
                )
                for key, digest, division, shard in connection.execute(chosen):
                    shards = found[key].shards if key in found else frozenset()
                    found[key] = KnownBatch(digest, division, shards | {shard})
        return found

    def redirect(self, stream: str, redirect: Redirect) -> int:
        """
        Let the flows of a hash range go to other virtual shards from now on; return how many redirects there are now.

        Raises:
            NotFoundError: no such stream. InputError: no such range or virtual shard. LimitError: too many.
        """
        check_redirect(redirect, self.stream(stream).shards, stream)
        with transaction(self._engine, stream) as connection:
            number = len(_redirects(connection, stream)) + 1
            if number > MOST_REDIRECTS:
                raise LimitError(f"a stream has at most {MOST_REDIRECTS} redirects", where=stream)
            values = {"stream": stream, "number": number, "range": redirect.range, "to": list(redirect.to)}
            connection.execute(insert(RedirectRow).values(**values))
            return number

    def redirects(self, stream: str) -> tuple[Redirect, ...]:
        """Return the redirects of a stream, the oldest first; a longer list begins with every shorter one."""
        with transaction(self._reading) as connection:
            return _redirects(connection, stream)

    def forget(self, stream: str, before: int) -> int:
        """
        Raise the horizon of a stream: keys made earlier are forgotten, and refused from now on; return its new value.

        The horizon never falls, and refusing and forgetting are one transaction: no key is both forgotten and taken.
        """
        with transaction(self._engine, stream) as connection:
            held = connection.scalar(select(StreamRow.horizon).where(StreamRow.name == stream).with_for_update())
            if held is None:
                raise NotFoundError("no such stream", where=stream)
            horizon = max(int(held), before)
            connection.execute(update(StreamRow).where(StreamRow.name == stream).values(horizon=horizon))
            connection.execute(delete(KeyRow).where(KeyRow.stream == stream, KeyRow.made < horizon))
            return horizon

    def entries(self, stream: str, shard: int, after: int = -1) -> list[Entry]:
        """Return the journal of a virtual shard, from the position after ``after`` on."""
        chosen = select(EntryRow.__table__).where(
            EntryRow.stream == stream, EntryRow.shard == shard, EntryRow.position > after
        )
        with transaction(self._reading) as connection:
            return [entry_of(row) for row in connection.execute(chosen.order_by(EntryRow.position))]

    def mark_damaged(self, stream: str, shard: int, path: str, reason: str) -> bool:
        """
        Put the entry of an object in quarantine: it stays in the journal and on the disk, and is not counted.

        Returns:
            Whether there is such an entry: one that was merged since is no loss, though its object is gone.
        """
        at = (EntryRow.stream == stream, EntryRow.shard == shard, EntryRow.path == path)
        with transaction(self._engine, stream) as connection:
            changed = connection.execute(update(EntryRow).where(*at).values(damaged=reason[:512]))
            return bool(changed.rowcount)

    def snapshot(self, stream: str, shard: int) -> SnapshotEntry | None:
        """Return the newest snapshot of a virtual shard."""
        with transaction(self._reading) as connection:
            row = _snapshot_row(connection, stream, shard)
        return SnapshotEntry(row.position, row.epoch, row.path, row.size, row.sha256) if row else None

    def add_snapshot(self, stream: str, shard: int, snapshot: SnapshotEntry) -> list[str] | None:
        """
        Let a snapshot be the newest of its virtual shard.

        Returns:
            The paths of what it takes the place of; None where the lease has another epoch and nothing was done.
        """
        values = {name: getattr(snapshot, name) for name in ("position", "epoch", "path", "size", "sha256")}
        with transaction(self._engine, stream) as connection:
            lease = self._lease(connection, stream, shard)
            if lease is None or not self._holds(lease.epoch, snapshot.epoch):
                return None
            row = _snapshot_row(connection, stream, shard)
            if row is None:
                connection.execute(insert(SnapshotRow).values(stream=stream, shard=shard, **values))
                return []
            if row.position > snapshot.position:
                return [snapshot.path]
            at = (SnapshotRow.stream == stream, SnapshotRow.shard == shard)
            connection.execute(update(SnapshotRow).where(*at).values(**values))
            return [row.path]

    def merge(self, merge: Merge) -> list[str] | None:
        """
        Let one segment stand for several entries that the newest snapshot holds already.

        Returns:
            The paths of the segments that are no longer of the journal; None where nothing was done: the lease has
            another epoch, one of them is damaged, or the snapshot does not reach so far.
        """
        at = (
            EntryRow.stream == merge.stream, EntryRow.shard == merge.shard,
            EntryRow.first >= merge.first, EntryRow.position <= merge.position,
        )  # fmt: skip
        with transaction(self._engine, merge.stream) as connection:
            snapshot = _snapshot_row(connection, merge.stream, merge.shard)
            lease = self._lease(connection, merge.stream, merge.shard)
            if lease is None or not self._holds(lease.epoch, merge.epoch):
                return None
            if snapshot is None or snapshot.position < merge.position:
                return None
            rows = connection.execute(select(EntryRow.__table__).where(*at).order_by(EntryRow.position)).all()
            if not _mergeable(rows, merge):
                return None
            connection.execute(delete(EntryRow).where(*at))
            parts = [entry_of(row) for row in rows]
            whole = merge.entry(parts)
            connection.execute(insert(EntryRow).values(values_of(merge.stream, merge.shard, whole)))
            return [part.path for part in parts if part.path]

    def erase(self, erasure: Erasure) -> bool:
        """Take messages out of the journal of a virtual shard; False where the lease has another epoch."""
        with transaction(self._engine, erasure.stream) as connection:
            lease = self._lease(connection, erasure.stream, erasure.shard)
            held = lease is not None and self._holds(lease.epoch, erasure.epoch)
            return held and erase_entries(connection, erasure)

    def keep(self, stream: str, seconds: int | None) -> None:
        """Let messages of a stream be erased so many seconds after they were sent, or never; who retains does it."""
        with transaction(self._engine, stream) as connection:
            changed = connection.execute(update(StreamRow).where(StreamRow.name == stream).values(keep_s=seconds))
            if not changed.rowcount:
                raise NotFoundError("no such stream", where=stream)

    def referenced(self, stream: str, shard: int) -> set[str]:
        """Return the paths of all objects of a virtual shard that the catalog knows."""
        chosen = select(EntryRow.path).where(EntryRow.stream == stream, EntryRow.shard == shard)
        with transaction(self._reading) as connection:
            paths = set(connection.scalars(chosen)) - {""}
            row = _snapshot_row(connection, stream, shard)
        return paths | ({row.path} if row else set())

    @staticmethod
    def _holds(epoch: int, claimed: int) -> bool:
        return epoch == claimed

    def _standing(self, connection: Connection, requests: Sequence[Registration]) -> Registering:
        return Registering.read(connection, requests)

    @staticmethod
    def _lease(connection: Connection, stream: str, shard: int) -> Row[int, int] | None:
        return connection.execute(_LEASE, {"of_stream": stream, "of_shard": shard}).one_or_none()


def _mergeable(rows: Sequence[Row[Any]], merge: Merge) -> bool:
    if not rows or any(row.damaged for row in rows):
        return False
    return (rows[0].first, rows[-1].position) == (merge.first, merge.position)


def _snapshot_row(connection: Connection, stream: str, shard: int) -> Row[Any] | None:
    chosen = select(SnapshotRow.__table__).where(SnapshotRow.stream == stream, SnapshotRow.shard == shard)
    return connection.execute(chosen).one_or_none()


def _redirects(connection: Connection, stream: str) -> tuple[Redirect, ...]:
    chosen = select(RedirectRow.range, RedirectRow.to).where(RedirectRow.stream == stream)
    return tuple(Redirect(row.range, tuple(row.to)) for row in connection.execute(chosen.order_by(RedirectRow.number)))


def _stream(row: Row[Any]) -> Stream:
    return Stream(**row._mapping)
