"""What reading a capture may cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CaptureLimits:
    """
    Bounds on what comes from outside; what passes one raises LimitError or is left out with a warning.

    Attributes:
        input_bytes: size of the file or byte string (LimitError).
        expanded_bytes: bytes after decompression (LimitError).
        packets: packets or rows read of one input (the rest is left out with a warning).
        packet_bytes: captured length of one packet; a longer one means that the file is damaged from there on.
        pending_segments: TCP segments of one direction that wait for a missing one before it is given up for lost.
        warnings: lines of warnings of one kind that name their place; further ones are only counted.
    """

    input_bytes: int = 64 << 30
    expanded_bytes: int = 2 << 30
    packets: int = 64_000_000
    packet_bytes: int = 1 << 24
    pending_segments: int = 16384
    warnings: int = 8


DEFAULT_LIMITS = CaptureLimits()
