"""Captures where they lie: the files of a folder or of a prefix of an object store, and copies to read."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs

from ..discovery.errors import InputError
from .storage import open_filesystem

_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class InputFile:
    """A file to read: its full address, and its size in bytes."""

    uri: str
    size: int

    @property
    def name(self) -> str:
        """The last part of its address."""
        return self.uri.rsplit("/", 1)[-1]


def list_inputs(uri: str) -> list[InputFile]:
    """
    Return the file at a URI or path, or all files below it in the natural order of their paths (``cap2``, ``cap10``).

    Hidden files, whose name begins with a dot, and empty ones are left out below a folder.

    Raises:
        InputError: there is none.
    """
    filesystem, root = open_filesystem(uri)
    try:
        (info,) = filesystem.get_file_info([root])
        if info.type == fs.FileType.File:
            return [InputFile(_address(uri, root, root), info.size)]
        found = filesystem.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
    except OSError as error:
        raise InputError(f"cannot be listed: {error}", where=uri) from error
    files = [info for info in found if info.type == fs.FileType.File and info.size and info.base_name[0] != "."]
    if not files:
        raise InputError("no files", where=uri)
    return [InputFile(_address(uri, root, info.path), info.size) for info in sorted(files, key=_order)]


def _order(info: fs.FileInfo) -> list[str | int]:
    # Texts and numbers alternate, so that equal places hold equal kinds.
    return [int(part) if part.isdigit() else part for part in _NUMBERS.split(info.path)]


def _address(uri: str, root: str, path: str) -> str:
    if "://" not in uri:
        return path
    before, mark, query = uri.partition("?")
    return f"{before.rstrip('/')}{path.removeprefix(root)}{mark}{query}"


@contextmanager
def local_copy(file: InputFile, folder: str | None = None) -> Iterator[Path]:
    """
    Give a path to read a file at: its own, or that of a copy which is deleted at the end.

    Raises:
        InputError: it cannot be read.
    """
    if "://" not in file.uri:
        yield Path(file.uri)
        return
    filesystem, path = open_filesystem(file.uri)
    with tempfile.TemporaryDirectory(prefix="qbitel-", dir=folder) as there:
        copy = Path(there) / file.name.partition("?")[0]
        try:
            with filesystem.open_input_stream(path) as source, copy.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
        except OSError as error:
            raise InputError(f"cannot be read: {error}", where=file.uri) from error
        yield copy
