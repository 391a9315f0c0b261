"""Ray nodes that are cut from one another lose and double nothing; the campaign sees it where a guard is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray")

from qbitel.actors.partition import watched
from qbitel.actors.partition.__main__ import main
from qbitel.actors.partition.hosts import Hosts, hosts
from qbitel.actors.partition.sender import SHARDS, STREAM, made
from qbitel.actors.partition.watched import WatchedState
from qbitel.actors.routing import shards_of
from qbitel.actors.simulation.world import Guards
from qbitel.cluster.entries import NEVER, BatchKey, Outcome, Registered, Registration, Rejected, Superseded
from qbitel.discovery.errors import InputError

needs_hosts = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("nft") is None or shutil.which("ip") is None,
    reason="needs root, iproute2 and nftables",
)


def offered(state: WatchedState, epoch: int, key: str, sequence: int = 0) -> Outcome:
    """Offer a segment of one batch of shard 0."""
    held = (BatchKey(key, NEVER, "d", 2),)
    segment = Registration(STREAM.name, 0, epoch, sequence, f"{epoch}/{sequence}", 1, "00", held)
    return state.manifest.register([segment])[0]


@pytest.mark.parametrize("without", ["", "epoch", "keys"])
def test_guard_that_was_taken_away_guards_nothing(
    server_catalog: str, without: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watched catalog is the real one, notes what it fences, and without a guard takes what the guard refuses."""
    monkeypatch.setattr(watched, "FENCED", tmp_path / "fenced")
    state = WatchedState("s3://b/x", server_catalog, Guards(without != "epoch", without != "keys"))
    state.manifest.open_unguarded()
    state.manifest.add_stream(STREAM)
    assert [state.manifest.take_lease(STREAM.name, 0, owner) for owner in "ab"] == [1, 2]
    assert offered(state, 2, "k") == Registered(0)
    stale = offered(state, 1, "late")
    assert stale == (Registered(1) if without == "epoch" else Superseded(2))
    assert (tmp_path / "fenced").exists() == (without != "epoch")
    again = offered(state, 2, "k", 1)
    assert again == (Registered(1) if without == "keys" else Rejected(known=frozenset({"k"})))
    assert bool(state.manifest.known(STREAM.name, ["k"])) == (without != "keys")
    assert state.manifest.take_lease(STREAM.name, 0, "a", 1) == (3 if without == "epoch" else None)
    state.manifest.close()


def test_batch_is_its_key() -> None:
    """A sender's next process makes the same messages again, all of the virtual shard that the key names."""
    for shard in range(SHARDS):
        batch = made(f"a/{shard}/7")
        assert set(shards_of(batch, SHARDS, 0)) == {shard}
        assert batch.payloads() == made(f"a/{shard}/7").payloads()
    assert not set(made("a/1/7").payloads()) & set(made("b/1/7").payloads())


def test_hosts_that_cannot_be_made_say_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the programs, the reason names the packages."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="iproute2 nftables"), hosts(tmp_path, ["a"]):
        pass


@needs_hosts
@pytest.mark.cluster
def test_packets_are_dropped_one_way_and_pass_when_healed(tmp_path: Path) -> None:
    """A host hears a datagram unless that way is cut; the other way, and other hosts, are as before."""
    with hosts(tmp_path, ["a", "b", "c"]) as there:
        assert heard(there, "a", "b") == 1
        there.drop([(("a",), ("b",))])
        assert [heard(there, *way) for way in ("ab", "ba", "ac")] == [0, 1, 1]
        there.drop([(("a",), ("b",))], 30)
        assert 40 < heard(there, "a", "b", 100) < 95
        there.heal()
        assert heard(there, "a", "b", 100) == 100


def heard(there: Hosts, source: str, target: str, count: int = 1) -> int:
    """Send so many datagrams from one host to another; return how many came."""
    listen = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 5000)); s.settimeout(1)\n"
        "print('ready', flush=True)\n"
        "try:\n"
        "    while True: s.recv(9); print('heard', flush=True)\n"
        "except TimeoutError: pass"
    )
    send = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        f"for _ in range({count}): s.sendto(b'x', ('{there.address(target)}', 5000))"
    )
    command = [*there.on(target), sys.executable, "-c", listen]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"
        subprocess.run([*there.on(source), sys.executable, "-c", send], check=True)
        return sum(1 for _ in listener.stdout)


@needs_hosts
@pytest.mark.cluster
@pytest.mark.timeout(900)
@pytest.mark.parametrize("without", [[], ["--without", "epoch"], ["--without", "keys"]])
def test_cut_node_loses_and_doubles_nothing(
    without: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One cut, a feeder beside the stale actor: sound with the guards; without one of them, reported as not sound."""
    monkeypatch.setattr(sys, "argv", ["partition", "--faults", "cut", *without])
    assert main() == (1 if without else 0)
    said = capsys.readouterr().out
    assert ("0 lost, 0 doubled" in said) == (not without)
