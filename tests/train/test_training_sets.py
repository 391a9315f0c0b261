"""Training sets keep what was added, in versions, and nothing of what was deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from qbitel.cluster.storage import Storage
from qbitel.discovery.errors import InputError, NotFoundError
from qbitel.train.sets import TrainingSets


@pytest.fixture
def sets(tmp_path: Path) -> TrainingSets:
    """Give the sets of an empty storage."""
    return TrainingSets(Storage(tmp_path / "kept"))


def objects(tmp_path: Path) -> list[bytes]:
    """Return the bytes of all files that are kept."""
    return sorted(path.read_bytes() for path in (tmp_path / "kept/sets/objects").iterdir())


def test_version_stays_as_it_was_made(sets: TrainingSets, tmp_path: Path) -> None:
    """Adding makes a new version; an older one still gives the files it had, and equal contents have equal digests."""
    first = sets.add("plant", {"a.parquet": b"1", "b.parquet": b"2"})
    second = sets.add("plant", {"a.parquet": b"3"})
    folder = sets.copy(sets.version("plant@1"), tmp_path / "out")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a.parquet": b"1", "b.parquet": b"2"}
    assert sets.version("plant") == second
    assert first.digest != second.digest
    assert sets.add("other", {"b.parquet": b"2", "a.parquet": b"1"}).digest == first.digest


def test_forgotten_file_leaves_no_bytes(sets: TrainingSets, tmp_path: Path) -> None:
    """A forgotten file is in no version and its bytes are gone; what other versions hold stays."""
    sets.add("plant", {"secret.parquet": b"secret"})
    sets.add("plant", {"b.parquet": b"2"})
    sets.add("other", {"b.parquet": b"2"})
    made = sets.forget("plant", "secret.parquet")
    assert made is not None
    assert list(made.files) == ["b.parquet"]
    assert [version.number for version in sets.versions("plant")] == [3]
    assert objects(tmp_path) == [b"2"]
    with pytest.raises(NotFoundError):
        sets.forget("plant", "secret.parquet")


def test_deleted_version_takes_its_own_bytes_only(sets: TrainingSets, tmp_path: Path) -> None:
    """Deleting a version deletes what no other holds; deleting a set deletes all its versions."""
    sets.add("plant", {"a.parquet": b"1"})
    sets.add("plant", {"a.parquet": b"2"})
    sets.delete("plant@1")
    assert objects(tmp_path) == [b"2"]
    sets.delete("plant")
    assert sets.versions() == []
    assert objects(tmp_path) == []


def test_changed_file_is_not_given_out(sets: TrainingSets, tmp_path: Path) -> None:
    """Bytes that are not those added are refused."""
    version = sets.add("plant", {"a.parquet": b"1"})
    (tmp_path / "kept/sets/objects" / version.files["a.parquet"]).write_bytes(b"2")
    with pytest.raises(InputError, match="not the file that was added"):
        sets.copy(version, tmp_path / "out")


@pytest.mark.parametrize("file", ["../a.parquet", "a.txt", ".parquet", "a/b.parquet"])
def test_names_of_files_keep_to_the_allow_list(sets: TrainingSets, file: str) -> None:
    """A name that could climb out of a folder is refused."""
    with pytest.raises(InputError):
        sets.add("plant", {file: b""})
