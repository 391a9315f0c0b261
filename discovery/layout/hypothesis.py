"""The contract of a family of structures: it proposes hypotheses on a table; a builder writes the best down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..falsification import refuted
from ..settings import DiscoverySettings
from ..spec import Element, Repeat, ToEnd
from .fields import Endianness, Names, divided
from .table import Bools, Ints, Spans, Table

SEARCHED = 64  # offsets of a region at which structures are looked for
ACCEPTED = 20.0  # bits by which a structure must beat chance, over the choice among all forms and offsets


class Builder(Protocol):
    """What a hypothesis needs to write itself down."""

    names: Names
    endianness: Endianness

    def region(self, table: Table, depth: int) -> list[Element]:
        """Return the layout of these regions, found by the same search."""
        ...

    def columns(self, table: Table, width: int, spans: Spans) -> list[Element]:
        """Return fields for the first ``width`` bytes of the regions; each of ``spans`` is one."""
        ...

    def mark(self, table: Table, offset: int = 0) -> None:
        """Note that a field starts ``offset`` bytes into these regions."""
        ...

    def mark_places(self, places: Ints) -> None:
        """Note that fields start at these offsets of the data."""
        ...

    def scope(self, hint: str) -> str:
        """Return a name that no group has."""
        ...

    def group(self, name: str, elements: Callable[[list[Element]], list[Element]]) -> str:
        """Register a group of the protocol, made from the one that has this name (or from nothing); return the name."""
        ...


class Hypothesis(Protocol):
    """A structure that would start ``offset`` bytes into every region; structures compete by ``bits``."""

    @property
    def offset(self) -> int:
        """Bytes from the start of a region to the structure."""
        ...

    @property
    def bits(self) -> float:
        """Evidence beyond chance."""
        ...

    @property
    def detector(self) -> str:
        """Name of the family."""
        ...

    @property
    def spans(self) -> Spans:
        """Fields before the structure that it needs: a count or length it refers to."""
        ...

    def fits(self, table: Table) -> Bools:
        """Return for each region (from its own start) whether its bytes obey the structure."""
        ...

    def build(self, builder: Builder, front: list[Element], table: Table, depth: int) -> list[Element]:
        """
        Return the elements from ``offset`` to the end of the regions.

        Args:
            front: fields of the first ``offset`` bytes, for references.
            table: regions that obey, from ``offset`` on.
        """
        ...


def laid_out(builder: Builder, values: Table, depth: int) -> list[Element]:
    """Return the layout of values of known ends, optional where some are empty; nothing where they are one field."""
    filled = values.take(values.sizes > 0)
    inner = divided(builder.region(filled, depth + 1)) if len(filled) else []
    if not inner or len(filled) == len(values) or (len(inner) == 1 and isinstance(inner[0], Repeat)):
        return inner
    return [Repeat(name=builder.names.next("optional"), stop=ToEnd(), elements=inner, maximum=1)]


def allowed_failures(trials: int, settings: DiscoverySettings) -> int:
    """Return the largest number of violations among ``trials`` that does not refute a claim."""
    violations = 0
    while violations < trials and not refuted(violations + 1, trials, settings):
        violations += 1
    return violations


def read_numbers(table: Table, width: int, little: bool, span: int) -> tuple[NDArray[np.int64], Bools]:
    """Return the number at each of the first ``span`` offsets of each region (n, span), and whether its bytes exist."""
    values = np.zeros((len(table), span), np.int64)
    _numbers(table.data, table.start, table.end, width, int(little), values)
    return values, np.arange(width, width + span) <= table.sizes[:, None]


@njit(cache=True, nogil=True)
def _numbers(data, start, end, width, little, values):  # type: ignore[no-untyped-def]
    """Read numbers; bytes that do not exist are zero."""
    for row in range(len(start)):
        for offset in range(min(values.shape[1], end[row] - start[row])):
            value = np.int64(0)
            for place in range(width):
                at = start[row] + offset + (width - 1 - place if little else place)
                value = value << 8 | (np.int64(data[at]) if at < end[row] else 0)
            values[row, offset] = value
