"""``qbitel ingest`` and ``qbitel shards``, as a user runs them."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra [cluster]")

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_stream_has_the_digest_of_its_capture(run: Run, example_captures: Path, tmp_path: Path) -> None:
    """Ingesting twice counts once; the journal, read offline, has the digest that ``qbitel digest`` prints."""
    capture, state = example_captures / "dns.pcap", tmp_path / "state"
    arguments = ("ingest", capture, "--stream", "dns", "--state", state, "--shards", "8", "--json")
    first, second = (json.loads(run(*arguments).stdout) for _ in range(2))
    assert (first["messages"], first["known"]) == (600, 0)
    assert (second["messages"], second["known"]) == (0, 600)
    (found,) = json.loads(run("shards", "verify", state, "--json").stdout)
    digest = json.loads(run("digest", capture, "--json").stdout)["digest"]
    assert first["digest"] == second["digest"] == found["digest"] == digest
    rows = json.loads(run("shards", "list", state, "--json").stdout)
    assert sum(row["messages"] for row in rows) == 600
    assert {row["owner"] for row in rows} == {None}
    told = run("shards", "forget", state, "dns", "--before", "2026-01-02")
    assert "2026-01-02T00:00:00.000+00:00" in told.stdout
    assert json.loads(run(*arguments).stdout)["known"] == 600  # keys of captures are kept
    folder = tmp_path / "found"
    told = run("discover", "--stream", "dns", "--state", state, "--out", folder, "--json")
    (found,) = json.loads(told.stdout)["protocols"]
    assert found["measures"]["explained"] == found["measures"]["messages"] == 600
    assert json.loads((folder / "dns" / "spec.json").read_text())["provenance"]["statistics_digest"] == digest


def test_messages_are_erased_and_retained(
    run: Run, example_captures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Erasing asks first, says what was removed, and leaves a sound journal; retention erases what is older."""
    state = tmp_path / "state"
    for stream in ("one", "two"):
        arguments = ("--stream", stream, "--state", state, "--shards", "4", "--tenant", "acme")
        run("ingest", example_captures / "dns.pcap", *arguments)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    run("shards", "erase", state, "one", expect=130)
    run("shards", "erase", state, "--yes", expect=2)
    run("shards", "erase", state, "--tenant", "nobody", "--yes", expect=3)
    assert json.loads(run("shards", "erase", state, "one", "--until", "1990-01-01", "--yes", "--json").stdout)[0][
        "messages"
    ] == 0  # fmt: skip
    run("shards", "retain", state, "two", "--days", "30")
    assert run("shards", "retain", state, "--now", "1990-01-01").stdout.startswith("two: 0 messages erased")
    (kept,) = json.loads(run("shards", "retain", state, "--json").stdout)
    assert (kept["stream"], kept["messages"]) == ("two", 600)
    told = run("shards", "erase", state, "--tenant", "acme", "--yes").stdout
    assert told.startswith("one: 600 messages erased, ")
    verified = json.loads(run("shards", "verify", state, "--json").stdout)
    assert [(each["messages"], each["erased"], each["orphans"], each["sound"]) for each in verified] == [
        (0, 600, 0, True)
    ] * 2


