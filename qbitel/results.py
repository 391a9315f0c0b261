"""
The result folder: what ``qbitel discover --out DIR`` writes and every other command reads.

``DIR/index.json`` lists the protocols. ``DIR/<protocol>/`` holds ``spec.json``, ``evidence.txt``, ``parser.py``,
``dissector.lua``, ``schema.json``, ``types.dot``, ``statistics.bin`` (to learn on), ``messages.arrow`` (a few
messages of each type, to look at) and, where an analyst labelled messages, ``labels.jsonl``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from .discovery.analyst import AnalystLabels
from .discovery.batch import MessageBatch
from .discovery.errors import InputError, NotFoundError, SpecError
from .discovery.exports import FORMATS, export
from .discovery.orchestrator import DiscoveryResult
from .discovery.parser import Parser
from .discovery.spec import ProtocolSpec
from .discovery.spec.base import NAME
from .discovery.statistics import MessageStatistics
from .evidence_text import claim_lines

EXAMPLES_PER_TYPE = 32
INDEX, LABELS = "index.json", "labels.jsonl"


@dataclass(frozen=True)
class StoredProtocol:
    """One protocol of a result folder."""

    folder: Path
    spec: ProtocolSpec

    def messages(self) -> MessageBatch:
        """
        Return the kept example messages; ``number`` is their place in the capture.

        Raises:
            InputError: the file is missing or damaged.
        """
        path = self.folder / "messages.arrow"
        try:
            with pa.memory_map(str(path)) as source:
                return MessageBatch(pa.ipc.open_file(source).read_all())
        except (OSError, pa.ArrowException) as error:
            raise InputError("no example messages: missing or damaged", where=str(path)) from error

    def statistics(self) -> MessageStatistics:
        """
        Return the statistics that the specification was read from.

        Raises:
            InputError: the file is missing or damaged.
        """
        path = self.folder / "statistics.bin"
        try:
            return MessageStatistics.from_bytes(path.read_bytes())
        except OSError as error:
            hint = "only a folder that qbitel discover wrote can be extended"
            raise InputError(f"cannot read: {error.strerror}", where=str(path), hint=hint) from error

    def labels(self) -> AnalystLabels:
        """
        Return what an analyst said of messages.

        Raises:
            InputError: the file is damaged. LimitError: it is too large.
        """
        return _labels(self.folder)

    def keep_labels(self, labels: AnalystLabels) -> None:
        """Write what an analyst says of messages, in place of what was said before."""
        (self.folder / LABELS).write_bytes(labels.to_bytes())


def _labels(folder: Path) -> AnalystLabels:
    path = folder / LABELS
    return AnalystLabels.from_bytes(path.read_bytes(), str(path)) if path.is_file() else AnalystLabels()


def labels_in(folder: Path) -> dict[str, AnalystLabels]:
    """
    Return what an analyst said of messages, by protocol; nothing where there is no result folder yet.

    Raises:
        InputError: the index or a file of labels is damaged.
    """
    names = protocols_of(folder) if (folder / INDEX).exists() else []
    return {name: labels for name in names if (labels := _labels(folder / name)).labels}


def write_results(
    out: Path,
    results: Sequence[tuple[DiscoveryResult, MessageBatch]],
    warnings: Sequence[str] = (),
    *,
    beside: bool = False,
) -> list[Path]:
    """
    Write one folder a protocol and the index; return the folders.

    Args:
        results: each with the messages it was confirmed on.
        warnings: what the readers had to say about the captures.
        beside: other protocols of the folder stay in the index.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folders = [_write_protocol(out, result, messages) for result, messages in results]
        entries = [_entry(folder, result) for folder, (result, _) in zip(folders, results, strict=True)]
        if beside:
            entries = _beside(out, entries)
        index = {"protocols": entries, "warnings": list(warnings)}
        _write(out / INDEX, json.dumps(index, indent=2, sort_keys=True) + "\n")
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", where=str(out)) from error
    return folders


