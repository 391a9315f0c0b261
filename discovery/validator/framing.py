"""The basic level: whether a message is as long, and begins or ends, as the framing of its stream says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..batch import SERVER_TO_CLIENT, MessageView
from ..framing.sizes import Rule, rule_of, sizes_of
from ..parser.arrays import frozen
from ..spec import DelimiterFraming, DirectedFraming, FixedFraming, Framing, HeaderFraming, LengthFraming

FAR = 1 << 45  # longer than any message, short enough to be scaled


def misframed(view: MessageView, framing: Framing) -> tuple[NDArray[np.bool_], str]:
    """Return which messages (bool) are not framed as said, and the end of the sentence that says so."""
    if isinstance(framing, DirectedFraming):
        server = view.direction == SERVER_TO_CLIENT
        client_broken, how = misframed(view, framing.client_to_server)
        server_broken, other = misframed(view, framing.server_to_client)
        told = f"{how or 'is framed'} from the client, or {other or 'is framed'} from the server"
        return np.where(server, server_broken, client_broken), told
    if isinstance(framing, (LengthFraming, HeaderFraming)):
        return ~_says_its_length(view, rule_of(framing)), "does not hold its own length"
    if isinstance(framing, DelimiterFraming):
        return ~_ends_with(view, framing.delimiter), f"does not end with 0x{framing.delimiter.hex()}"
    if isinstance(framing, FixedFraming):
        return view.lengths != framing.size, f"has not {framing.size} bytes"
    return np.zeros(len(view), np.bool_), ""


def _says_its_length(view: MessageView, rule: Rule) -> NDArray[np.bool_]:
    told = sizes_of(frozen(view.data), view.starts, view.lengths, rule)
    return np.asarray((told == view.lengths) & _begins_with(view, rule.magic.tobytes()))


def _begins_with(view: MessageView, magic: bytes) -> NDArray[np.bool_]:
    front, exists = view.front(len(magic))
    return np.asarray((exists & (front == np.frombuffer(magic, np.uint8))).all(axis=1))


def _ends_with(view: MessageView, delimiter: bytes) -> NDArray[np.bool_]:
    back, exists = view.back(len(delimiter))
    return np.asarray((exists & (back == np.frombuffer(delimiter, np.uint8))).all(axis=1))
