"""Sums, XOR, Fletcher, Adler and Internet checksums: every algorithm tried at once on a few messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import MessageView
from ..checksums import _accumulate, _fold
from ..spec import Checksum
from .regions import Place, Region, numbers_at

_OWN = {"outside": 0, "excluded": 1, "zeroed": 2}


class _Form(NamedTuple):
    """An algorithm as the kernel knows it; ``unit`` 0 stands for the field's width."""

    name: str
    code: int
    unit: int
    negated: bool
    widths: tuple[int, ...]


_FORMS = (
    _Form("sum", 0, 1, False, (1, 2, 3, 4)),
    _Form("sum", 0, 1, True, (1, 2, 3, 4)),
    _Form("sum", 0, 0, False, (2, 4)),
    _Form("sum", 0, 0, True, (2, 4)),
    _Form("xor", 1, 0, False, (1, 2, 4)),
    _Form("internet", 4, 2, False, (2,)),
    _Form("fletcher", 2, 0, False, (2, 4)),
    _Form("fletcher256", 2, 0, False, (2, 4)),
    _Form("adler32", 3, 1, False, (4,)),
)


class Proposal(NamedTuple):
    """A checksum that fits the probe, the byte order it was read in, and how unusual its parameters are."""

    constraint: Checksum
    little: bool
    strangeness: int


@njit(cache=True, nogil=True)
def _difference(data, first, last, own, width, mode, field, form):  # type: ignore[no-untyped-def]
    """Return field minus checksum (XOR for ``xor``) of one message: what init or xorout would have to make up for."""
    code, unit, modulus, negated, little = form
    full = ~np.uint64(0) >> np.uint64(64 - 8 * width)
    total, second = _accumulate(
        code, data, first, last, own, width, mode, unit, little == 1, modulus, np.uint64(1 if code == 3 else 0)
    )
    if code == 1:
        return (field ^ total) & full
    if code == 2 or code == 3:
        return (field - (total | (second << np.uint64(4 * width)))) & full
    if code == 4:
        return ((field ^ full) + full - _fold(total)) % full
    return (field + total if negated else field - total) & full


@njit(cache=True, nogil=True)
def _probe(data, firsts, lasts, own, width, modes, fields, forms):  # type: ignore[no-untyped-def]
    """
    Return (agrees, constant) by region and form: whether all rows but one have the same difference.

    ``firsts``, ``lasts``, ``own``: int64, regions and fields by region and row; ``fields``: uint64, the values there in
    both byte orders. Of three messages two must agree already: most forms end there.
    """
    regions, n = firsts.shape
    agrees = np.zeros((regions, len(forms)), np.bool_)
    constants = np.zeros((regions, len(forms)), np.uint64)
    rest = np.zeros(n, np.uint64)
    for region in range(regions):
        for f in range(len(forms)):
            for row in range(n):
                rest[row] = _difference(
                    data, firsts[region, row], lasts[region, row], own[region, row], width, modes[region],
                    fields[forms[f, 4], region, row], forms[f],
                )  # fmt: skip
                if row == 2 and not _two_agree(rest):
                    break
            usual = rest[0] if rest[0] == rest[1] or rest[0] == rest[2] else rest[1]
            if _two_agree(rest) and (rest == usual).sum() >= n - 1:
                agrees[region, f] = True
                constants[region, f] = usual
    return agrees, constants


@njit(cache=True, nogil=True)
def _two_agree(rest):  # type: ignore[no-untyped-def]
    return rest[0] == rest[1] or rest[0] == rest[2] or rest[1] == rest[2]


def additive(view: MessageView, rows: NDArray[np.int64], place: Place, regions: Sequence[Region]) -> Iterator[Proposal]:
    """
    Yield the checksums other than CRC that fit these few messages, one of which may be damaged.

    ``rows``: at least 8 messages that hold the place.
    """
    firsts, lasts = np.stack([region.bounds(view, rows) for region in regions], axis=1)
    own = np.repeat((view.starts[rows] + place.offsets(view, rows))[None], len(regions), axis=0)
    modes = np.array([_OWN[region.own_bytes] for region in regions])
    for r, form, little, constant in _agreeing(view.data, firsts, lasts, own, place.width, modes):
        parameters = _parameters(form.name, form.unit, form.negated, constant, place.width)
        if parameters is not None and not _astride(form, place, regions[r]):
            constraint = regions[r].constraint(form.name.removesuffix("256"), **parameters)
            yield Proposal(constraint, little, 0 if constant == 0 else 2)


def additive_prefixes(
    data: NDArray[np.uint8], firsts: NDArray[np.int64], lasts: NDArray[np.int64], width: int
) -> Iterator[tuple[int, Proposal]]:
    """
    Yield (k, checksum other than CRC) where the regions k of all messages but one have it right behind them.

    ``firsts``, ``lasts``: int64, (k, n), regions of ``data`` by place and message.
    """
    modes = np.zeros(len(firsts), np.int64)
    for k, form, little, constant in _agreeing(data, firsts, lasts, lasts, width, modes):
        parameters = _parameters(form.name, form.unit, form.negated, constant, width)
        if parameters is not None:
            constraint = Checksum.model_validate({"algorithm": form.name.removesuffix("256"), **parameters})
            yield k, Proposal(constraint, little, 0 if constant == 0 else 2)


def _agreeing(
    data: NDArray[np.uint8],
    firsts: NDArray[np.int64],
    lasts: NDArray[np.int64],
    own: NDArray[np.int64],
    width: int,
    modes: NDArray[np.int64],
) -> Iterator[tuple[int, _Form, bool, int]]:
    """Yield (region, form, little, constant) where all messages but one have the same difference."""
    tried = _tried(width)
    forms = np.array([_row(form, little, width) for form, little in tried], np.int64)
    fields = np.stack([numbers_at(data, own, width, little) for little in (False, True)])
    agrees, constants = _probe(data, firsts, lasts, own, width, modes, fields, forms)
    for region, f in np.argwhere(agrees):
        form, little = tried[f]
        yield int(region), form, bool(little), int(constants[region, f])


def _tried(width: int) -> list[tuple[_Form, int]]:
    """Return the algorithms of this width in each byte order: big-endian (0) and little-endian (1)."""
    fitting = [form for form in _FORMS if width in form.widths]
    return [(f, little) for f in fitting for little in ((0, 1) if width > 1 and f.name != "internet" else (0,))]


def _astride(form: _Form, place: Place, region: Region) -> bool:
    """Return whether an Internet checksum would lie across two words: it is one of its own."""
    return form.name == "internet" and place.start >= 0 and (place.start - region.start) % 2 == 1


def _row(form: _Form, little: int, width: int) -> tuple[int, int, int, int, int]:
    """Return code, unit, modulus (0: none), sign and byte order for the kernel."""
    unit, modulus = form.unit or width, 0
    if form.code == 2:
        unit, modulus = width // 2, (1 << (4 * width)) - (0 if form.name == "fletcher256" else 1)
    elif form.code == 3:
        modulus = 65521
    return form.code, unit, modulus, int(form.negated), little


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
