"""Files under a URI: a folder of this machine, or any file system of pyarrow or fsspec (``s3://``, ``gs://``, …)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import Any

from pyarrow import ArrowInvalid, fs

from ..discovery.errors import InputError, NotFoundError
from .dependency import Dependency, UnavailableError

_CALLS = 32  # to an object store, of a process, at once
_FLAT = ("s3", "gcs", "abfs")  # stores whose folders are but the beginnings of names


class ExistsError(InputError):
    """There is a file of that path already."""

    code = "exists"


class LostStoreError(InputError):
    """An object store does not answer; asking again later is worth it."""

    code = "unavailable"
    retry = True


class Storage:
    """
    Reads and writes whole files by their path below a URI.

    A file is seen whole or not at all: in a folder it is written beside, flushed to the disk and renamed; an object
    store shows an object when it is complete.

    Attributes:
        uri: where it begins; a folder's absolute path where no scheme is given.
        guard: watches over the calls to an object store.

    Raises:
        InputError: nothing can open the URI, or a file cannot be read or written. LostStoreError: a store fails.
    """

    def __init__(self, uri: str | Path) -> None:
        self.guard = Dependency("storage", _failures(), size=_CALLS)
        self._filesystem, self._root = open_filesystem(str(uri))
        self._local = isinstance(self._filesystem, fs.LocalFileSystem)
        self.uri = self._root if self._local else str(uri).rstrip("/")

    def write(self, path: str, data: bytes) -> None:
        """Write a file, in place of the one that was there."""
        there = self._at(path)
        with self._errors("cannot be written", path):
            if self._local:
                _replace(Path(there), data)
                return
            self._filesystem.create_dir(str(PurePosixPath(there).parent), recursive=True)
            with self._filesystem.open_output_stream(there) as stream:
                stream.write(data)

    def create(self, path: str, data: bytes) -> None:
        """
        Write a file that must not exist yet; when this returns, bytes and name are on the disk or in the store.

        A folder's file may be left behind cut short where the machine stops within, and an object whole where the
        store's answer was lost; it is then no one's, and the caller takes another name. An object store is asked to
        refuse a name that exists (``If-None-Match``).

        Raises:
            ExistsError: there is a file of that path. InputError: it cannot be written.
        """
        with self._errors("cannot be written", path):
            if self._local:
                _create(Path(self._at(path)), data)
                return
            there, filesystem = self._at(path), self._conditional()
            if self._filesystem.type_name not in _FLAT:
                filesystem.makedirs(str(PurePosixPath(there).parent), exist_ok=True)
            filesystem.pipe_file(there, data, mode="create")

    def read(self, path: str, limit: int = 1 << 30) -> bytes:
        """
        Return the bytes of a file.

        Raises:
            NotFoundError: there is none. InputError: it is larger than ``limit`` bytes.
        """
        with self._errors("cannot be read", path), self._filesystem.open_input_file(self._at(path)) as file:
            if file.size() > limit:
                raise InputError(f"larger than {limit} bytes", where=self.place(path))
            data: bytes = file.read()
            return data

    def exists(self, path: str) -> bool:
        """Say whether there is a file of that path."""
        with self._errors("cannot be read", path):
            (info,) = self._filesystem.get_file_info([self._at(path)])
        return bool(info.type == fs.FileType.File)

    def names(self, folder: str = "") -> list[str]:
        """Return the names of files and folders right below a folder, in order; none where it does not exist."""
        chosen = fs.FileSelector(self._at(folder), allow_not_found=True)
        with self._errors("cannot be listed", folder):
            names = [info.base_name for info in self._filesystem.get_file_info(chosen)]
        return sorted(name for name in names if name and not name.endswith(".partial"))

    def below(self, folder: str) -> list[str]:
        """Return the paths of all files below a folder, in order; none where it does not exist."""
        chosen = fs.FileSelector(self._at(folder), allow_not_found=True, recursive=True)
        with self._errors("cannot be listed", folder):
            files = [info.path for info in self._filesystem.get_file_info(chosen) if info.type == fs.FileType.File]
        beyond = len(self._root) + 1
        return sorted(path[beyond:] for path in files if not path.endswith(".partial"))

    def delete(self, path: str) -> None:
        """Delete a file, or a folder with all below it; nothing happens where there is none."""
        there = self._at(path)
        if there == self._root:
            raise InputError("the whole storage is not deleted", where=self.uri)
        with self._errors("cannot be deleted", path):
            (info,) = self._filesystem.get_file_info([there])
            if info.type == fs.FileType.Directory:
                self._filesystem.delete_dir(there)
            elif info.type == fs.FileType.File:
                self._filesystem.delete_file(there)

    def place(self, path: str) -> str:
        """Return the full address of a path, for people and for other programs."""
        return f"{self.uri}/{path}" if path else self.uri

    def _conditional(self) -> Any:
        """Return the file system as fsspec has it: pyarrow's own stores overwrite and cannot be asked not to."""
        try:
            return fsspec_filesystem(self.uri)[0]
        except (ImportError, ValueError) as error:
            hint = "s3:// needs s3fs, gs:// needs gcsfs"
            raise InputError(
                f"nothing can write here without overwriting: {error}", where=self.uri, hint=hint
            ) from error

    @contextmanager
    def _errors(self, what: str, path: str) -> Iterator[None]:
        """Let failures of the file system be the engine's errors; those of a store's answering count against it."""
        try:
            with nullcontext() if self._local else self.guard.using():
                try:
                    yield
                except FileExistsError as error:
                    raise ExistsError("exists already", where=self.place(path)) from error
                except FileNotFoundError:
                    raise NotFoundError("does not exist", where=self.place(path)) from None
        except UnavailableError as error:
            told = f"{what}: {error.__cause__ or error.what}"
            raise LostStoreError(told, where=self.place(path)) from error
        except _failures() as error:
            raise InputError(f"{what}: {error}", where=self.place(path)) from error

    def _at(self, path: str) -> str:
        parts = PurePosixPath(path).parts
        if path.startswith("/") or ".." in parts:
            raise InputError("not a path below the storage", where=path)
        return "/".join([self._root, *parts])