def test_private_stream_shows_what_enough_messages_have(
    run: Run, example_captures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hashed stream is not read without its key, which is nowhere in state and results; nor are payloads."""
    state, folder, key = tmp_path / "state", tmp_path / "found", tmp_path / "key"
    capture = example_captures / "plant.pcapng"
    options = ("--stream", "plant", "--state", state)
    run("ingest", capture, *options, "--shards", "2", "--port", "20547", "--support", "5", "--hashed")
    monkeypatch.delenv("QBITEL_HASH_KEY", raising=False)
    assert "hashed, and there is no key" in run("discover", *options, "--out", folder, expect=3).stderr
    key.write_text("a tenant's own secret\n")
    told = run("discover", *options, "--out", folder, "--hash-key", key)
    assert "fewer than 5 messages" in told.stdout
    evidence = (folder / "plant" / "evidence.txt").read_text()
    assert "hashed values #" in evidence
    monkeypatch.setenv("QBITEL_HASH_KEY", "a tenant's own secret")
    run("discover", *options, "--out", tmp_path / "again")
    assert (tmp_path / "again" / "plant" / "evidence.txt").read_text() == evidence
    kept = [path for place in (state, folder) for path in place.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"own secret" in path.read_bytes()]
    assert not (folder / "plant" / "statistics.bin").exists()
    assert "0a3c" not in "".join(path.read_text() for path in (folder / "plant").iterdir() if path.suffix != ".arrow")


def test_hot_shard_is_listed_and_redirected(run: Run, tmp_path: Path) -> None:
    """A shard that takes far more than the others is marked; redirected, it gets no more and keeps what it has."""
    state, capture = tmp_path / "state", tmp_path / "one.jsonl"
    lines = [json.dumps({"payload": f"{n:04x}", "stream": "one flow", "ts": n}) for n in range(40)]
    capture.write_text("\n".join(lines))
    options = ("--stream", "dns", "--state", state, "--shards", "16", "--json")
    first = json.loads(run("ingest", capture, *options).stdout)
    listed = json.loads(run("shards", "list", state, "--json").stdout)
    (busy,) = [row for row in listed if row["hot"]]
    assert (busy["messages"], busy["lately"], busy["goes to"]) == (40, 40, None)
    assert " hot " in run("shards", "list", state).stdout
    shard = busy["shard"]
    told = run("shards", "redirect", state, "dns", shard, "--over", "3").stdout
    assert told.startswith(f"dns/{shard}: batches go to {shard}, ")
    others = [each for each in range(16) if each != shard][4:6]
    run("shards", "redirect", state, "dns", shard, "--to", ",".join(map(str, others)))
    assert json.loads(run("ingest", capture, *options).stdout)["known"] == 40
    capture.write_text("\n".join(line.replace(': "00', ': "ff') for line in lines))
    second = json.loads(run("ingest", capture, *options).stdout)
    rows = {row["shard"]: row for row in json.loads(run("shards", "list", state, "--json").stdout)}
    assert (rows[shard]["messages"], rows[shard]["goes to"]) == (40, others)
    assert sum(rows[each]["messages"] for each in others) == 40
    (verified,) = json.loads(run("shards", "verify", state, "--json").stdout)
    assert verified["sound"]
    assert first["digest"] != second["digest"] == verified["digest"]
    for wrong in (("--to", "16"), ("--to", "3,3"), ("--over", "17")):
        run("shards", "redirect", state, "dns", shard, *wrong, expect=3)
    for wrong in ((), ("--to", "x"), ("--to", "1", "--over", "2")):
        run("shards", "redirect", state, "dns", shard, *wrong, expect=2)


def test_bad_input_does_not_stop_the_others(run: Run, example_captures: Path, tmp_path: Path) -> None:
    """A file that cannot be read is named, the next one is added, and the exit code says that something failed."""
    bad = tmp_path / "bad.pcap"
    bad.write_bytes(b"\x00" * 40)
    state = tmp_path / "state"
    options = ("--stream", "dns", "--state", state, "--shards", "1")
    told = run("ingest", bad, example_captures / "dns.pcap", *options, expect=3)
    assert "600 messages added" in told.stdout
    assert "bad.pcap" in told.stderr


def test_folder_is_one_capture_that_was_rotated(run: Run, example_captures: Path, tmp_path: Path) -> None:
    """
    A folder's files are one capture in their natural order; a damaged one is a dead letter until it can be read.

    A second run adds nothing but what the first could not read.
    """
    folder, state = tmp_path / "caps", tmp_path / "state"
    folder.mkdir()
    data = (example_captures / "dns.pcap").read_bytes()
    records, at = [], 24
    while at < len(data):
        size = 16 + int.from_bytes(data[at + 8 : at + 12], "little")
        records.append(data[at : at + size])
        at += size
    for number, begin in ((2, 0), (10, 200), (11, 400)):
        (folder / f"cap{number}.pcap").write_bytes(data[:24] + b"".join(records[begin : begin + 200]))
    kept = (folder / "cap10.pcap").read_bytes()
    (folder / "cap10.pcap").write_bytes(b"\x00" * 40)
    options = ("--stream", "dns", "--state", state, "--shards", "4", "--json")
    first = json.loads(run("ingest", folder, *options, expect=3).stdout)
    assert (first["messages"], [each["uri"] for each in first["failed"]]) == (400, [str(folder / "cap10.pcap")])
    letters = state / "dead-letters" / "dns.jsonl"
    assert "cap10.pcap" in letters.read_text()
    (folder / "cap10.pcap").write_bytes(kept)
    second = json.loads(run("ingest", folder, *options).stdout)
    assert (second["messages"], second["known"], second["refused"]) == (200, 400, [])
    assert letters.read_text() == ""
    (whole,) = json.loads(run("discover", folder, "--out", tmp_path / "set", "--json").stdout)["protocols"]
    (one,) = json.loads(run("discover", example_captures / "dns.pcap", "--out", tmp_path / "one", "--json").stdout)[
        "protocols"
    ]
    assert whole["id"] == one["id"]


def test_verify_says_no_where_an_object_is_damaged(run: Run, example_captures: Path, tmp_path: Path) -> None:
    """A damaged segment is named, and the exit code is 1; a folder without journals is an input error."""
    state = tmp_path / "state"
    run("ingest", example_captures / "dns.pcap", "--stream", "dns", "--state", state, "--shards", "1")
    (segment,) = state.glob("streams/dns/*/*/*.segment")
    segment.write_bytes(segment.read_bytes()[:-1])
    assert segment.name in run("shards", "verify", state, expect=1).stderr
    run("shards", "verify", tmp_path / "nothing", expect=3)
    assert not (tmp_path / "nothing").exists()
