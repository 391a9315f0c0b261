"""What goes on is added while it comes: a growing capture once, over restarts; sockets and lines until they end."""

from __future__ import annotations

import io
import socket
import sys
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra [cluster]")

from qbitel.actors.feed import NodeTaker, StreamFeed
from qbitel.actors.follow import feed_followed, follow
from qbitel.actors.followed import FollowedFiles
from qbitel.cluster.state import State
from qbitel.discovery.capture_set import Asked


@pytest.fixture
def state(tmp_path: Path) -> State:
    """Return where a stream is kept."""
    return State(str(tmp_path / "state"), str(tmp_path / "catalog.sqlite"))


def feed_of(state: State) -> StreamFeed:
    """Return a feed of the stream ``live``."""
    return StreamFeed(state.manifest, "live", lambda stream: NodeTaker(state, stream, "test"), 2)


def received(state: State, source: str) -> tuple[StreamFeed, int]:
    """Add what comes until it ends; return the feed, and how many messages were dropped."""
    feed = feed_of(state)
    followed = follow(source, Asked(), state.storage, "live", Event())
    feed_followed(feed, followed)
    feed.close()
    return feed, followed.dropped


@pytest.mark.parametrize("noted", [2, 1024])
def test_growing_capture_is_added_once_over_restarts(
    state: State, example_captures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: int
) -> None:
    """Packets that are written, also in part, while a follower runs or while none does, are added once each."""
    monkeypatch.setattr("qbitel.actors.followed.NOTED", noted)  # steps an object
    data = (example_captures / "modbus.pcap").read_bytes()
    grown, added = tmp_path / "grown", 0
    grown.mkdir()
    for run, ends in enumerate(([9, 20_000, 20_001], [50_000, len(data)], [])):
        feed, stop = feed_of(state), Event()
        followed = FollowedFiles(str(grown), Asked(framing=feed.framing), state.storage, "live", stop, poll_s=0.01)
        looked = followed._read

        def read(most: int, ends: list[int] = ends, stop: Event = stop, looked=looked):  # type: ignore[no-untyped-def]
            found = looked(most)
            if found is None and ends:
                (grown / "cap1.pcap").write_bytes(data[: ends.pop(0)])
            elif found is None:
                stop.set()
            return found

        followed._read = read  # type: ignore[method-assign]
        feed_followed(feed, followed)
        feed.close()
        assert feed.done.known == added, run
        added += feed.done.messages
        assert (feed.done.refused, followed.warnings) == ([], [])
    assert added == 960
    assert len(state.storage.names("live/live/" + state.storage.names("live/live")[0])) == (3 if noted == 2 else 1)


def test_lines_are_messages_and_others_are_counted(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line with a payload is a message; a line that is none is counted as dropped, and stops nothing."""
    text = b'{"hex": "cafe01"}\nnonsense\n{"payload": "yv4C"}'
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(text))))  # type: ignore[arg-type]
    feed, dropped = received(state, "-")
    assert (feed.done.messages, dropped) == (2, 1)


@pytest.mark.parametrize("scheme", ["frames+tcp", "pcap+tcp"])
def test_sender_over_tcp_is_received_until_it_ends(state: State, example_captures: Path, scheme: str) -> None:
    """Messages behind their lengths, and packets as a pcap file, arrive whole however TCP divides them."""
    data = (example_captures / "dns.pcap").read_bytes()
    if scheme == "frames+tcp":
        data = b"".join(len(text).to_bytes(4, "big") + text for text in (b"one", b"", b"x" * 100_000)) + b"\0\0"
    server = socket.create_server(("127.0.0.1", 0))

    def send() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(data[:50])
            connection.sendall(data[50:])

    sender = Thread(target=send)
    sender.start()
    feed, dropped = received(state, f"{scheme}://127.0.0.1:{server.getsockname()[1]}")
    sender.join()
    server.close()
    assert (feed.done.messages, dropped) == ((3, 1) if scheme == "frames+tcp" else (600, 0))
