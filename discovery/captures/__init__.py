"""Reading captures: packets, reassembly, direction and grouping; tables and lines of messages."""

from .capture import Capture, Counters, ProtocolGroup, Transport
from .limits import DEFAULT_LIMITS, CaptureLimits
from .messages import messages_of, stream_messages
from .reader import FORMATS, read_capture

__all__ = [
    "DEFAULT_LIMITS",
    "FORMATS",
    "Capture",
    "CaptureLimits",
    "Counters",
    "ProtocolGroup",
    "Transport",
    "messages_of",
    "read_capture",
    "stream_messages",
]
