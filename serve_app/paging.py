"""Pages of lists: a cursor says behind what the next page goes on, so any process can answer with it."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, TypeVar

from fastapi import Query

from ..cluster.catalog import SpecificationEntry
from ..cluster.lists import JobEntry, Mark, mark_of
from .problems import Fault, ProblemError

Entry = TypeVar("Entry", bound=JobEntry | SpecificationEntry)

Limit = Annotated[int, Query(ge=1, le=1000, description="most entries of a page")]
After = Annotated[
    str | None, Query(max_length=256, description="`next` of the page before, to go on behind it; none for the first")
]


def cursor_of(mark: Mark) -> str:
    """Return a place in a list as text that a client hands back."""
    return urlsafe_b64encode(json.dumps([mark.at.isoformat(), mark.id]).encode()).decode()


def mark_from(cursor: str | None) -> Mark | None:
    """
    Return the place that a client hands back.

    Raises:
        ProblemError: 400, it is none that this service gave.
    """
    if cursor is None:
        return None
    try:
        at, last = json.loads(urlsafe_b64decode(cursor.encode("ascii")))
        mark = Mark(datetime.fromisoformat(at), last)
        if mark.at.tzinfo is None or not isinstance(last, str):
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        fault = Fault(where="query.after", what="not a cursor")
        hint = "send `next` of the page before as it is"
        raise ProblemError(400, "query.after: not a cursor", code="cursor", hint=hint, faults=[fault]) from None
    return mark


def page_of(entries: Sequence[Entry], limit: int) -> tuple[Sequence[Entry], str | None]:
    """Return so many entries, and the cursor of the next page where there are more."""
    shown = entries[:limit]
    return shown, cursor_of(mark_of(shown[-1])) if len(entries) > limit else None
