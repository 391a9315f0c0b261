"""Server-sent events: lines in, events out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """
    Something that happened to a discovery.

    Attributes:
        id: hand it back as ``last_event_id`` to be told what came behind it. name: begin, stage, result or end.
    """

    id: str
    name: str
    data: dict[str, Any]


class EventReader:
    """Puts lines together to events."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def read(self, line: str) -> Event | None:
        """Take a line without its end, and return the event that it completes."""
        if line:
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        if "event" not in fields:
            return None  # a comment that kept the connection alive
        return Event(fields.get("id", ""), fields["event"], json.loads(fields.get("data", "{}")))
