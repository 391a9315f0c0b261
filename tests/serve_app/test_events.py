"""The events of a discovery: each id says all that was told up to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from qbitel.cluster.catalog import DONE, RUNNING, Job
from qbitel.serve_app.events import Told, news
from qbitel.serve_app.problems import ProblemError


def job(status: str, finished: int, stages: list[tuple[str, float]], results: int = 0, attempts: int = 1) -> Job:
    """Return a discovery of two protocols as the catalog has it."""
    now, names = datetime.now(UTC), ("statistics", "types", "fields")
    shown = [{"name": name, "status": s, "fraction": f} for name, (s, f) in zip(names, stages, strict=True)]
    progress = {"protocol": f"p{finished}", "protocols": 2, "finished": finished, "stages": shown}
    found: list[dict[str, Any]] = [
        {"protocol": f"p{n}", "id": str(n), "digest": "", "partial": [], "notes": []} for n in range(results)
    ]
    return Job("j", status, now, now, False, attempts, {}, progress, found, [], None)


HISTORY = [
    job(RUNNING, 0, [("running", 0.5), ("waiting", 0), ("waiting", 0)]),
    job(RUNNING, 0, [("ok", 1), ("running", 0.25), ("waiting", 0)]),
    job(RUNNING, 0, [("ok", 1), ("ok", 1), ("ok", 1)], results=1),
    job(RUNNING, 1, [("running", 0.5), ("waiting", 0), ("waiting", 0)], results=1),
    job(DONE, 2, [("ok", 1), ("ok", 1), ("ok", 1)], results=2),
]


def told_by(history: list[Job], last_event_id: str = "") -> list[tuple[str, str]]:
    """Return (id, event with its data) of all that a client is told that sees a discovery at these moments."""
    told = Told.parse(last_event_id) if last_event_id else Told()
    found = []
    for each in history:
        told, lines = news(told, each)
        found += [line.decode().split("\n", 1) for line in lines]
    return [(first.removeprefix("id: "), rest) for first, rest in found]


def test_whoever_comes_back_is_told_what_was_missed_and_nothing_twice() -> None:
    """After any event, at any later moment, the rest of a history ends as it does for one who stayed."""
    everything = told_by(HISTORY)
    assert [rest.split("\n")[0] for _, rest in everything][-2:] == ["event: result", "event: end"]
    for at, (last, _) in enumerate(everything[:-1]):
        again = told_by(HISTORY[-1:], last)
        assert set(again[-1:]) == set(everything[-1:])
        assert not {rest for _, rest in everything[: at + 1] if "result" in rest} & {rest for _, rest in again}
    assert told_by(HISTORY[-1:], everything[-1][0]) == everything[-1:]


def test_second_attempt_begins_anew() -> None:
    """Where a worker was lost, what the first attempt told is told again behind a ``begin``."""
    first = told_by(HISTORY[:3])
    again = told_by([job(RUNNING, 0, [("ok", 1), ("waiting", 0), ("waiting", 0)], attempts=2)], first[-1][0])
    assert [rest.split("\n")[0] for _, rest in again] == ["event: begin", "event: stage"]
    assert json.loads(again[0][1].split("data: ")[1]) == {"attempt": 2}


@pytest.mark.parametrize("given", ["x", "1-2", "1-2-3-", "1-0-0-o10000", "1-0-0-OO"])
def test_what_is_no_id_is_refused(given: str) -> None:
    """An id that this service cannot have given is a problem."""
    with pytest.raises(ProblemError):
        Told.parse(given)


def test_a_broken_stream_goes_on_behind_its_last_event(client: httpx.Client, discovered: dict[str, Any]) -> None:
    """Over HTTP, with the header that browsers send, only what comes behind the event is told."""
    address = discovered["links"]["events"]
    blocks = [block for block in client.get(address).text.split("\n\n") if block]
    ids = [block.split("\n")[0].removeprefix("id: ") for block in blocks]
    rest = client.get(address, headers={"Last-Event-ID": ids[2]}).text
    assert [block for block in rest.split("\n\n") if block] == blocks[3:]
    refused = client.get(address, headers={"Last-Event-ID": "nonsense"})
    assert (refused.status_code, refused.json()["code"]) == (400, "event-id")
