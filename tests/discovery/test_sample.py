"""A sample grows by what another one holds."""

from __future__ import annotations

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.sample import Sample
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import MessageStatistics


def sample_of(payloads: list[bytes], capture: str) -> Sample:
    """The sample of a few messages of one capture."""
    statistics = MessageStatistics(DiscoverySettings())
    statistics.update(MessageBatch.from_payloads(payloads), capture)
    return statistics.sample()


def test_joined_adds_only_new_messages_and_keeps_their_captures() -> None:
    """The own messages stay first; a message that both hold stays once; each still names its capture."""
    first = sample_of([b"one", b"two"], "ff" * 8)
    second = sample_of([b"two", b"three"], "0a" * 8)
    joined = first.joined(second)
    payloads = [joined.view.payload(row) for row in range(len(joined.view))]
    assert payloads[:2] == [first.view.payload(0), first.view.payload(1)]
    assert sorted(payloads) == [b"one", b"three", b"two"]
    captures = {p: joined.capture_hashes[joined.view.source[row]] for row, p in enumerate(payloads)}
    assert captures == {b"one": "ff" * 8, b"two": "ff" * 8, b"three": "0a" * 8}
