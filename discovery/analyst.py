"""What an analyst says of single messages, their type and where fields begin: it stands over what statistics say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Attribute
from pydantic import ValidationError, model_validator

from .batch import MessageBatch
from .errors import InputError, LimitError
from .findings import Finding
from .sample import Sample
from .spec import Evidence
from .spec.base import HexBytes, Model, Name
from .types import TypeModel
from .types.renaming import apply_names

MOST_LABELS = 4096
MOST_BYTES = 1 << 24  # of a file of labels
SURE = 255 / 256  # probability of a boundary that an analyst sees; of one that is not there: what is left of one


class MessageLabel(Model):
    """
    What is known of one message.

    Attributes:
        type: the name of its type, None where only boundaries are known.
        boundaries: where fields begin, the first one at 0 left out; None where only the type is known.
    """

    payload: HexBytes = Attribute(min_length=1, max_length=1 << 16)
    type: Name | None = None
    boundaries: tuple[int, ...] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.type is None and self.boundaries is None:
            raise ValueError("a label names a type, or boundaries, or both")
        cuts = self.boundaries or ()
        if list(cuts) != sorted(set(cuts)) or any(not 0 < cut < len(self.payload) for cut in cuts):
            raise ValueError(f"boundaries rise, from 1 to {len(self.payload) - 1}")
        return self


@dataclass(frozen=True)
class AnalystLabels:
    """
    The labels of one protocol; a later one of the same message takes the place of an earlier one.

    Types that hold messages of two names are parted by the byte that tells them apart, types of one name are joined,
    and take the name. Boundaries hold in their message, and up to where the labelled messages of a type agree in all
    messages of that type.
    """

    labels: tuple[MessageLabel, ...] = ()

    @classmethod
    def of(cls, labels: Iterable[MessageLabel]) -> AnalystLabels:
        """
        Keep the last label of each message, in the order of their payloads.

        Raises:
            LimitError: there are more than ``MOST_LABELS``.
        """
        last = {label.payload: label for label in labels}
        if len(last) > MOST_LABELS:
            raise LimitError(f"{len(last)} labelled messages, at most {MOST_LABELS}", hint="label fewer of each type")
        return cls(tuple(last[payload] for payload in sorted(last)))

    @classmethod
    def from_bytes(cls, data: bytes, where: str = "") -> AnalystLabels:
        """
        Read labels, a JSON object a line.

        Raises:
            InputError: a line is no label. LimitError: there are too many.
        """
        if len(data) > MOST_BYTES:
            raise LimitError(f"{len(data)} bytes of labels, at most {MOST_BYTES}", where=where)
        labels = []
        for number, line in enumerate(data.splitlines(), 1):
            try:
                labels.append(MessageLabel.model_validate_json(line))
            except ValidationError as error:
                raise InputError(f"line {number} is no label: {error.errors()[0]['msg']}", where=where) from None
        return cls.of(labels)

    def to_bytes(self) -> bytes:
        """Return the labels, a JSON object a line."""
        return b"".join(label.model_dump_json(exclude_none=True).encode() + b"\n" for label in self.labels)

    @property
    def digest(self) -> str | None:
        """SHA-256 (hex) of the labels, None where there are none."""
        return sha256(self.to_bytes()).hexdigest() if self.labels else None

    def adding(self, label: MessageLabel) -> AnalystLabels:
        """
        Return these labels with another one; of the same message, it adds to what is known or takes its place.

        Raises:
            LimitError: there are too many.
        """
        before = next((old for old in self.labels if old.payload == label.payload), label)
        known = {name: getattr(before, name) for name in ("type", "boundaries") if getattr(label, name) is None}
        return self.of((*self.labels, label.model_copy(update=known)))

    @cached_property
    def _batch(self) -> MessageBatch:
        return MessageBatch.from_payloads([label.payload for label in self.labels])

    def types(self, model: TypeModel, sample: Sample) -> TypeModel:
        """
        Return the model with the types that were named, as they were named.

        Raises:
            InputError: no byte tells messages of two names apart that are of one type.
        """
        named = [(label.payload, label.type) for label in self.labels if label.type is not None]
        return apply_names(model, named, sample) if named else model

    def findings(self, model: TypeModel, found: Sequence[Finding]) -> list[Finding]:
        """Return what was found, less what an analyst's boundaries cut, and the fields that these make, first."""
        ours: list[Finding] = []
        for index, cuts in self._agreed(model).items():
            found = [_without(f, index) if _is_cut(f, cuts) else f for f in found]
            ours += [_field(index, *span) for span in _spans(cuts) if span not in _proven(found, index)]
        return [*ours, *(f for f in found if f.types)]

    def probabilities(
        self, model: TypeModel, type_of_row: NDArray[np.int32], sample: Sample, found: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the probabilities of boundaries, (messages, offsets) float32, with those that an analyst sees."""
        if not self.labels:
            return found
        drawn = found.copy()
        for index, cuts in self._agreed(model).items():
            rows, size = np.flatnonzero(type_of_row == index), min(cuts[-1] + 1, drawn.shape[1])
            drawn[rows, 1:size] = _sure(cuts, size)[1:]
        known = {label.payload: label.boundaries for label in self.labels if label.boundaries is not None}
        for row in range(len(sample.view)) if known else ():
            told = known.get(sample.view.payload(row))
            if told is not None:
                size = min(int(sample.view.lengths[row]), drawn.shape[1])
                drawn[row, 1:size] = _sure(told, size)[1:]
        return drawn

    def _types(self, model: TypeModel) -> list[int]:
        found: list[int] = model.assign(self._batch.view()).tolist()
        return found

    def _agreed(self, model: TypeModel) -> dict[int, tuple[int, ...]]:
        """Return for each type the boundaries up to where its labelled messages agree; none, and it is left out."""
        by_type: dict[int, list[tuple[int, ...]]] = {}
        for label, index in zip(self.labels, self._types(model), strict=True):
            if label.boundaries is not None and index >= 0:
                by_type.setdefault(index, []).append(label.boundaries)
        agreed = {index: _common(many) for index, many in by_type.items()}
        return {index: cuts for index, cuts in agreed.items() if cuts}


def _field(index: int, start: int, width: int) -> Finding:
    """Return a field that an analyst sees in all messages of a type."""
    evidence = Evidence(detector="analyst", untestable="an analyst says so")
    return Finding((index,), start, width, "unknown", None, None, evidence)


def _proven(found: Sequence[Finding], index: int) -> set[tuple[int, int]]:
    """Return start and width of what stands in a type."""
    return {(f.start, f.width) for f in found if index in f.types and f.hard}


def _spans(cuts: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return start and width of the fields between boundaries, the first one at 0."""
    return [(start, stop - start) for start, stop in zip((0, *cuts), cuts, strict=False)]


def _common(many: list[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the boundaries that all begin with."""
    common: list[int] = []
    for cuts in zip(*many, strict=False):
        if len(set(cuts)) > 1:
            break
        common.append(cuts[0])
    return tuple(common)


def _is_cut(finding: Finding, cuts: tuple[int, ...]) -> bool:
    """Return whether boundaries fall into what was found, or it begins or ends between two of them."""
    start, stop = finding.start, finding.start + finding.width
    if start < 0 or start >= cuts[-1]:
        return False
    known = {0, *cuts}
    return start not in known or stop not in known or any(start < cut < stop for cut in cuts)


def _without(finding: Finding, index: int) -> Finding:
    return replace(finding, types=tuple(kind for kind in finding.types if kind != index))


def _sure(cuts: tuple[int, ...], size: int) -> NDArray[np.float32]:
    chances = np.full(size, 1 - SURE, np.float32)
    chances[[cut for cut in cuts if cut < size]] = SURE
    return chances
