"""Timestamps: numbers in the front that are times near those of the capture, or clustered in plausible years."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..falsification import violation_lower_bound
from ..findings import Finding
from ..spec import Timestamp, quantise
from .claims import evidence_of, stands
from .columns import FRONT, Columns, Group, numbers
from .flows import _value

_DETECTOR = "timestamp"
WRONG_CLOCKS = 0.3  # messages of senders whose clock is not set: a time, but not always near the capture's
NEAR = 86400.0  # seconds from the capture's own time
CLUSTER = 30 * 86400.0  # width of the window where captures have no time
EARLIEST, LATEST = 631152000.0, 2208988800.0  # 1990 and 2040
_DOS_EPOCH = 315532800
_TAI = 37  # leap seconds that TAI is ahead of UTC since 2017


class Form(NamedTuple):
    """A form of time: bytes, value of 1970, units a second; ``dos`` is a packed date (FAT)."""

    name: str
    width: int
    epoch: int
    rate: float


FORMS = (
    Form("ntp", 8, 2208988800 << 32, float(1 << 32)),
    Form("filetime", 8, 116444736000000000, 1e7),
    Form("unix_ns", 8, 0, 1e9),
    Form("unix_us", 8, 0, 1e6),
    Form("unix_ms", 8, 0, 1e3),
    Form("tai64n", 8, (1 << 62) + 10, 1.0),
    Form("unix_s", 8, 0, 1.0),
    Form("unix_ms", 6, 0, 1e3),
    Form("unix_s", 4, 0, 1.0),
    Form("ntp_s", 4, 2208988800, 1.0),
    Form("tai", 8, _TAI, 1.0),
    Form("tai", 4, _TAI, 1.0),
    Form("mac_s", 4, 2082844800, 1.0),
    Form("dos", 4, -1, 1.0),
)


@njit(cache=True, nogil=True)
def _seconds(value, epoch, rate, dos):  # type: ignore[no-untyped-def]
    """Return the seconds since 1970, a negative number where it is no time."""
    if not dos:
        return float(value - epoch) / rate if value >= epoch else -1.0
    day, month = (value >> np.uint64(16)) & np.uint64(31), (value >> np.uint64(21)) & np.uint64(15)
    year = int(value >> np.uint64(25))
    if day < 1 or month < 1 or month > 12:
        return -1.0
    days = year * 365.25 + (int(month) - 1) * 30.44 + int(day)
    clock = int(value & np.uint64(0xFFFF))
    if clock >> 11 > 23 or (clock >> 5) & 63 > 59 or clock & 31 > 29:
        return -1.0
    return _DOS_EPOCH + days * 86400.0 + (clock >> 11) * 3600.0 + ((clock >> 5) & 63) * 60.0 + (clock & 31) * 2.0


@njit(cache=True, nogil=True)
def _times(front, lengths, ts, rows, widths, epochs, rates, dos, near, limit, places):  # type: ignore[no-untyped-def]
    """
    Mark (offset, form, order) where at most ``limit`` of the rows are no time near ``ts`` (or from 1990 to 2040).

    Of these only those whose times lie and move as ``beyond_chance`` asks, which weighs the few that are left.
    """
    passed = np.zeros((places, len(widths), 2), np.bool_)
    first, last = _extent(ts, rows)
    for offset in range(places):
        for form in range(len(widths)):
            for little in range(2):
                passed[offset, form, little] = _are_times(
                    front, lengths, ts, rows, offset, widths[form], little == 1, epochs[form], rates[form], dos[form],
                    near[form], limit,
                ) and _move(
                    front, ts, rows, offset, widths[form], little == 1, epochs[form], rates[form], dos[form],
                    near[form], last - first,
                )  # fmt: skip
    return passed


@njit(cache=True, nogil=True)
def _extent(ts, rows):  # type: ignore[no-untyped-def]
    """Return the first and the last time of the rows, not a number where one of them tells no time of day."""
    first, last = np.inf, -np.inf
    for row in rows:
        if not EARLIEST <= ts[row] <= LATEST:
            return np.nan, np.nan
        first, last = min(first, ts[row]), max(last, ts[row])
    return first, last


@njit(cache=True, nogil=True)
def _move(front, ts, rows, offset, width, little, epoch, rate, dos, near, extent):  # type: ignore[no-untyped-def]
    """Return whether enough rows hold times that are as near each other, and as far apart, as those of a clock are."""
    used, chosen, distinct = 0, 0, 0
    low, high = np.inf, -np.inf
    others = np.zeros(3, np.uint64)  # values seen: a fourth one is enough
    for row in rows:
        value = _value(front, row, offset, width, little)
        used += value != 0
        seconds = _seconds(value, epoch, rate, dos)
        if not value or not _is_time(seconds, ts[row], near):
            continue
        chosen += 1
        low, high = min(low, seconds), max(high, seconds)
        if distinct < 4 and not _among(others, value):
            others[min(distinct, 2)] = value
            distinct += 1
    if used * 2 < len(rows) or chosen < 4 or distinct < 4:
        return False
    return _clocklike(high - low, extent)


@njit(cache=True, nogil=True)
def _among(values, value):  # type: ignore[no-untyped-def]
    return value == values[0] or value == values[1] or value == values[2]


@njit(cache=True, nogil=True)
def _clocklike(spread, extent):  # type: ignore[no-untyped-def]
    """Return whether times lie near each other where no clock is known, else whether they move on as it does."""
    return spread <= CLUSTER if np.isnan(extent) else spread * 1000 >= extent


@njit(cache=True, nogil=True)
def _are_times(  # type: ignore[no-untyped-def]
    front, lengths, ts, rows, offset, width, little, epoch, rate, dos, near, limit
):
    violations, used = 0, 0
    for seen in range(len(rows)):
        row = rows[seen]
        value = _value(front, row, offset, width, little)
        if lengths[row] < offset + width:
            violations += 1
        elif value:
            used += 1
            violations += 0 if _is_time(_seconds(value, epoch, rate, dos), ts[row], near) else 1
        if violations > limit or (violations > 8 and 2 * violations > seen + 1):
            return False
    return violations <= limit and used > 0


@njit(cache=True, nogil=True)
def _is_time(seconds, ts, near):  # type: ignore[no-untyped-def]
    return abs(seconds - ts) <= near if EARLIEST <= ts <= LATEST else EARLIEST <= seconds <= LATEST


@njit(cache=True, nogil=True)
def _all_seconds(values, epoch, rate, dos):  # type: ignore[no-untyped-def]
    seconds = np.empty(len(values), np.float64)
    for i in range(len(values)):
        seconds[i] = _seconds(values[i], epoch, rate, dos)
    return seconds


def seconds_of(values: NDArray[np.uint64], form: Form) -> NDArray[np.float64]:
    """Return seconds since 1970 of numbers in this form, negative where they are no time."""
    epoch = np.uint64(max(form.epoch, 0))
    seconds: NDArray[np.float64] = _all_seconds(values, epoch, form.rate, form.name == "dos")
    return seconds


def no_clock(ts: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where a capture tells no time of day: none at all, or seconds since some other moment than 1970."""
    unknown: NDArray[np.bool_] = ~((ts >= EARLIEST) & (ts <= LATEST))
    return unknown


