"""The sender's own account of what was sent and acknowledged, held against a journal: what is lost or doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """
    Messages by what became of them.

    Attributes:
        acknowledged: messages of acknowledged batches. lost: of these, missing in the journal.
        doubled: in the journal more often than they were sent. foreign: in the journal under a key nobody sent.
        kept: in the journal though they were erased.
    """

    acknowledged: int
    lost: int
    doubled: int
    foreign: int
    kept: int = 0

    @property
    def sound(self) -> bool:
        """Whether everything acknowledged is there, and nothing is there twice, out of nowhere or though erased."""
        return not (self.lost or self.doubled or self.foreign or self.kept)


class Ledger:
    """What a sender knows by itself; it asks neither shards nor catalog."""

    def __init__(self) -> None:
        self._sent: dict[str, Counter[str]] = {}
        self._acknowledged: set[str] = set()
        self._may_lack: dict[str, Counter[str]] = {}
        self._must_lack: dict[str, Counter[str]] = {}

    def send(self, key: str, contents: Iterable[str]) -> None:
        """Note a batch, by its key and the hashes (or names) of its messages; sending it again notes nothing new."""
        self._sent.setdefault(key, Counter(contents))

    def acknowledge(self, key: str) -> None:
        """Note that a batch was acknowledged."""
        self._acknowledged.add(key)

    def erase(self, key: str, contents: Iterable[str], *, done: bool) -> None:
        """Note messages that somebody wanted erased: they may be missing, and where it was ``done`` they must be."""
        for lack in (self._may_lack, self._must_lack)[: 1 + done]:
            lack.setdefault(key, Counter()).update(contents)

    @property
    def acknowledged(self) -> int:
        """Batches that were acknowledged."""
        return len(self._acknowledged)

    def judge(self, journal: Iterable[tuple[str, str]]) -> Verdict:
        """Return what became of the messages, given (key, content) of every message in the journal."""
        found: dict[str, Counter[str]] = {}
        for key, content in journal:
            found.setdefault(key, Counter())[content] += 1
        empty: Counter[str] = Counter()
        may, must = self._may_lack, self._must_lack
        there = {key: found.get(key, empty) + may.get(key, empty) for key in self._acknowledged}
        lost = sum((self._sent[key] - there[key]).total() for key in self._acknowledged)
        kept = sum((found[key] - (self._sent[key] - must[key])).total() for key in must.keys() & found.keys())
        doubled = sum((found[key] - self._sent[key]).total() for key in found if key in self._sent)
        foreign = sum(found[key].total() for key in found if key not in self._sent)
        sent = sum(self._sent[key].total() for key in self._acknowledged)
        return Verdict(sent, lost, doubled, foreign, kept)
