"""Neighbours in the sampled flows: consecutive messages, and requests with their responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..batch import CLIENT_TO_SERVER, SERVER_TO_CLIENT
from ..falsification import violation_lower_bound
from ..spec import Evidence, MessageRef
from .columns import FRONT, Columns

_OUTSTANDING = 8


class Pairs(NamedTuple):
    """Rows of the flow sample: ``later`` follows ``earlier`` in its flow; ``held`` pairs are kept back, by flow."""

    earlier: NDArray[np.int64]
    later: NDArray[np.int64]
    held: NDArray[np.bool_]


def consecutive(columns: Columns, rows: NDArray[np.int64], per_direction: bool) -> Pairs:
    """Return neighbours among these rows of the flow sample, in one flow (and one direction)."""
    view = columns.sample.flows.view
    keys = view.flow[rows]
    if per_direction:
        keys = keys * np.uint64(3) + view.direction[rows].astype(np.uint64)
    order = np.argsort(keys, kind="stable")
    rows, keys = rows[order], keys[order]
    same = (keys[1:] == keys[:-1]) & (view.flow[rows[1:]] != 0)
    return _split(rows[:-1][same], rows[1:][same], view.flow)


def exchanges(columns: Columns) -> Pairs:
    """
    Return for each response the request that it resembles most.

    A request goes from client to server; among the last ``_OUTSTANDING`` of the flow before a response, the one with
    the most equal bytes in the front (the latest of equals) is its request.
    """
    view = columns.sample.flows.view
    earlier: NDArray[np.int64] = _requests(columns.flow_front, view.lengths, view.flow, view.direction, FRONT)
    later = np.flatnonzero(earlier >= 0)
    return _split(earlier[later], later, view.flow)


def _split(earlier: NDArray[np.int64], later: NDArray[np.int64], flow: NDArray[np.uint64]) -> Pairs:
    """Hold back a quarter of the flows, or the last quarter of the pairs where there are fewer than four flows."""
    flows, index = np.unique(flow[later], return_inverse=True)
    held = index % 4 == 3 if len(flows) >= 4 else np.arange(len(later)) * 4 >= 3 * len(later)
    return Pairs(earlier, later, held.astype(np.bool_))


def pair_evidence(
    columns: Columns,
    pairs: Pairs,
    holds: NDArray[np.bool_],
    detector: str,
    statement: str,
    epsilon: float | None = None,
) -> Evidence:
    """Return the numbers and messages for and against a relation of pairs; ``epsilon`` as in ``evidence_of``."""
    held = pairs.held
    failed = int((held & ~holds).sum())
    return Evidence(
        detector=detector,
        statement=statement,
        support=int((~held & holds).sum()),
        trials=int((~held).sum()),
        held_out_support=int((held & holds).sum()),
        held_out_trials=int(held.sum()),
        violation_bound=violation_lower_bound(failed, int(held.sum()), columns.settings.confidence),
        epsilon=columns.settings.epsilon if epsilon is None else epsilon,
        examples=_references(columns, pairs.later[holds][:3]),
        counter_examples=_references(columns, pairs.later[~holds][:3]),
    )


def _references(columns: Columns, rows: NDArray[np.int64]) -> list[MessageRef]:
    view, hashes = columns.sample.flows.view, columns.sample.capture_hashes
    return [MessageRef.at(hashes[int(view.source[r])] if hashes else "", int(view.number[r])) for r in rows]


def types_of_flow_rows(columns: Columns, rows: NDArray[np.int64]) -> tuple[int, ...]:
    """Return the types that occur among these rows of the flow sample."""
    found = np.unique(columns.flow_types[rows])
    return tuple(int(t) for t in found if t >= 0)


def in_runs(earlier: NDArray[np.int64], later: NDArray[np.int64]) -> int:
    """Return how many pairs continue another one: a value that rises twice in a row."""
    continued = np.zeros(1 + max(int(earlier.max()), int(later.max())), np.bool_)
    continued[later] = True
    return int(np.count_nonzero(continued[earlier]))


def flow_groups(columns: Columns) -> Sequence[tuple[tuple[int, ...], NDArray[np.int64]]]:
    """Return all typed rows of the flow sample, then those of each type with at least eight, at most 32 groups."""
    types = columns.flow_types
    everything = np.flatnonzero(types >= 0)
    groups = [(types_of_flow_rows(columns, everything), everything)]
    counts = np.bincount(types[everything], minlength=columns.n_types)
    if (counts > 0).sum() > 1:
        largest = [int(t) for t in np.argsort(-counts, kind="stable")[:31] if counts[t] >= 8]
        groups += [((t,), np.flatnonzero(types == t)) for t in largest]
    return groups


@njit(cache=True, nogil=True)
def _requests(front, lengths, flow, direction, places):  # type: ignore[no-untyped-def]
    """Return int64, the row of each response's request, -1 where there is none."""
    found = np.full(len(flow), -1, np.int64)
    for row in range(len(flow)):
        if direction[row] != SERVER_TO_CLIENT or flow[row] == 0:
            continue
        best, outstanding, other = -1, 0, row - 1
        while other >= 0 and flow[other] == flow[row] and outstanding < _OUTSTANDING:
            if direction[other] == CLIENT_TO_SERVER:
                outstanding += 1
                same = 0
                for i in range(min(places, min(lengths[row], lengths[other]))):
                    same += front[row, i] == front[other, i]
                if same > best:
                    best = same
                    found[row] = other
            other -= 1
    return found


@njit(cache=True, nogil=True)
def steps_agree(front, lengths, earlier, later, places, widths, orders, limit):  # type: ignore[no-untyped-def]
    """
    Return int64 (places, shapes): the constant step between neighbours, 0 where more than ``limit`` pairs disagree.

    The step is that of the first or the second pair; numbers count modulo their width.
    """
    steps = np.zeros((places, len(widths)), np.int64)
    for offset in range(places):
        for shape in range(len(widths)):
            width, little = widths[shape], orders[shape]
            tried = np.uint64(0)
            for guess in range(min(2, len(earlier))):
                step = _step(front, earlier[guess], later[guess], offset, width, little)
                if step == 0 or step == tried:
                    continue
                tried = step
                if _all_step(front, lengths, earlier, later, offset, width, little, step, limit):
                    steps[offset, shape] = np.int64(step)
                    break
    return steps


@njit(cache=True, nogil=True)
def _all_step(front, lengths, earlier, later, offset, width, little, step, limit):  # type: ignore[no-untyped-def]
    """Return whether all pairs but at most ``limit`` hold the number and differ by this step."""
    violations = 0
    for pair in range(len(earlier)):
        shorter = min(lengths[earlier[pair]], lengths[later[pair]])
        if shorter < offset + width or _step(front, earlier[pair], later[pair], offset, width, little) != step:
            violations += 1
            if violations > limit:
                return False
    return violations <= limit


@njit(cache=True, nogil=True)
def _step(front, before, after, offset, width, little):  # type: ignore[no-untyped-def]
    """Return the difference of two rows' numbers, modulo their width."""
    full = ~np.uint64(0) >> np.uint64(64 - 8 * width)
    return (_value(front, after, offset, width, little) - _value(front, before, offset, width, little)) & full


@njit(cache=True, nogil=True)
def _value(front, row, offset, width, little):  # type: ignore[no-untyped-def]
    value = np.uint64(0)
    for i in range(width):
        value = (value << np.uint64(8)) | np.uint64(front[row, offset + (width - 1 - i if little else i)])
    return value