def _failures() -> tuple[type[Exception], ...]:
    """Return what file systems raise: botocore's errors, which come with s3fs, are no OSError."""
    try:
        from botocore.exceptions import BotoCoreError
    except ImportError:
        return (OSError,)
    return OSError, BotoCoreError


def open_filesystem(uri: str) -> tuple[Any, str]:
    """
    Return pyarrow's file system for a URI, and the path in it without a slash at its end.

    Raises:
        InputError: nothing can open it.
    """
    if "://" not in uri:
        return fs.LocalFileSystem(), str(Path(uri).resolve())
    try:
        filesystem, root = fs.FileSystem.from_uri(uri)
        return filesystem, root.rstrip("/")
    except ArrowInvalid:
        return _open_fsspec(uri)
    except OSError as error:
        raise InputError(f"cannot be opened: {error}", where=uri) from error


def _open_fsspec(uri: str) -> tuple[Any, str]:
    try:
        filesystem, root = fsspec_filesystem(uri)
    except (ImportError, ValueError) as error:
        raise InputError(f"no file system for this URI: {error}", where=uri) from error
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), str(root).rstrip("/")


def fsspec_filesystem(uri: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URI and the path in it; ImportError or ValueError where it has none."""
    import fsspec

    filesystem, root = fsspec.core.url_to_fs(uri)
    return filesystem, str(root)


def _create(path: Path, data: bytes) -> None:
    if not path.parent.is_dir():
        _make_folders(path.parent)
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def _make_folders(folder: Path) -> None:
    """Make a folder and what is missing above it, each name flushed to the disk."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(path: Path) -> None:
    """Flush a folder: without, a name may be lost with the power though the bytes are not."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _sync_folder(path.parent)
