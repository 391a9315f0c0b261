"""The basic level: whether a message is as long, and begins or ends, as the framing of its stream says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..batch import MessageView
from ..parser.arrays import frozen
from ..parser.gather import copy_numbers
from ..parser.numbers import UINT
from ..spec import DelimiterFraming, FixedFraming, Framing, LengthFraming

FAR = 1 << 45  # longer than any message, short enough to be scaled


def misframed(view: MessageView, framing: Framing) -> tuple[NDArray[np.bool_], str]:
    """Return which messages (bool) are not framed as said, and the end of the sentence that says so."""
    if isinstance(framing, LengthFraming):
        return ~_says_its_length(view, framing), "does not hold its own length"
    if isinstance(framing, DelimiterFraming):
        return ~_ends_with(view, framing.delimiter), f"does not end with 0x{framing.delimiter.hex()}"
    if isinstance(framing, FixedFraming):
        return view.lengths != framing.size, f"has not {framing.size} bytes"
    return np.zeros(len(view), np.bool_), ""


def _says_its_length(view: MessageView, framing: LengthFraming) -> NDArray[np.bool_]:
    whole = np.flatnonzero(view.lengths >= framing.offset + framing.width)
    values, read = np.zeros(8 * len(view), np.uint8), np.zeros(len(view), np.bool_)
    copy_numbers(
        frozen(view.data), view.starts[whole] + framing.offset, np.full(len(whole), framing.width), whole,
        UINT, framing.endianness == "little", 8, values, read,
    )  # fmt: skip
    told = np.minimum(values.view("<u8"), FAR).astype(np.int64) * framing.scale + framing.bias
    holds: NDArray[np.bool_] = read & (told == view.lengths)
    return holds & _begins_with(view, framing.magic)


def _begins_with(view: MessageView, magic: bytes) -> NDArray[np.bool_]:
    front, exists = view.front(len(magic))
    return np.asarray((exists & (front == np.frombuffer(magic, np.uint8))).all(axis=1))


def _ends_with(view: MessageView, delimiter: bytes) -> NDArray[np.bool_]:
    back, exists = view.back(len(delimiter))
    return np.asarray((exists & (back == np.frombuffer(delimiter, np.uint8))).all(axis=1))
