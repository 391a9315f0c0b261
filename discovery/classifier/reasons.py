"""Reasons: which facts about the messages the vote rests on, found by hiding one after the other from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .features import (
    AT_BACK,
    AT_KINDS,
    AT_LENGTHS,
    AT_LONG,
    AT_MARKS,
    AT_NIBBLES,
    AT_SIZE,
    AT_WORDS,
    BACK,
    FRONT,
    LENGTHS,
    LONG_LENGTHS,
    NEAR,
    NIBBLES,
    WORDS,
    bins_of,
)  # fmt: skip
from .inputs import ABSENT, Inputs
from .model import Model
from .result import Reason

READ = 8  # messages of a group that reasons are looked for in
LEAST = 0.05
HELD = 0.8  # share of the messages that a relation must hold for to be told

SPEAKS = ("is unknown", "is to the server", "is to the client")


@dataclass(frozen=True)
class _Fact:
    """What is hidden together: features, and the byte of the front where there is one."""

    features: tuple[int, ...]
    reason: Reason
    byte: int | None = None


def reasons_for(model: Model, inputs: Inputs, protocol: int, most: int) -> list[Reason]:
    """
    Return the facts that speak most for a class.

    A fact is hidden by putting in its place what each message of the model's background has there; its weight is by how
    much the mean of the logarithm of the class's odds falls.

    Args:
        inputs: of one group; the first ``READ`` messages are looked at.
    """
    inputs = inputs.take(slice(0, READ))
    facts = _facts(inputs)
    base = _log(model, inputs, 1, protocol)
    stand_ins = len(model.background)
    hidden = [_hide(inputs, model.background.take(slice(i, i + 1)), fact) for fact in facts for i in range(stand_ins)]
    logs = _log(model, _joined(hidden), len(hidden), protocol)
    falls = base - logs.reshape(len(facts), stand_ins).mean(axis=1)
    order = np.argsort(-falls, kind="stable")[:most]
    return [facts[i].reason.model_copy(update={"weight": round(float(falls[i]), 3)}) for i in order if falls[i] > LEAST]


def _log(model: Model, inputs: Inputs, groups: int, protocol: int) -> NDArray[np.float64]:
    starts = np.arange(groups, dtype=np.int64) * (len(inputs) // groups)
    found = model.probabilities(inputs, starts).astype(np.float64)
    rest = np.delete(found, protocol, axis=1).sum(axis=1)
    # Odds, since a probability near one hardly falls when one of many facts is hidden.
    made: NDArray[np.float64] = np.log(np.maximum(found[:, protocol], 1e-12)) - np.log(np.maximum(rest, 1e-12))
    return made


def _joined(parts: list[Inputs]) -> Inputs:
    features = np.concatenate([part.features for part in parts])
    return Inputs(np.concatenate([part.values for part in parts]), bins_of(features), features)


def _hide(inputs: Inputs, other: Inputs, fact: _Fact) -> Inputs:
    features, values = inputs.features.copy(), inputs.values
    columns = list(fact.features)
    features[:, columns] = other.features[:, columns]
    if fact.byte is not None:
        values = values.copy()
        values[:, fact.byte] = other.values[:, fact.byte]
    return Inputs(values, inputs.bins, features)  # bins are made anew where the parts are joined


def _facts(inputs: Inputs) -> list[_Fact]:
    features = inputs.features
    made = [_byte(inputs, at) for at in range(FRONT) if (inputs.values[:, at] != ABSENT).any()]
    made += [_last(features, at) for at in range(BACK) if (features[:, AT_BACK + at] >= 0).any()]
    made += [fact for at in range(AT_LENGTHS, AT_WORDS) if (fact := _relation(features[:, at], at)) is not None]
    return [*made, *_whole(features)]


def _whole(features: NDArray[np.int32]) -> list[_Fact]:
    """Return the facts about whole messages."""
    sizes = features[:, AT_SIZE]
    size = f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"
    made = [_Fact((AT_SIZE,), _reason("length", f"{size} bytes long"))]
    sides = sorted(set(features[:, AT_SIZE + 1].tolist()))
    if sides != [0]:
        text = SPEAKS[sides[0]] if len(sides) == 1 and sides[0] < 3 else "goes both ways"
        made.append(_Fact((AT_SIZE + 1,), _reason("direction", f"direction {text}")))
    kinds = (*range(AT_KINDS, AT_LENGTHS), *range(AT_MARKS, features.shape[1]))
    made.append(_Fact(kinds, _reason("bytes", _mixture(features))))
    return made


def _reason(kind: str, text: str, start: int | None = None, length: int | None = None) -> Reason:
    return Reason.model_validate({"kind": kind, "text": text, "start": start, "length": length, "weight": 0.0})


def _byte(inputs: Inputs, at: int) -> _Fact:
    features = [at]
    if at < 2 * WORDS:
        features.append(AT_WORDS + at // 2)
    if at < NIBBLES:
        features.append(AT_NIBBLES + at)
    return _Fact(tuple(features), _reason("byte", f"byte {at} {_values(inputs.values[:, at])}", at, 1), at)


def _last(features: NDArray[np.int32], at: int) -> _Fact:
    text = f"byte {-1 - at} (from the end) {_values(features[:, AT_BACK + at])}"
    return _Fact((AT_BACK + at,), _reason("byte", text, -1 - at, 1))


def _values(column: NDArray[np.integer]) -> str:
    there = column[(column >= 0) & (column != ABSENT)]
    values, counts = np.unique(there, return_counts=True)
    top = int(values[np.argmax(counts)])
    shown = f"0x{top:02x}" + (f" ({chr(top)!r})" if 32 < top < 127 else "")
    return f"is {shown} in {int(counts.max())} of {len(column)} messages"


def _relation(column: NDArray[np.int32], at: int) -> _Fact | None:
    """Return that a number tells the length of the message, where it does so in the same way in most messages."""
    values, counts = np.unique(column, return_counts=True)
    top = int(values[np.argmax(counts)])
    if abs(top) >= NEAR or counts.max() < HELD * len(column):
        return None
    index = at - AT_LENGTHS
    if at < AT_LONG:
        start, width, order = index // 3, 1 if index % 3 == 0 else 2, ("", " big-endian", " little-endian")[index % 3]
    else:
        start, width, order = (at - AT_LONG) // 2, 4, (" big-endian", " little-endian")[(at - AT_LONG) % 2]
    away = "" if top == 0 else f" {'+' if top > 0 else '-'} {abs(top)}"
    text = f"u{8 * width}{order} at {start} is the length{away} in {int(counts.max())} of {len(column)} messages"
    return _Fact((at,), _reason("length_field", text, start, width))


def _mixture(features: NDArray[np.int32]) -> str:
    shares = features[:, AT_KINDS : AT_KINDS + 7].mean(axis=0) / 2.55
    zero, high, text = shares[0], shares[6], shares[2:6].sum()
    return f"of the first bytes {text:.0f} % are text, {zero:.0f} % zero, {high:.0f} % 128 or above"


assert AT_LONG - AT_LENGTHS == 3 * LENGTHS and AT_WORDS - AT_LONG == 2 * LONG_LENGTHS
