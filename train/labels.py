"""The labelled messages that a training is given: one version of a set, read where it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from ..cluster.storage import Storage
from ..discovery.analyst import AnalystLabels
from ..discovery.errors import InputError
from .sets import TrainingSets


@dataclass(frozen=True)
class Labels:
    """
    One version of a training set.

    Attributes:
        storage: URI. reference: ``name@number``. digest: of its files, as when the training began.
    """

    storage: str
    reference: str
    digest: str

    def folder(self) -> Path:
        """
        Return a folder with its files, a copy that ends with this process.

        Raises:
            NotFoundError: it was deleted. InputError: it is not what it was.
        """
        return Path(_copy(self).name)


@cache
def _copy(labels: Labels) -> TemporaryDirectory[str]:
    sets = TrainingSets(Storage(labels.storage))
    version = sets.version(labels.reference)
    if version.digest != labels.digest:
        raise InputError("not the training set that the run began with", where=labels.reference)
    folder = TemporaryDirectory(prefix="qbitel-set-")
    sets.copy(version, Path(folder.name))
    return folder


def of_analyst(labels: AnalystLabels) -> bytes | None:
    """Return the messages whose boundaries an analyst told as a file of a training set, None where there are none."""
    told = [label for label in labels.labels if label.boundaries is not None]
    if not told:
        return None
    table = pa.table({
        "payload": pa.array([label.payload for label in told], pa.binary()),
        "field_offsets": pa.array([label.boundaries for label in told], pa.list_(pa.int32())),
        "msg_type": pa.array([label.type for label in told], pa.string()),
    })  # fmt: skip
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())
