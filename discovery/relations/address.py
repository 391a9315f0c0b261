"""Addresses: bytes in the front that equal the source or the destination of their own flow."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..falsification import violation_lower_bound
from ..findings import Finding
from ..spec import Address, Evidence
from .claims import stands, tolerated
from .columns import FRONT, Columns

_DETECTOR = "address"
_FORMS: dict[int, Literal["ipv4", "mac", "ipv6"]] = {4: "ipv4", 6: "mac", 16: "ipv6"}
_ENDS: tuple[Literal["source", "destination"], ...] = ("source", "destination")


@njit(cache=True, nogil=True)
def _equal(front, lengths, address, size):  # type: ignore[no-untyped-def]
    """Return bool (n, FRONT): whether the address of each row's flow lies at each offset."""
    places = front.shape[1] - 16
    found = np.zeros((len(front), places), np.bool_)
    for row in range(len(front)):
        for offset in range(min(places, lengths[row] - size[row] + 1) if size[row] else 0):
            same = True
            for i in range(size[row]):
                if front[row, offset + i] != address[row, i]:
                    same = False
                    break
            found[row, offset] = same
    return found


def find_addresses(columns: Columns) -> list[Finding]:
    """Return the endpoints' addresses of each type whose flows have them, where they take at least two values."""
    flows = columns.sample.flows
    findings: list[Finding] = []
    if not (flows.address_length > 0).any():
        return findings
    size = flows.address_length.astype(np.int64)
    for end, address in zip(_ENDS, (flows.src, flows.dst), strict=True):
        equal = _equal(columns.flow_front, flows.view.lengths, address, size)
        for width, form in _FORMS.items():
            for start in np.flatnonzero(equal[size == width].sum(axis=0) >= 3) if (size == width).any() else []:
                usable = (size == width) & (columns.flow_types >= 0)
                finding = _finding(columns, int(start), width, Address(form=form, endpoint=end), equal, usable, address)
                if finding is not None and not any(_overlap(finding, f) for f in findings):
                    findings.append(finding)
    return findings


def _overlap(one: Finding, other: Finding) -> bool:
    near = one.start < other.start + other.width and other.start < one.start + one.width
    return near and bool(set(one.types) & set(other.types))


def _finding(
    columns: Columns,
    start: int,
    width: int,
    constraint: Address,
    equal: NDArray[np.bool_],
    usable: NDArray[np.bool_],
    address: NDArray[np.uint8],
) -> Finding | None:
    """Judge one place: the types in which all messages hold the address, proven by two addresses at least."""
    types = columns.flow_types
    holds = equal[:, start]
    trials = np.bincount(types[usable], minlength=columns.n_types)
    support = np.bincount(types[usable & holds], minlength=columns.n_types)
    kept = [
        int(t) for t in np.flatnonzero(support) if trials[t] - support[t] <= tolerated(int(trials[t]), columns.settings)
    ]
    concerned = usable & np.isin(types, np.asarray(kept, np.int32))
    if start >= FRONT or len(np.unique(address[concerned & holds, :width], axis=0)) < 2:
        return None
    held = np.arange(len(types)) % 4 == 3
    failed = int((concerned & held & ~holds).sum())
    evidence = Evidence(
        detector=_DETECTOR,
        statement=f"{constraint.form} {constraint.endpoint} of the flow at {start}",
        support=int((concerned & ~held & holds).sum()),
        trials=int((concerned & ~held).sum()),
        held_out_support=int((concerned & held & holds).sum()),
        held_out_trials=int((concerned & held).sum()),
        violation_bound=violation_lower_bound(failed, int((concerned & held).sum()), columns.settings.confidence),
        epsilon=columns.settings.epsilon,
    )
    if not kept or not stands(evidence, columns.settings):
        return None
    return Finding(tuple(kept), start, width, "address", constraint, None, evidence)
