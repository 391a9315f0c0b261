"""``qbitel shards erase`` and ``retain``: what leaves a stream for good, at once or when it is old."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ..discovery.errors import InputError
from . import EXIT_NO
from .console import out, print_json
from .places import needs_extra, open_state, owner_here

if TYPE_CHECKING:
    from ..actors.erasure import Erased, Eraser
    from ..cluster.buckets import Span
    from ..cluster.manifest import Stream
    from ..cluster.state import State

_DAY_S = 86_400
_RAY = click.option(
    "--ray", "address", metavar="ADDRESS",
    help="A running Ray cluster whose actors hold the shards ('auto': the one here): they forget what they have in "
    "memory at once; without, this process takes the shards over that are concerned.",
)  # fmt: skip
_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")


@click.command("erase")
@click.argument("state", metavar="URI")
@click.argument("stream", required=False)
@click.option("--tenant", help="All streams of this tenant.")
@click.option("--since", type=click.DateTime(), help="UTC; only messages sent from then on.")
@click.option("--until", type=click.DateTime(), help="UTC; only messages sent before.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_RAY
@_JSON
@needs_extra("cluster")
def erase_command(
    state: str, stream: str | None, tenant: str | None, since: datetime | None, until: datetime | None, yes: bool,
    address: str | None, as_json: bool,
) -> None:  # fmt: skip
    """
    Erase messages of STREAM from journal, samples and snapshots, with the specifications found in it.

    Times are those of the captures, in whole buckets of five minutes; without them all messages go. The stream stays,
    and so do the keys of batches: what was erased is not added again by a late retry. Exit code 1 where a segment
    cannot be read, so that nobody knows whether it holds such messages.
    """
    from ..cluster.buckets import Span

    there = open_state(state)
    chosen = _chosen(there, stream, tenant)
    whole = since is None and until is None
    span = Span.everything() if whole else Span.between(_seconds(since), _seconds(until))
    names = ", ".join(each.name for each in chosen)
    if not yes:
        click.confirm(f"Erase {'all messages' if whole else 'messages'} of {names}?", abort=True, err=True)
    with _eraser(there, state, address) as eraser:
        _run(there, [(each, span) for each in chosen], eraser, as_json=as_json)


@click.command("retain")
@click.argument("state", metavar="URI")
@click.argument("stream", required=False)
@click.option("--days", type=click.FloatRange(0, min_open=True), help="Keep messages of STREAM so long from now on.")
@click.option("--for-ever", "for_ever", is_flag=True, help="Keep messages of STREAM for ever from now on.")
@click.option("--now", type=click.DateTime(), help="UTC; act as if it were then.")
@_RAY
@_JSON
@needs_extra("cluster")
def retain_command(
    state: str, stream: str | None, days: float | None, for_ever: bool, now: datetime | None, address: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """
    Say how long STREAM keeps messages; without --days and --for-ever, erase what the streams at URI do not keep.

    The second form is for a timer, for instance once an hour. Messages without a time are kept, and counted.
    """
    from ..actors.erasure import outdated

    there = open_state(state)
    if days is not None or for_ever:
        _keep(there, stream, days, for_ever=for_ever)
        return
    moment = (now or datetime.now(UTC)).replace(tzinfo=UTC).timestamp()
    due = [(each, span) for each in _chosen(there, stream, None, all_of_them=True) if (span := outdated(each, moment))]
    with _eraser(there, state, address) as eraser:
        _run(there, due, eraser, as_json=as_json)


def _keep(state: State, stream: str | None, days: float | None, *, for_ever: bool) -> None:
    if stream is None or (for_ever and days is not None):
        raise click.UsageError("name one STREAM, and either --days or --for-ever")
    state.manifest.keep(stream, None if days is None else round(days * _DAY_S))
    out.print(f"{stream}: kept {'for ever' if days is None else f'{days:g} days'}", highlight=False)


def _chosen(state: State, stream: str | None, tenant: str | None, *, all_of_them: bool = False) -> list[Stream]:
    """Return one stream, or those of a tenant."""
    if stream is not None and tenant is None:
        return [state.manifest.stream(stream)]
    if stream is not None or (tenant is None and not all_of_them):
        raise click.UsageError("name either STREAM or --tenant")
    found = [each for each in state.manifest.streams() if tenant in (None, each.tenant)]
    if not found and not all_of_them:
        raise InputError("no stream of this tenant", where=str(tenant), hint="qbitel ingest --tenant makes one")
    return found


@contextmanager
def _eraser(state: State, uri: str, address: str | None) -> Iterator[Eraser]:
    from ..actors.erasure import eraser_here
    from .shards import open_fleet

    if address is None:
        yield eraser_here(state, owner_here(), lambda problem: click.echo(f"qbitel: {problem}", err=True))
        return
    with open_fleet(uri, address) as fleet:
        yield fleet.erase


def _run(state: State, due: list[tuple[Stream, Span]], eraser: Eraser, *, as_json: bool) -> None:
    from ..actors.erasure import erase

    done: list[Erased] = []
    for stream, span in due:
        done.append(erase(state, stream, span, eraser))
        if not as_json:
            out.print(_told(done[-1]), highlight=False, soft_wrap=True)
        for path in done[-1].unread:
            click.echo(f"qbitel: {path}: cannot be read, and may hold messages of that time", err=True)
    if as_json:
        print_json([asdict(each) for each in done])
    if any(each.unread for each in done):
        sys.exit(EXIT_NO)


def _told(erased: Erased) -> str:
    deleted = erased.segments - erased.rewritten
    parts = [
        f"{erased.messages} messages erased",
        f"{deleted} segments deleted",
        f"{erased.rewritten} written anew",
        f"{erased.bytes} bytes less",
        f"{len(erased.specifications)} specifications deleted",
    ]
    untimed = f"; {erased.untimed} messages without a time stay" if erased.untimed else ""
    return f"{erased.stream}: {', '.join(parts)}{untimed}"


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.replace(tzinfo=UTC).timestamp()
