"""Files to read are listed in their natural order, from a folder and from an object store alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from qbitel.cluster.dead_letters import DeadLetter, dead_letters, note_dead_letters
from qbitel.cluster.inputs import list_inputs, local_copy
from qbitel.cluster.storage import Storage
from qbitel.discovery.errors import InputError


@pytest.fixture(params=["folder", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where nothing is yet: a folder, then a file system of fsspec."""
    return str(tmp_path / "caps") if request.param == "folder" else f"memory://{tmp_path.name}/caps"


def test_files_are_listed_in_natural_order_and_read(place: str) -> None:
    """Numbers in names count as numbers, hidden and empty files stay out, and what is read is what lies there."""
    storage = Storage(place)
    for name in ("day2/cap10", "day2/cap9", "day10/cap1", "day2/.partial", "day2/.hidden"):
        storage.write(name, name.encode())
    storage.write("day2/empty", b"")
    files = list_inputs(place)
    assert [file.uri.removeprefix(place) for file in files] == ["/day2/cap9", "/day2/cap10", "/day10/cap1"]
    for file in files:
        with local_copy(file) as path:
            assert place.endswith("caps") and path.read_text() == file.uri.removeprefix(f"{place}/")
            assert path.stat().st_size == file.size
    (one,) = list_inputs(f"{place}/day2/cap9")
    assert one == files[0]


def test_place_without_files_is_an_input_error(place: str) -> None:
    """Nothing to read is told, with the place."""
    with pytest.raises(InputError, match="no files"):
        list_inputs(place)


def test_dead_letters_are_kept_until_their_file_is_read(tmp_path: Path) -> None:
    """A file stays on the list until a later run tries it and does not fail; others are not touched."""
    storage = Storage(tmp_path)
    letters = [DeadLetter("a", "damaged"), DeadLetter("b", "empty")]
    note_dead_letters(storage, "s", ["a", "b", "c"], letters)
    note_dead_letters(storage, "other", ["a"], [])
    note_dead_letters(storage, "s", ["a"], [])
    assert dead_letters(storage, "s") == letters[1:]
    assert dead_letters(storage, "other") == []


def test_captures_in_an_object_store_are_read_as_those_of_a_folder(object_store: str, example_captures: Path) -> None:
    """A prefix of a bucket is a capture set; what cannot be read there is told, and the messages are the same."""
    from qbitel.actors.reading import LocalReading, Report
    from qbitel.discovery.capture_set import Asked

    storage = Storage(f"{object_store}/caps")
    storage.write("day1/dns.pcap", (example_captures / "dns.pcap").read_bytes())
    storage.write("day1/bad.pcap", bytes(40))
    report = Report()
    there = LocalReading(list_inputs(f"{object_store}/caps"), Asked(), report)
    here = LocalReading(list_inputs(str(example_captures / "dns.pcap")), Asked(), Report())
    assert [letter.uri for letter in report.dead] == [f"{object_store}/caps/day1/bad.pcap"]
    assert there.known == here.known
    blocks = [[block.batch for block in each.blocks("udp_53")] for each in (there, here)]
    assert sum(map(len, blocks[0])) == 600
    assert blocks[0] == blocks[1]
