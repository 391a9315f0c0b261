"""What one transaction of registration reads first, decides segment by segment, and writes at last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import BindParameter, Connection, bindparam, insert, select, update

from .entries import Entry, Outcome, Registered, Registration, Rejected, Superseded
from .manifest_tables import EntryRow, KeyRow, LeaseRow, StreamRow, values_of

_Value = TypeVar("_Value", int, str)

AT_ONCE = 400  # values of one IN (…): SQLite takes some thousands, others fewer

# Made once: making statements anew for each segment took more time than running them.
_OF_STREAM: BindParameter[str] = bindparam("of_stream")
_LEASES = (
    select(LeaseRow.shard, LeaseRow.epoch, LeaseRow.last)
    .where(LeaseRow.stream == _OF_STREAM, LeaseRow.shard.in_(bindparam("wanted", expanding=True)))
    .order_by(LeaseRow.shard)
    .with_for_update()
)
_HORIZON = select(StreamRow.horizon).where(StreamRow.name == _OF_STREAM)
_KEYS = select(KeyRow.key, KeyRow.shard, KeyRow.digest, KeyRow.division).where(
    KeyRow.stream == _OF_STREAM, KeyRow.key.in_(bindparam("wanted", expanding=True))
)
_ADVANCE = (
    update(LeaseRow)
    .where(LeaseRow.stream == _OF_STREAM, LeaseRow.shard == bindparam("of_shard"))
    .values(last=bindparam("to"))
)
_ADD_ENTRY, _ADD_KEY = insert(EntryRow), insert(KeyRow)


@dataclass
class Registering:
    """
    The part of the manifest that some segments concern, as it is in the transaction.

    Attributes:
        leases: (epoch, newest position) by stream and virtual shard. horizons: by stream.
        batches: (digest, division) of known keys, by stream and key.
        here: (stream, key, virtual shard) of what was registered.
    """

    leases: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    horizons: dict[str, int] = field(default_factory=dict)
    batches: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    here: set[tuple[str, str, int]] = field(default_factory=set)
    _entries: list[dict[str, Any]] = field(default_factory=list)
    _keys: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, connection: Connection, requests: Sequence[Registration]) -> Registering:
        """Read what stands of the shards and keys of requests; the leases stay as they are until the end."""
        found = cls()
        for stream in sorted({request.stream for request in requests}):
            own = [request for request in requests if request.stream == stream]
            found._read_stream(connection, stream, own)
        return found

    def _read_stream(self, connection: Connection, stream: str, requests: Sequence[Registration]) -> None:
        self.horizons[stream] = int(connection.scalar(_HORIZON, {"of_stream": stream}) or 0)
        for shards in _runs(sorted({request.shard for request in requests})):
            for shard, epoch, last in connection.execute(_LEASES, {"of_stream": stream, "wanted": shards}):
                self.leases[stream, shard] = (int(epoch), int(last))
        for keys in _runs(sorted({key.key for request in requests for key in request.keys})):
            for key, shard, digest, division in connection.execute(_KEYS, {"of_stream": stream, "wanted": keys}):
                self.batches[stream, key] = (digest, division)
                self.here.add((stream, key, shard))

    def decide(self, request: Registration, holds: Callable[[int, int], bool]) -> Outcome:
        """
        Decide on a segment; those decided on before it count.

        Args:
            holds: says of the lease's epoch and of a segment's whether the segment may be registered.
        """
        stream, shard = request.stream, request.shard
        epoch, last = self.leases.get((stream, shard), (0, -1))
        if not epoch or not holds(epoch, request.epoch):
            return Superseded(epoch)
        rejected = self._rejected(request)
        if rejected:
            return rejected
        position = last + 1
        self.leases[stream, shard] = (epoch, position)
        messages = sum(key.messages for key in request.keys)
        segment = (request.epoch, request.sequence, request.path, request.size, request.sha256, messages)
        self._entries.append(values_of(stream, shard, Entry(position, position, *segment, times=request.times)))
        for key in request.keys:
            self.batches[stream, key.key] = (key.digest, key.division)
            self.here.add((stream, key.key, shard))
            own = {"key": key.key, "made": key.made, "digest": key.digest, "division": key.division}
            self._keys.append({"stream": stream, "shard": shard, "position": position, **own})
        return Registered(position)

    def write(self, connection: Connection) -> None:
        """Write what was registered."""
        if not self._entries:
            return
        places = [(entry["stream"], entry["shard"]) for entry in self._entries]
        advanced = [{"of_stream": at[0], "of_shard": at[1], "to": self.leases[at][1]} for at in places]
        connection.execute(_ADVANCE, advanced)
        connection.execute(_ADD_ENTRY, self._entries)
        connection.execute(_ADD_KEY, self._keys)

    def _rejected(self, request: Registration) -> Rejected | None:
        stream, horizon = request.stream, self.horizons[request.stream]
        known, conflicting, forgotten, divided = set(), set(), set(), set()
        for key in request.keys:
            digest, division = self.batches.get((stream, key.key), (key.digest, key.division))
            if digest != key.digest:
                conflicting.add(key.key)
            elif division != key.division:
                divided.add(key.key)  # before "known": its part here may be another one
            elif (stream, key.key, request.shard) in self.here:
                known.add(key.key)
            elif key.made < horizon:
                forgotten.add(key.key)
        if known or conflicting or forgotten or divided:
            return Rejected(frozenset(known), frozenset(conflicting), frozenset(forgotten), frozenset(divided))
        return None


def _runs(values: Sequence[_Value]) -> list[Sequence[_Value]]:
    return [values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE)]
