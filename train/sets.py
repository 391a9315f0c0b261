"""
Training sets: labelled messages in versions, and gone when they are deleted.

    sets/<name>/<number>.json      a version: which files it holds, by the digest of their bytes; never changed
    sets/objects/<sha256>          their bytes (Parquet, a file a protocol or capture) while a version holds them

A version is known by its digest, which a run stores: two runs with the same digest were given the same messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from ..cluster.storage import Storage
from ..discovery.errors import InputError, NotFoundError

FOLDER, OBJECTS = "sets", "sets/objects"
NAME = re.compile(r"^[a-z][a-z0-9_-]{0,63}$")
FILE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.parquet$")


class SetVersion(BaseModel):
    """One version of a set; ``files`` is file name to SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    number: int
    made: datetime
    files: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the names and digests of the files."""
        return sha256("".join(f"{name}\0{self.files[name]}\n" for name in sorted(self.files)).encode()).hexdigest()


class TrainingSets:
    """The sets of a storage. One process changes a set at a time."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def versions(self, name: str | None = None) -> list[SetVersion]:
        """Return the versions of a set, or of all sets, the newest of each first."""
        names = [name] if name is not None else [n for n in self._storage.names(FOLDER) if n != "objects"]
        made = [version for each in names for version in self._of(_checked(each))]
        return sorted(made, key=lambda version: (version.name, -version.number))

    def version(self, reference: str) -> SetVersion:
        """
        Return the version that ``name@number`` names, the newest where there is no number.

        Raises:
            NotFoundError: there is none.
        """
        name, _, number = reference.partition("@")
        for version in self.versions(name):
            if number in ("", str(version.number)):
                return version
        raise NotFoundError("no such training set", where=reference, hint="qbitel sets list")

    def add(self, name: str, files: dict[str, bytes]) -> SetVersion:
        """Return a new version: the newest with these files added, or in place of those of the same name."""
        for file in files:
            if not FILE.match(file):
                raise InputError("not the name of a Parquet file", where=file)
        kept = {file: sha256(data).hexdigest() for file, data in files.items()}
        for file, data in files.items():
            self._storage.write(f"{OBJECTS}/{kept[file]}", data)
        before = self.versions(name)
        return self._write(name, {**(before[0].files if before else {}), **kept})

    def copy(self, version: SetVersion, folder: Path) -> Path:
        """
        Write the files of a version to a folder, checked against their digests, and return it.

        Raises:
            InputError: a file is not what was added.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name, digest in version.files.items():
            data = self._storage.read(f"{OBJECTS}/{digest}")
            if sha256(data).hexdigest() != digest:
                raise InputError("not the file that was added", where=f"{version.name}@{version.number}/{name}")
            (folder / name).write_bytes(data)
        return folder

    def forget(self, name: str, file: str) -> SetVersion | None:
        """
        Delete a file from a set: a new version lacks it, and the versions that held it are deleted with its bytes.

        Returns the new version, None where nothing is left of the set.

        Raises:
            NotFoundError: no version holds the file.
        """
        before = self.versions(name)
        holding = [version for version in before if file in version.files]
        if not holding:
            raise NotFoundError("no such file in the set", where=f"{name}/{file}")
        newest = {kept: digest for kept, digest in before[0].files.items() if kept != file}
        made = self._write(name, newest) if newest else None
        for version in holding:
            self._storage.delete(_path(version.name, version.number))
        self._sweep()
        return made

    def delete(self, reference: str) -> None:
        """Delete a version, or a whole set where there is no number, and the bytes that no version holds any more."""
        self.version(reference)
        name, _, number = reference.partition("@")
        self._storage.delete(_path(name, int(number)) if number else f"{FOLDER}/{name}")
        self._sweep()

    def _write(self, name: str, files: dict[str, str]) -> SetVersion:
        number = max((version.number for version in self._of(_checked(name))), default=0) + 1
        made = SetVersion(name=name, number=number, made=datetime.now(UTC), files=files)
        self._storage.write(_path(name, number), made.model_dump_json(indent=1).encode())
        return made

    def _of(self, name: str) -> Iterator[SetVersion]:
        for file in self._storage.names(f"{FOLDER}/{name}"):
            try:
                yield SetVersion.model_validate_json(self._storage.read(f"{FOLDER}/{name}/{file}"))
            except ValidationError as error:
                raise InputError(f"not a training set: {error}", where=f"{name}/{file}") from error

    def _sweep(self) -> None:
        held = {digest for version in self.versions() for digest in version.files.values()}
        for digest in self._storage.names(OBJECTS):
            if digest not in held:
                self._storage.delete(f"{OBJECTS}/{digest}")


def labelled_files(folder: Path) -> dict[str, bytes]:
    """
    Return the Parquet files of a folder by name.

    Raises:
        InputError: there is none, or one lacks the column payload, or both field_offsets and source_pcap.
    """
    made = {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}
    if not made:
        raise InputError("no labelled messages", where=str(folder), hint="expected one Parquet file a protocol")
    for name, data in made.items():
        try:
            columns = set(pq.read_schema(pa.BufferReader(data)).names)
        except pa.ArrowInvalid as error:
            raise InputError(f"not Parquet: {error}", where=str(folder / name)) from None
        if "payload" not in columns or not columns & {"field_offsets", "source_pcap"}:
            hint = "payload, and field_offsets or source_pcap"
            raise InputError("nothing to learn from", where=str(folder / name), hint=hint)
    return made


def _checked(name: str) -> str:
    if not NAME.match(name) or name == "objects":
        raise InputError(f"not a name for a set: {name!r}", hint="a small letter, then small letters, digits, _ or -")
    return name


def _path(name: str, number: int) -> str:
    return f"{FOLDER}/{name}/{number:06d}.json"
