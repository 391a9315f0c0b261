"""Labelled messages: a folder with one Parquet file a protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...discovery.batch import CLIENT_TO_SERVER, SERVER_TO_CLIENT, MessageBatch
from ...discovery.errors import InputError

NEEDED = ("payload", "field_offsets")
DIRECTIONS = {"c2s": CLIENT_TO_SERVER, "s2c": SERVER_TO_CLIENT}


@dataclass(frozen=True)
class Labelled:
    """
    One protocol with its truth.

    Attributes:
        name: of the protocol.
        batch: all messages with times, flows and directions.
        distinct: indices of the first occurrence of each payload: these are scored.
        boundaries: offsets of each message; types: true message type of each message, empty where there are none.
    """

    name: str
    batch: MessageBatch
    distinct: list[int]
    boundaries: list[list[int]]
    types: list[str]


def load_corpus(folder: Path, protocols: Sequence[str] | None = None, limit: int | None = None) -> Iterator[Labelled]:
    """
    Yield the protocols of a folder by name.

    Args:
        folder: of files ``<protocol>.parquet`` with columns payload and field_offsets; msg_type, ts, stream, direction
            are used where they exist.
        protocols: only these; limit: only the messages up to that many distinct payloads.

    Raises:
        InputError: there is no such file, or a column is missing.
    """
    paths = sorted(path for path in folder.glob("*.parquet") if protocols is None or path.stem in protocols)
    if not paths:
        raise InputError("no labelled protocols", where=str(folder), hint="expected one Parquet file a protocol")
    for path in paths:
        yield _read(path, limit)


def _read(path: Path, limit: int | None) -> Labelled:
    table = _table(path)
    distinct = _distinct(table.column("payload").to_pylist())
    if limit is not None and len(distinct) > limit:
        table = table.slice(0, distinct[limit])
        distinct = distinct[:limit]
    types = table.column("msg_type").to_pylist() if "msg_type" in table.column_names else []
    boundaries = [offsets or [] for offsets in table.column("field_offsets").to_pylist()]
    return Labelled(path.stem, _batch(table), distinct, boundaries, [kind or "" for kind in types])


def _table(path: Path) -> pa.Table:
    table = pq.read_table(path)
    missing = [name for name in NEEDED if name not in table.column_names]
    if missing:
        raise InputError(f"no column {', '.join(missing)}", where=str(path))
    return table


def _distinct(payloads: list[bytes]) -> list[int]:
    first: dict[bytes, int] = {}
    for index, payload in enumerate(payloads):
        first.setdefault(payload, index)
    return list(first.values())


def _batch(table: pa.Table) -> MessageBatch:
    columns = {"payload": table.column("payload").cast(pa.large_binary())}
    if "ts" in table.column_names:
        columns["ts"] = table.column("ts").cast(pa.float64())
    if "stream" in table.column_names:
        codes = table.column("stream").combine_chunks().dictionary_encode().indices
        columns["flow"] = pc.add(codes.cast(pa.uint64()), 1)
    if "direction" in table.column_names:
        names = table.column("direction").to_pylist()
        columns["direction"] = pa.array(np.array([DIRECTIONS.get(name, 0) for name in names], np.int8))
    columns |= {name: table.column(name) for name in ("sport", "dport") if name in table.column_names}
    return MessageBatch(pa.table(columns))


def families(folder: Path) -> dict[str, str]:
    """Return protocol → family from the table of a README.md in the folder or above it that has these two columns."""
    found: dict[str, str] = {}
    for path in (folder / "README.md", folder.parent / "README.md"):
        if path.is_file():
            found = _families_in(path.read_text(encoding="utf-8")) | found
    return found


def _families_in(text: str) -> dict[str, str]:
    header: list[str] = []
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if {"family", "protocol"} <= set(cells):
            header = cells
        elif len(cells) == len(header) and cells:
            row = dict(zip(header, cells, strict=True))
            found[row["protocol"]] = row["family"]
        elif not cells:
            header = []
    return found
