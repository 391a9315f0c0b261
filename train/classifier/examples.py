"""Labelled messages as the classifier's inputs, split by capture; simulated protocols stand for what is unknown."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ...discovery.batch import CLIENT_TO_SERVER, SERVER_TO_CLIENT, MessageBatch
from ...discovery.classifier.features import bins_of
from ...discovery.classifier.inputs import Inputs, read_inputs
from ...discovery.errors import InputError
from ..simulator import simulate

DIRECTIONS = {"c2s": CLIENT_TO_SERVER, "s2c": SERVER_TO_CLIENT}
SIMULATED = 500_000  # seeds from here on: none that the boundary network is fitted on
A_SITE = 64


@dataclass(frozen=True)
class Examples:
    """
    Messages with what they are of and where they come from.

    Attributes:
        inputs: of all messages; label: int64, index of the protocol; capture: int64, index of the capture.
        protocols, captures: names.
    """

    inputs: Inputs
    label: NDArray[np.int64]
    capture: NDArray[np.int64]
    protocols: tuple[str, ...]
    captures: tuple[str, ...]

    def take(self, rows: NDArray[np.int64]) -> Examples:
        """Return some of the messages."""
        return Examples(self.inputs.take(rows), self.label[rows], self.capture[rows], self.protocols, self.captures)

    def only(self, protocols: set[str]) -> Examples:
        """Return the messages of some protocols, labelled anew."""
        names = tuple(name for name in self.protocols if name in protocols)
        index = np.array([names.index(name) if name in protocols else -1 for name in self.protocols])
        rows = np.flatnonzero(index[self.label] >= 0)
        part = self.take(rows)
        return Examples(part.inputs, index[part.label], part.capture, names, self.captures)

    def captures_of(self) -> NDArray[np.int64]:
        """Return in how many captures each protocol occurs."""
        pairs = np.unique(np.stack([self.label, self.capture]), axis=1)
        return np.bincount(pairs[0], minlength=len(self.protocols))


def read_examples(folder: Path) -> Examples:
    """
    Read a folder with one Parquet file a protocol: payload, source_pcap, and direction where it is known.

    Repeated payloads of a protocol count once, so that none is both learned from and asked about.

    Raises:
        InputError: there is no such file, or a column is missing.
    """
    paths = sorted(folder.glob("*.parquet"))
    if not paths:
        raise InputError("no labelled protocols", where=str(folder), hint="expected one Parquet file a protocol")
    payloads: list[bytes] = []
    sides, labels, sources = [], [], []
    for label, path in enumerate(paths):
        table = pq.read_table(path)
        if not {"payload", "source_pcap"} <= set(table.column_names):
            raise InputError("no column payload or source_pcap", where=str(path))
        seen: set[bytes] = set()
        directions = table["direction"].to_pylist() if "direction" in table.column_names else [""] * table.num_rows
        for payload, source, side in zip(
            table["payload"].to_pylist(), table["source_pcap"].to_pylist(), directions, strict=True
        ):
            if payload and payload not in seen:
                seen.add(payload)
                payloads.append(payload)
                sources.append(source)
                sides.append(DIRECTIONS.get(side, 0))
                labels.append(label)
    names, capture = np.unique(sources, return_inverse=True)
    inputs = read_inputs(MessageBatch.from_payloads(payloads, direction=sides).view())
    return Examples(inputs, np.array(labels), capture, tuple(p.stem for p in paths), tuple(map(str, names)))


def simulated(count: int) -> tuple[Inputs, NDArray[np.int64]]:
    """Return messages of so many simulated protocols, and which protocol each is of."""
    batches = [simulate(SIMULATED + seed).batch().slice(0, A_SITE) for seed in range(count)]
    which = np.repeat(np.arange(count), [len(batch) for batch in batches])
    return read_inputs(MessageBatch.concatenate(batches).view()), which


def joined(one: Inputs, two: Inputs) -> Inputs:
    """Return the messages of both, one after the other."""
    features = np.concatenate([one.features, two.features])
    return Inputs(np.concatenate([one.values, two.values]), bins_of(features), features)


def folds_of(examples: Examples, folds: int = 5) -> NDArray[np.int64]:
    """
    Return the fold of each message: captures stay whole over all protocols, and each protocol's are spread evenly.

    Captures of rare protocols are placed first, each into the fold that has the fewest captures of its protocols.
    """
    held: dict[int, Counter[int]] = defaultdict(Counter)
    for capture, label in zip(examples.capture.tolist(), examples.label.tolist(), strict=True):
        held[capture][label] += 1
    spread = examples.captures_of()
    taken = np.zeros((folds, len(examples.protocols)))
    fold = np.zeros(len(examples.captures), np.int64)

    def rarity(capture: int) -> tuple[int, str]:
        name = examples.captures[capture].encode()
        return min(int(spread[p]) for p in held[capture]), hashlib.sha256(name).hexdigest()

    for capture in sorted(held, key=rarity):
        labels = list(held[capture])
        cost = (taken[:, labels] / spread[labels]).sum(axis=1)
        fold[capture] = int(np.argmin(cost))
        taken[fold[capture], labels] += 1
    return fold[examples.capture]


def groups_of(examples: Examples, rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Return runs of up to ``size`` of the rows that are of one protocol in one capture."""
    key = examples.label[rows] * len(examples.captures) + examples.capture[rows]
    ordered = rows[np.argsort(key, kind="stable")]
    parts = np.split(ordered, np.flatnonzero(np.diff(np.sort(key))) + 1)
    return [part[i : i + size] for part in parts for i in range(0, len(part), size)]