def near_times(values: NDArray[np.uint64], ts: NDArray[np.float64], form: Form) -> NDArray[np.bool_]:
    """Return where a value is unset (zero), near the capture's time, or in plausible years where that is unknown."""
    seconds = seconds_of(values, form)
    unknown = no_clock(ts)
    plausible = (seconds >= EARLIEST) & (seconds <= LATEST)
    near: NDArray[np.bool_] = np.abs(seconds - np.where(unknown, 0, ts)) <= nearness(form)
    fine: NDArray[np.bool_] = (values == 0) | np.where(unknown, plausible, near)
    return fine


def nearness(form: Form) -> float:
    """Return the seconds by which a time of this form may differ: a packed local date is read without leap days."""
    return NEAR * (3 if form.name == "dos" else 1)


def beyond_chance(values: NDArray[np.uint64], ts: NDArray[np.float64], form: Form) -> bool:
    """
    Return whether so many different values near the capture's time (or each other) would hardly be by chance.

    A number of w bytes falls into the window with probability window / range; values count by their distinct high
    parts, since a run of a counter is one coincidence. Bytes of text are refused where the capture has no time.
    """
    used = values != 0
    chosen = values[used & near_times(values, ts, form)] if used.sum() * 2 >= len(values) else values[:0]
    if len(chosen) < 4:
        return False
    seconds = seconds_of(chosen, form)
    spread = float(seconds.max() - seconds.min())
    unknown = bool(no_clock(ts).any())
    if spread > CLUSTER if unknown else spread * 1000 < float(np.ptp(ts)):
        return False  # too far apart, or the capture's clock moves on and the value does not
    distinct = np.unique(chosen)
    if len(distinct) < 4 or (unknown and _is_text(distinct, form.width)):
        return False
    window = max(spread, 1.0) if unknown else 2 * nearness(form)
    return _bits_of(window, form) >= 8


def _bits_of(window: float, form: Form) -> float:
    """Return how improbable it is, in bits, that a number falls into so many seconds; 0 where all do."""
    return -math.log2(min(window * form.rate / 2.0 ** (8 * form.width), 1.0))


def _is_text(values: NDArray[np.uint64], width: int) -> bool:
    octets = values.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width]
    return bool(((octets >= 32) & (octets < 127)).mean() > 0.9)


_WIDTHS = np.array([f.width for f in FORMS], np.int64)
_EPOCHS = np.array([max(f.epoch, 0) for f in FORMS], np.uint64)
_RATES = np.array([f.rate for f in FORMS])
_DOS = np.array([f.name == "dos" for f in FORMS])
_NEAR = np.array([nearness(f) for f in FORMS])


