"""
Backups: one state of the catalog and all objects that it knows, under a URI of its own, proven by digests.

``catalog.sqlite`` holds the rows of all tables, whatever database they came from; ``objects/`` the journals' segments
and snapshots, models, training sets and captures that wait; ``backup.json`` the digests of them and of the streams.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Engine, select

from ..discovery.errors import InputError, NotFoundError, QbitelError
from .database import migrate, open_engine
from .manifest import Manifest
from .manifest_tables import EntryRow, SnapshotRow
from .rows import copy_rows, count_rows, digest_rows, step_of
from .state import State
from .storage import Storage
from .verify import verify_stream

_RECORD, _CATALOG, _OBJECTS = "backup.json", "catalog.sqlite", "objects"
_JOURNALS = "streams"
_WHOLE = ("models", "sets", "runs", "live", "dead-letters", "uploads")
_ATTEMPTS = 5
_MOST_RECORD = 256 << 20


class StoredObject(BaseModel):
    """An object by its size and SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int
    sha256: str


class Backup(BaseModel):
    """
    What a backup holds.

    Attributes:
        step: of the catalog's tables. tables: SHA-256 of the rows of each. rows: how many they have.
        objects: by path. streams: the digest of each stream's messages, as ``qbitel shards verify`` gives it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: int = 1
    made: datetime
    step: str
    tables: dict[str, str]
    rows: dict[str, int]
    objects: dict[str, StoredObject]
    streams: dict[str, str]

    @property
    def size(self) -> int:
        """Bytes of all objects."""
        return sum(each.size for each in self.objects.values())


def create(state: State, to: str) -> Backup:
    """
    Make a backup of a state that may be in use; what is added meanwhile may be left out.

    Segments that are merged while they are copied are gone: then rows and objects are read once more.

    Raises:
        InputError: there is something at ``to`` already, or a journal is damaged.
    """
    target = Storage(to)
    if target.names():
        raise InputError("there is something here already", where=to, hint="each backup needs a place of its own")
    with tempfile.TemporaryDirectory(prefix="qbitel-backup-") as folder:
        file = Path(folder) / _CATALOG
        for attempt in range(_ATTEMPTS):
            file.unlink(missing_ok=True)
            engine = _dump(state.engine, file)
            try:
                objects = {path: _copy(state.storage, path, target) for path in _paths(engine, state.storage)}
                break
            except NotFoundError:
                if attempt + 1 == _ATTEMPTS:
                    raise
            finally:
                engine.dispose()
        target.write(_CATALOG, file.read_bytes())
        found = _digests(engine := open_engine(file), Storage(target.place(_OBJECTS)))
        engine.dispose()
    made = Backup(made=datetime.now(UTC), objects=objects, **found)
    target.write(_RECORD, made.model_dump_json(indent=1).encode())
    return made


def verify(at: str) -> tuple[Backup, list[str]]:
    """
    Read a backup whole, and return its record with what is wrong: objects, rows or streams that are not what they were.

    Raises:
        NotFoundError, InputError: there is no backup, or its record is damaged.
    """
    with _opened(at) as (record, engine, storage):
        problems = [problem for path, known in record.objects.items() if (problem := _damage(storage, path, known))]
        return record, problems + _apart(record, _digests(engine, storage))


def restore(at: str, state: State) -> tuple[Backup, list[str]]:
    """
    Put a backup into an empty state, and return its record with how the state differs from it: with nothing.

    Raises:
        NotFoundError, InputError: there is no sound backup, or the state is not empty.
    """
    with _opened(at) as (record, engine, storage):
        if state.storage.names(_JOURNALS) or state.storage.names("models") or count_rows(state.engine):
            raise InputError("there is a state here already", where=state.uri, hint="restore into an empty one")
        for path, known in record.objects.items():
            if problem := _damage(storage, path, known):
                raise InputError(problem, where=at, hint="qbitel backup verify lists all that is wrong")
            state.storage.write(path, storage.read(path))
        copy_rows(engine, state.engine)
    problems = [problem for path, known in record.objects.items() if (problem := _damage(state.storage, path, known))]
    return record, problems + _apart(record, _digests(state.engine, state.storage))


@contextmanager
def _opened(at: str) -> Iterator[tuple[Backup, Engine, Storage]]:
    """Give a backup's record, its catalog brought to the newest step, and its objects."""
    source = Storage(at)
    try:
        record = Backup.model_validate_json(source.read(_RECORD, limit=_MOST_RECORD))
    except ValidationError as error:
        raise InputError("not the record of a backup", where=source.place(_RECORD)) from error
    with tempfile.TemporaryDirectory(prefix="qbitel-backup-") as folder:
        file = Path(folder) / _CATALOG
        file.write_bytes(source.read(_CATALOG))
        engine = open_engine(file)
        try:
            yield record, engine, Storage(source.place(_OBJECTS))
        finally:
            engine.dispose()


def _dump(source: Engine, file: Path) -> Engine:
    """Copy all rows, as they are at one moment, into an SQLite file whose tables are at the same step."""
    migrate(file, step_of(source))
    engine = open_engine(file)
    copy_rows(source, engine)
    return engine


def _paths(engine: Engine, storage: Storage) -> Iterator[str]:
    with engine.connect() as connection:
        journal = set(connection.scalars(select(EntryRow.path))) | set(connection.scalars(select(SnapshotRow.path)))
    yield from sorted(journal - {""})
    for folder in _WHOLE:
        yield from storage.below(folder)


def _copy(source: Storage, path: str, target: Storage) -> StoredObject:
    data = source.read(path)
    target.write(f"{_OBJECTS}/{path}", data)
    return StoredObject(size=len(data), sha256=sha256(data).hexdigest())


def _damage(storage: Storage, path: str, known: StoredObject) -> str:
    try:
        data = storage.read(path)
    except QbitelError as error:
        return str(error)
    same = len(data) == known.size and sha256(data).hexdigest() == known.sha256
    return "" if same else f"{storage.place(path)}: not the bytes that were backed up"


def _digests(engine: Engine, storage: Storage) -> dict[str, Any]:
    """Return the digests of a catalog's rows, and of what the journals of its streams hold."""
    manifest, streams = Manifest(engine), {}
    for stream in manifest.streams():
        found = verify_stream(storage, manifest, stream)
        streams[stream.name] = found.digest if found.sound else f"damaged: {found.problems[0]}"
    tables, rows = digest_rows(engine)
    return {"step": step_of(engine), "tables": tables, "rows": rows, "streams": streams}


def _apart(record: Backup, found: dict[str, Any]) -> list[str]:
    """Return what differs; rows are compared where the tables are at the step that they were backed up at."""
    apart = [
        f"stream {name}: {found['streams'].get(name, 'missing')}, was {digest}"
        for name, digest in record.streams.items()
        if found["streams"].get(name) != digest
    ]
    if found["step"] != record.step:
        return apart + [f"table {n}: {found['rows'].get(n)} rows, were {count}" for n, count in record.rows.items()
                        if found["rows"].get(n) != count]  # fmt: skip
    changed = [name for name, digest in record.tables.items() if found["tables"].get(name) != digest]
    return apart + [f"table {name}: not the rows that were backed up" for name in changed]