def _beside(out: Path, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries with those of the index whose protocols they do not name, by name."""
    mine = {entry["folder"] for entry in entries}
    others = [entry for entry in _index(out) if entry["folder"] not in mine] if (out / INDEX).exists() else []
    return sorted([*entries, *others], key=lambda entry: str(entry["protocol"]))


def _write_protocol(out: Path, result: DiscoveryResult, messages: MessageBatch) -> Path:
    spec = result.spec
    folder = out / spec.protocol
    folder.mkdir(parents=True, exist_ok=True)
    document = json.dumps(json.loads(spec.to_bytes()), indent=1, sort_keys=True)
    _write(folder / "spec.json", document + "\n")
    lines = [line for claim in sorted(spec.evidence) for line in (*claim_lines(spec, claim), "")]
    _write(folder / "evidence.txt", "\n".join(lines))
    for name, (_, file) in FORMATS.items():
        _write(folder / file, export(spec, name))
    if not result.privacy.veils:  # they hold a sample of messages as they are
        (folder / "statistics.bin").write_bytes(result.statistics.to_bytes())
    write_examples(folder, spec, messages)
    return folder


def write_examples(folder: Path, spec: ProtocolSpec, messages: MessageBatch) -> None:
    """Write a few messages of each type for ``qbitel show`` to look at."""
    kept = messages.take(_example_rows(spec, messages)).to_arrow()
    with pa.OSFile(str(folder / "messages.arrow"), "wb") as sink, pa.ipc.new_file(sink, kept.schema) as writer:
        writer.write_table(kept)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _example_rows(spec: ProtocolSpec, messages: MessageBatch) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The first rows of each type, unknown included, in the order of the capture."""
    head = messages.slice(0, 65536)
    types = Parser(spec).parse_batch(head).type_index
    rows = [np.flatnonzero(types == index)[:EXAMPLES_PER_TYPE] for index in range(-1, len(spec.types))]
    return np.sort(np.concatenate(rows)).astype(np.int64)


def _entry(folder: Path, result: DiscoveryResult) -> dict[str, Any]:
    spec = result.spec
    return {
        "protocol": spec.protocol,
        "folder": folder.name,
        "id": spec.id,
        "version": spec.version,
        "types": len(spec.types),
        "messages": spec.measures.messages,
        "held_out_coverage": spec.measures.held_out_coverage if spec.measures.held_out_messages else None,
        "partial": spec.partial,
        "notes": list(result.notes),
    }


def open_results(folder: Path, protocol: str | None = None) -> StoredProtocol:
    """
    Read one protocol of a result folder (or of a folder that itself holds a ``spec.json``).

    Raises:
        InputError: the folder has no index, or a file of it cannot be read.
        NotFoundError: there are several protocols and none was named, or the named one is missing.
    """
    if (folder / "spec.json").is_file():
        return _stored(folder)
    names = protocols_of(folder)
    if protocol is None and len(names) > 1:
        raise NotFoundError(f"{len(names)} protocols", where=str(folder), hint=f"--protocol {' | '.join(names[:8])}")
    name = protocol or (names[0] if names else "")
    if name not in names:
        listed = ", ".join(names[:8]) or "none"
        raise NotFoundError(f"no protocol '{name}'", where=str(folder), hint=f"it holds: {listed}")
    return _stored(folder / name)


def protocols_of(folder: Path) -> list[str]:
    """Return the names of the protocols of a result folder."""
    return [str(entry["folder"]) for entry in _index(folder)]


def _index(folder: Path) -> list[dict[str, Any]]:
    try:
        entries: list[dict[str, Any]] = json.loads((folder / INDEX).read_bytes())["protocols"]
        if not all(NAME.match(str(entry["folder"])) for entry in entries):
            raise ValueError("a folder of it has no name that a protocol can have")
        return entries
    except OSError as error:
        hint = "make one with: qbitel discover CAPTURE --out DIR"
        raise InputError("no result folder here", where=str(folder), hint=hint) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"the index is damaged: {error}", where=str(folder / INDEX)) from error


def _stored(folder: Path) -> StoredProtocol:
    path = folder / "spec.json"
    try:
        return StoredProtocol(folder, ProtocolSpec.from_bytes(path.read_bytes()))
    except SpecError as error:
        raise SpecError(error.what, where=str(path), hint=error.hint or error.where) from error
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", where=str(path)) from error