def find_timestamps(columns: Columns) -> list[Finding]:
    """Return the times of all messages together, then those of single types."""
    findings: list[Finding] = []
    for group in columns.groups:
        for start, form, little in _proposed(columns, group):
            taken = any(
                f.start < start + form.width and start < f.start + f.width and set(f.types) & set(group.types)
                for f in findings
            )
            finding = None if taken else _finding(columns, start, form, little)
            if finding is not None:
                findings.append(finding)
    return findings


def _proposed(columns: Columns, group: Group) -> list[tuple[int, Form, bool]]:
    """Return the places of one group that hold times, the widest form first."""
    rows = group.proposing
    front, ts = columns.front[rows], columns.sample.view.ts[rows]
    found = []
    for start, form, little in passing(columns, group, columns.sample.view.ts):
        values = numbers(front, start, form.width, little)
        if beyond_chance(values, ts, form) and _follows(columns, rows, values):
            found.append((distance_from_clock(values, ts, form), start, form, little))
    ordered = sorted(found, key=lambda place: (-place[2].width, place[1], place[0]))
    return [place[1:] for place in ordered]


def passing(columns: Columns, group: Group, ts: NDArray[np.float64]) -> list[tuple[int, Form, bool]]:
    """
    Return (offset, form, whether little-endian) of what may be times of a group's proposing messages.

    Args:
        ts: the time of each message; zero where none is known: then of plausible years, near each other.
    """
    rows, view = group.proposing, columns.sample.view
    if len(rows) < 4:
        return []
    limit = len(rows) * 3 // 10
    places = min(FRONT, max(int(np.quantile(view.lengths[rows], 0.2, method="lower")) - 3, 0))
    passed = _times(columns.front, view.lengths, ts, rows, _WIDTHS, _EPOCHS, _RATES, _DOS, _NEAR, limit, places)
    return [(int(start), FORMS[index], bool(little)) for start, index, little in np.argwhere(passed)]


def distance_from_clock(values: NDArray[np.uint64], ts: NDArray[np.float64], form: Form) -> int:
    """Return how many times four seconds the times usually lie from the capture's: it tells TAI from UTC."""
    known = ~no_clock(ts) & (values != 0)
    if form.name not in ("unix_s", "tai") or not known.any():
        return int(form.name == "tai")
    return usual_distance(values[known], ts[known], form)


def usual_distance(values: NDArray[np.uint64], ts: NDArray[np.float64], form: Form) -> int:
    """Return how many times four seconds numbers in this form usually lie from the capture's times."""
    return int(np.median(np.abs(seconds_of(values, form) - ts)) // 4)


def _follows(columns: Columns, rows: NDArray[np.int64], values: NDArray[np.uint64]) -> bool:
    """Return whether values rise with the messages' numbers in their capture, where these are all that tells order."""
    view = columns.sample.view
    if not no_clock(view.ts[rows]).any():
        return True
    order = np.lexsort((view.number[rows], view.source[rows]))
    ordered = values[order][values[order] != 0]
    rising = ordered[1:] >= ordered[:-1]
    return len(rising) >= 8 and float(rising.mean()) >= 0.8


def _mostly(columns: Columns, holds: NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the types of whose proposing messages most hold."""
    chosen = ~columns.sample.held_out & (columns.type_of_row >= 0)
    trials = np.bincount(columns.type_of_row[chosen], minlength=columns.n_types)
    support = np.bincount(columns.type_of_row[chosen & holds], minlength=columns.n_types)
    return tuple(int(t) for t in np.flatnonzero((support > 0) & (support >= (1 - WRONG_CLOCKS) * trials)))


def _finding(columns: Columns, start: int, form: Form, little: bool) -> Finding | None:
    view = columns.sample.view
    values = numbers(columns.front, start, form.width, little)
    holds = near_times(values, view.ts, form) & (view.lengths >= start + form.width)
    types = _mostly(columns, holds & (values != 0))
    statement = f"{form.name} at {start}, {'little' if little else 'big'}-endian"
    evidence = evidence_of(columns, holds, types, _DETECTOR, statement)
    held = evidence.held_out_trials
    wrong = violation_lower_bound(held - evidence.held_out_support, held, columns.settings.confidence)
    if not types or wrong > WRONG_CLOCKS:
        return None
    # A constant and a counter pass for a time in one type; the types together show that the "high bytes" are a key.
    together = np.flatnonzero(np.isin(columns.type_of_row, types) & ~columns.sample.held_out)
    if not _follows(columns, together, values[together]):
        return None
    strict = stands(evidence, columns.settings)
    constraint = Timestamp(form=form.name) if strict else None
    if not strict:  # a meaning of most messages
        evidence = evidence.model_copy(update={"epsilon": quantise(WRONG_CLOCKS)})
    return Finding(types, start, form.width, "timestamp", constraint, "little" if little else "big", evidence)
