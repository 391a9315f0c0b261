"""What a schedule wanted erased: which messages may be missing in the end, and which must."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ...cluster.buckets import Span
from ...cluster.ledger import Ledger
from .. import effects as do
from .. import events as on
from ..shard import Phase
from .batches import Batch
from .messages import erases
from .process import Process

Batches = Mapping[str, Batch]  # by key


@dataclass
class _Erasure:
    """What a copy was asked to erase; these messages (key, place) were acknowledged before, so that they must go."""

    number: int
    process: Process
    span: Span
    acknowledged: frozenset[tuple[str, int]]

    @property
    def pending(self) -> bool:
        """Whether it may still happen."""
        stopped = self.process.machine.phase in (Phase.STOPPED, Phase.GIVEN_BACK)
        return self.process.alive and self.number not in self.process.erased and not stopped

    @property
    def done(self) -> bool:
        """Whether it has happened."""
        return isinstance(self.process.erased.get(self.number), do.Removed)


@dataclass
class Erasures:
    """
    All erasures of a schedule.

    Attributes:
        lacking: (key, place) of messages that may be missing, and whether they must be.
        done: how many have happened.
    """

    lacking: dict[tuple[str, int], bool] = field(default_factory=dict)
    done: int = 0
    asked: int = 0
    _open: list[_Erasure] = field(default_factory=list)

    def ask(self, process: Process, span: Span, acknowledged: frozenset[tuple[str, int]]) -> None:
        """Ask a copy to erase."""
        self._open.append(_Erasure(self.asked, process, span, acknowledged))
        process.tell(on.Erase(self.asked, span))
        self.asked += 1

    def hear(self, batches: Batches) -> None:
        """Note what may be gone, once an erasure is done or never will be; what is sent later may not be."""
        closed = [erasure for erasure in self._open if not erasure.pending]
        self._open = [erasure for erasure in self._open if erasure.pending]
        for erasure in closed:
            self.done += erasure.done
            for at in self._touched(erasure, batches):
                must = erasure.done and at in erasure.acknowledged
                self.lacking[at] = must or self.lacking.get(at, False)

    def tell(self, ledger: Ledger, batches: Batches) -> None:
        """Tell the ledger what may be missing, and what must."""
        self.hear(batches)
        for (key, place), must in self.lacking.items():
            ledger.erase(key, [batches[key].contents[place]], done=must)

    @staticmethod
    def _touched(erasure: _Erasure, batches: Batches) -> Iterator[tuple[str, int]]:
        for key, batch in batches.items():
            for place, (content, lain) in enumerate(zip(batch.contents, batch.lain, strict=True)):
                if erasure.process.shard in lain and erases(erasure.span, content):
                    yield key, place
