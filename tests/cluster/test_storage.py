"""Storage keeps whole files under a URI, in a folder and in an object store alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from qbitel.cluster.storage import ExistsError, Storage
from qbitel.discovery.errors import InputError, NotFoundError


@pytest.fixture(params=["folder", "memory", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Give an empty storage: a folder, a file system of fsspec, an object store."""
    if request.param == "s3":
        return Storage(f"{request.getfixturevalue('object_store')}/{tmp_path.name}")
    return Storage(tmp_path / "kept" if request.param == "folder" else f"memory://{tmp_path.name}")


def test_file_is_read_as_it_was_written_last(storage: Storage) -> None:
    """The last bytes written are read, and folders list what lies right below them."""
    storage.write("runs/a/run.json", b"first")
    storage.write("runs/a/run.json", b"second")
    storage.write("runs/b/deep/state", b"")
    assert storage.read("runs/a/run.json") == b"second"
    assert storage.names("runs") == ["a", "b"]
    assert storage.exists("runs/b/deep/state")
    assert not storage.exists("runs/b/deep")
    assert storage.names("nothing") == []


def test_deleted_folder_is_gone_with_all_below(storage: Storage) -> None:
    """Deleting a folder deletes its files and leaves its neighbours; deleting it again is no error."""
    storage.write("runs/a/one", b"1")
    storage.write("runs/ab", b"2")
    for _ in range(2):
        storage.delete("runs/a")
    assert storage.names("runs") == ["ab"]
    with pytest.raises(NotFoundError):
        storage.read("runs/a/one")


def test_paths_out_of_the_storage_are_refused(storage: Storage) -> None:
    """Neither an absolute path nor one that climbs is read, and the storage itself is never deleted."""
    for path in ("../other", "a/../../other", "/etc/hostname"):
        with pytest.raises(InputError):
            storage.read(path)
    with pytest.raises(InputError):
        storage.delete("")


def test_file_over_the_limit_is_not_read(storage: Storage) -> None:
    """A file larger than the reader allows is refused before it is read."""
    storage.write("large", bytes(100))
    with pytest.raises(InputError, match="larger than 99"):
        storage.read("large", limit=99)


def test_unknown_scheme_is_an_input_error() -> None:
    """A URI that nothing can open is told as such."""
    with pytest.raises(InputError, match="no file system"):
        Storage("nonsense://bucket/x")


def test_created_file_is_never_overwritten(storage: Storage) -> None:
    """A file is created once; a second attempt is refused and the first bytes stay."""
    storage.create("streams/a/0000/00000001/00000000.segment", b"first")
    with pytest.raises(ExistsError):
        storage.create("streams/a/0000/00000001/00000000.segment", b"second")
    assert storage.read("streams/a/0000/00000001/00000000.segment") == b"first"
    assert storage.names("streams/a/0000") == ["00000001"]
