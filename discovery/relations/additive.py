"""Sums, XOR, Fletcher, Adler and Internet checksums: every algorithm tried at once on a few messages."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import MessageView
from ..checksums import _accumulate, _fold
from ..spec import Checksum
from .regions import Place, Region

_OWN = {"outside": 0, "excluded": 1, "zeroed": 2}
# algorithm, unit (0: width), subtracts, widths it exists for
_FORMS: tuple[tuple[str, int, bool, tuple[int, ...]], ...] = (
    ("sum", 1, False, (1, 2, 3, 4)),
    ("sum", 1, True, (1, 2, 3, 4)),
    ("sum", 0, False, (2, 4)),
    ("sum", 0, True, (2, 4)),
    ("xor", 0, False, (1, 2, 4)),
    ("internet", 2, False, (2,)),
    ("fletcher", 0, False, (2, 4)),
    ("fletcher256", 0, False, (2, 4)),
    ("adler32", 0, False, (4,)),
)
_CODES = {"sum": 0, "xor": 1, "fletcher": 2, "fletcher256": 2, "adler32": 3, "internet": 4}


class Proposal(NamedTuple):
    """A checksum that fits the probe, the byte order it was read in, and how unusual its parameters are."""

    constraint: Checksum
    little: bool
    strangeness: int


@njit(cache=True, nogil=True)
def _probe(data, first, last, own, width, mode, field, code, unit, little, modulus, negated, allowed):  # type: ignore[no-untyped-def]
    """Return (agrees, constant): whether all but ``allowed`` rows have the same difference of field and checksum."""
    full = ~np.uint64(0) >> np.uint64(64 - 8 * width)
    n = len(first)
    rest = np.zeros(n, np.uint64)
    for row in range(n):
        start = np.uint64(1 if code == 3 else 0)
        total, second = _accumulate(
            code, data, first[row], last[row], own[row], width, mode, unit, little, modulus, start
        )
        if code == 1:
            rest[row] = (field[row] ^ total) & full
        elif code == 2 or code == 3:
            rest[row] = (field[row] - (total | (second << np.uint64(4 * width)))) & full
        elif code == 4:
            rest[row] = ((field[row] ^ full) + full - _fold(total)) % full
        else:
            rest[row] = (field[row] + total if negated else field[row] - total) & full
        if row >= 2 and rest[row] != rest[0] and rest[row] != rest[1]:
            allowed -= 1
            if allowed < 0:
                return False, np.uint64(0)
    for guess in range(2):
        if (rest == rest[guess]).sum() >= n - max(allowed, 1):
            return True, rest[guess]
    return False, np.uint64(0)


def additive(view: MessageView, rows: NDArray[np.int64], place: Place, region: Region) -> list[Proposal]:
    """
    Return the checksums other than CRC that fit these few messages, one of which may be damaged.

    ``rows``: at least 8 messages that hold the place.
    """
    first, last = region.bounds(view, rows)
    own = view.starts[rows] + place.offsets(view, rows)
    proposals = []
    fields = {little: place.values(view, rows, little) for little in ((False, True) if place.width > 1 else (False,))}
    for name, unit, negated, widths in _FORMS:
        if place.width not in widths:
            continue
        for little, field in fields.items():
            form = _shape(name, unit or place.width, place.width)
            agrees, constant = _probe(
                view.data, first, last, own, place.width, _OWN[region.own_bytes], field,
                _CODES[name], form[0], little and name != "internet", form[1], negated, 1,
            )  # fmt: skip
            parameters = _parameters(name, unit, negated, int(constant), place.width) if agrees else None
            if parameters is not None:
                algorithm = name.removesuffix("256")
                odd = 0 if constant == 0 else 2
                proposals.append(Proposal(region.constraint(algorithm, **parameters), little, odd))
    return proposals


def _shape(name: str, unit: int, width: int) -> tuple[int, int]:
    """Return the unit in bytes and the modulus of an algorithm (0: none)."""
    if name.startswith("fletcher"):
        bits = 4 * width
        return width // 2, (1 << bits) - (0 if name == "fletcher256" else 1)
    if name == "adler32":
        return 1, 65521
    return unit, 0


def _parameters(name: str, unit: int, negated: bool, constant: int, width: int) -> dict[str, Any] | None:
    """Return the parameters of ``Checksum`` that give this constant difference, None where it has none."""
    full = (1 << (8 * width)) - 1
    if name in ("fletcher", "fletcher256", "adler32"):
        if constant:
            return None
        return {"poly": 1 << (4 * width)} if name == "fletcher256" else {}
    if negated:  # constant - sum = ~(sum + ~constant)
        return {"unit": unit if width > 1 else 0, "init": full ^ constant, "xorout": full}
    return {"unit": unit if name == "sum" and width > 1 else 0, "init": constant}
