"""What a message may cost, and the ways in which one can fail to fit its type."""

from __future__ import annotations

from dataclasses import dataclass

OK, UNKNOWN, NO_FIT, MISSING, NO_DELIMITER, NO_RUN, BAD_COUNT, READS_NOTHING = range(8)
TOO_DEEP, TOO_MANY, LEFT_OVER, TOO_MUCH, TOO_LONG = range(8, 13)

REASONS = (
    "",
    "the message matches no type",
    "{name} does not fit",
    "the field that {name} depends on was not read",
    "no delimiter ends {name}",
    "{name} is empty",
    "{name} has a count out of bounds",
    "an item of {name} reads nothing",
    "nested too deeply at {name}",
    "too many fields",
    "bytes left over",
    "too many steps",
    "the message is longer than is read",
)


@dataclass(frozen=True)
class Limits:
    """
    Bounds per message, so that hostile specifications and messages end.

    Attributes:
        depth: regions, items and cases inside each other.
        leaves: fields that are read, empty ones included.
        steps: instructions of the parser.
        message_bytes: longer messages are one unparsed leaf.
    """

    depth: int = 128
    leaves: int = 65536
    steps: int = 1 << 20
    message_bytes: int = 1 << 24


def reason(status: int, name: str) -> str:
    """Return the sentence for a status and the name of the element it arose at; empty where all is well."""
    return REASONS[status].format(name=name or "an element")
