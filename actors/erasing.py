"""Erasing messages from a shard: the journal is changed in one transaction, and what is left is counted anew."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ..cluster.entries import Change, Entry
from . import effects as do
from . import events as on
from .effects import NOTHING, Effect, Removed


@dataclass
class Erasing:
    """
    The erasures that a shard was asked for, one at a time, and how far the first of them is.

    Each begins by raising the epoch: from then on everything older that the catalog does not know can be swept, the
    objects that are erased among it. An outcome that is unknown is looked up under the next epoch.

    Attributes:
        reading: whether the manifest is being read for it.
    """

    reading: bool = False
    _asked: deque[on.Erase] = field(default_factory=deque)
    _read: dict[int, Entry] = field(default_factory=dict)
    _changes: tuple[Change, ...] = ()
    _removed: Removed = NOTHING

    @property
    def wanted(self) -> bool:
        """Whether one is to be done."""
        return bool(self._asked)

    def ask(self, event: on.Erase) -> None:
        """Note that messages shall be erased."""
        self._asked.append(event)

    def read(self) -> list[Effect]:
        """Ask for the whole journal."""
        self.reading = True
        return [do.ReadManifest(-1, False)]

    def write(self, epoch: int, sequence: int, entries: tuple[Entry, ...]) -> list[Effect]:
        """Write what is left of the entries that the span touches."""
        self.reading = False
        now = {entry.position: entry.path for entry in entries}
        if all(now.get(change.position) == change.path for change in self._changes):
            self._add_up()  # the transaction whose outcome was unknown has happened
        self._changes, self._read = (), {entry.position: entry for entry in entries}
        span = self._asked[0].span
        return [do.WriteErasure(epoch, sequence, tuple(e for e in entries if span.touches(e.times)), span)]

    def register(self, event: on.ErasureWritten) -> list[Effect]:
        """Let the catalog change the journal; nothing is to be done where no message is of the span."""
        self._changes = event.changes
        self._removed += Removed(unread=event.unread)
        return [do.RegisterErasure(event.epoch, self._asked[0].span, event.changes)] if event.changes else []

    def done(self) -> Effect:
        """Tell what was removed, once the catalog has changed the journal or need not."""
        self._add_up()
        removed, self._removed = self._removed, NOTHING
        return do.Erased(self._asked.popleft().request, removed)

    def failed(self, reason: str) -> Effect:
        """Tell who asked first that nothing was erased."""
        self._changes, self._removed = (), NOTHING
        return do.NotErased(self._asked.popleft().request, reason)

    def _add_up(self) -> None:
        for change in self._changes:
            was = self._read[change.position]
            self._removed += Removed(
                was.messages - change.messages, 1, int(bool(change.path)), was.size - change.size
            )  # fmt: skip
        self._changes = ()
