"""Verdicts: which rule a message breaks, in which bytes, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True)
class Violation:
    """
    One broken rule of one message.

    Attributes:
        rule: ``framing``, ``type``, ``structure``, the kind of a constraint (``checksum``, ``enum``, ...),
            ``sequence``, ``grammar``, or the name of a custom rule.
        start, length: the bytes concerned.
        reason: one sentence; field: qualified name, empty where the whole message is concerned.
    """

    rule: str
    start: int
    length: int
    reason: str
    field: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether a message is valid at the level asked for, its type, and what is wrong with it."""

    valid: bool
    type: str
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True)
class Breach:
    """
    One rule broken by many messages, as columns: the vectorised form of ``Violation``.

    Attributes:
        rows, starts, lengths: int64, one for each broken message (a row may stand several times).
        reason: gives the sentence for the k-th of them; made when somebody reads it.
    """

    rule: str
    field: str
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    reason: Callable[[int], str]

    def after(self, rows: int) -> Breach:
        """Return what concerns the messages behind the first ``rows``, which are counted from there."""
        kept = np.flatnonzero(self.rows >= rows)
        reason = self.reason
        return Breach(
            self.rule, self.field, self.rows[kept] - rows, self.starts[kept], self.lengths[kept],
            lambda k: reason(int(kept[k])),
        )  # fmt: skip


@dataclass(frozen=True)
class ValidationResult:
    """
    Verdicts on a batch.

    Attributes:
        valid: bool, one a message.
        type_names: of the specification, then ``unknown`` (which index -1 reaches); type_index: int32.
    """

    valid: NDArray[np.bool_]
    type_index: NDArray[np.int32]
    type_names: tuple[str, ...]
    breaches: tuple[Breach, ...] = field(repr=False, default=())

    def __len__(self) -> int:
        return len(self.valid)

    def after(self, rows: int) -> ValidationResult:
        """Return the verdicts on the messages behind the first ``rows``."""
        kept = tuple(breach for breach in (b.after(rows) for b in self.breaches) if len(breach.rows))
        return ValidationResult(self.valid[rows:], self.type_index[rows:], self.type_names, kept)

    def verdict(self, row: int) -> Verdict:
        """Return the verdict on one message, its violations by position."""
        found = [
            Violation(b.rule, int(b.starts[k]), int(b.lengths[k]), b.reason(int(k)), b.field)
            for b in self.breaches
            for k in np.flatnonzero(b.rows == row)
        ]
        found.sort(key=lambda violation: (violation.start, violation.rule, violation.field))
        return Verdict(bool(self.valid[row]), self.type_names[int(self.type_index[row])], tuple(found))

    def violations(self) -> list[tuple[int, Violation]]:
        """Return every violation with its row, by row and position."""
        found = [
            (int(b.rows[k]), Violation(b.rule, int(b.starts[k]), int(b.lengths[k]), b.reason(k), b.field))
            for b in self.breaches
            for k in range(len(b.rows))
        ]
        return sorted(found, key=lambda item: (item[0], item[1].start, item[1].rule, item[1].field))

    def to_arrow(self) -> pa.Table:
        """Return one row a message: valid (bool), type (string), violations (list of structs as ``Violation``)."""
        lists: list[list[dict[str, object]]] = [[] for _ in range(len(self))]
        for row, violation in self.violations():
            lists[row].append(vars(violation))
        item = pa.struct(
            [
                ("rule", pa.string()),
                ("start", pa.int64()),
                ("length", pa.int64()),
                ("reason", pa.string()),
                ("field", pa.string()),
            ]
        )
        names = np.array(self.type_names, dtype=object)
        return pa.table(
            {
                "valid": pa.array(self.valid),
                "type": pa.array(names[self.type_index], pa.string()),
                "violations": pa.array(lists, pa.list_(item)),
            }
        )

    def to_pandas(self) -> Any:
        """Return ``to_arrow`` as a pandas DataFrame; pandas is the extra ``[pandas]``."""
        return self.to_arrow().to_pandas()
