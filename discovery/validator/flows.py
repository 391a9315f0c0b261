"""Constraints between the messages of a flow: counters that rise, responses that repeat the request."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..batch import MessageView
from ..spec import Counter, Echo
from .values import Leaves


def order_in_flows(view: MessageView) -> NDArray[np.int64]:
    """Return the rows that belong to a flow, sorted by flow, time, source and number (int64)."""
    rows = np.flatnonzero(view.flow != 0)
    ts = np.where(np.isnan(view.ts), 0.0, view.ts)
    order = np.lexsort((view.number[rows], view.source[rows], ts[rows], view.flow[rows]))
    return rows[order]


def _places(view: MessageView) -> NDArray[np.int64]:
    """The position of each row in that order, -1 where it belongs to no flow."""
    rows = order_in_flows(view)
    place = np.full(len(view), -1, np.int64)
    place[rows] = np.arange(len(rows))
    return place


def counter(fields: list[tuple[Leaves, Counter]], view: MessageView) -> list[NDArray[np.bool_]]:
    """
    Return for each field which leaves hold: the value is that of the flow's message before, or one step on.

    Fields of several types that count together (equal step and width) are one counter.
    """
    place = _places(view)
    held = [np.ones(len(leaves), bool) for leaves, _ in fields]
    for step, per_direction in sorted({(c.step, c.per_direction) for _, c in fields}):
        chosen = [i for i, (_, c) in enumerate(fields) if (c.step, c.per_direction) == (step, per_direction)]
        _check(chosen, fields, view, place, step, per_direction, held)
    return held


def _check(
    chosen: list[int],
    fields: list[tuple[Leaves, Counter]],
    view: MessageView,
    place: NDArray[np.int64],
    step: int,
    per_direction: bool,
    held: list[NDArray[np.bool_]],
) -> None:
    rows = np.concatenate([fields[i][0].rows for i in chosen])
    values = np.concatenate([fields[i][0].unsigned for i in chosen])
    widths = np.concatenate([fields[i][0].lengths for i in chosen])
    owner = np.concatenate([np.full(len(fields[i][0]), i) for i in chosen])
    own = np.concatenate([np.arange(len(fields[i][0])) for i in chosen])
    kept = np.flatnonzero(place[rows] >= 0)
    lane = view.direction[rows] if per_direction else np.zeros(len(rows), np.int8)
    order = kept[np.lexsort((place[rows[kept]], lane[kept], view.flow[rows[kept]]))]
    before, after = order[:-1], order[1:]
    same = (view.flow[rows[before]] == view.flow[rows[after]]) & (lane[before] == lane[after])
    same &= widths[before] == widths[after]
    mask = np.where(
        widths[after] >= 8, np.uint64(2**64 - 1), (np.uint64(1) << (8 * widths[after]).astype(np.uint64)) - 1
    )
    rise = (values[after] - values[before]) & mask
    wrong = after[same & (rise != 0) & (rise != np.uint64(step & (2**64 - 1)) & mask)]
    for k in wrong.tolist():
        held[owner[k]][own[k]] = False


def echo(leaves: Leaves, constraint: Echo, requests: Leaves, view: MessageView) -> NDArray[np.bool_]:
    """Return which leaves repeat the value of the latest request before them in their flow; none before them holds."""
    place = _places(view)
    asked = np.argsort(place[requests.rows], kind="stable")
    asked = asked[place[requests.rows[asked]] >= 0]
    before = np.searchsorted(place[requests.rows[asked]], place[leaves.rows]) - 1
    known = (before >= 0) & (place[leaves.rows] >= 0)
    request = asked[np.maximum(before, 0)] if len(asked) else np.zeros(len(leaves), np.int64)
    if not len(asked):
        return np.ones(len(leaves), bool)
    same_flow = view.flow[requests.rows[request]] == view.flow[leaves.rows]
    holds: NDArray[np.bool_] = ~(known & same_flow) | (requests.big[request] == leaves.big)
    return holds
