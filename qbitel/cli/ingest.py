"""``qbitel ingest``: captures into a stream, each message once."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from threading import Event
from typing import TYPE_CHECKING

import click

from . import EXIT_INPUT
from .console import byte_progress, out, print_json
from .places import needs_extra, open_manifest, open_state, open_storage, owner_here
from .shards import open_fleet

if TYPE_CHECKING:
    from ..actors.bulk import Bulk
    from ..actors.feed import Taker
    from ..actors.ingest import Ingested
    from ..cluster.manifest import Stream


@click.command("ingest")
@click.argument("sources", metavar="INPUT...", nargs=-1, required=True)
@click.option("--stream", required=True, help="Name of the stream: letters, digits, '.', '_' and '-'.")
@click.option("--state", required=True, metavar="URI", help="Where journals lie: a folder, or any URI of fsspec.")
@click.option("--port", type=click.IntRange(0, 65535), help="Read only flows with this UDP or TCP port.")
@click.option("--protocol", help="Which protocol, where an input holds several.")
@click.option(
    "--shards", type=click.IntRange(1, 4096), default=64, show_default=True,
    help="Virtual shards of a new stream, fixed for its life.",
)  # fmt: skip
@click.option("--tenant", default="", help="Whose the stream is; one tenant's streams can be erased together.")
@click.option(
    "--support", type=click.IntRange(1), default=1, show_default=True,
    help="Of a new stream: a value is shown where at least so many messages have it.",
)  # fmt: skip
@click.option(
    "--statistics-only", is_flag=True,
    help="Of a new stream: keep statistics and a small sample of the messages, not the messages.",
)  # fmt: skip
@click.option(
    "--sample-share", type=click.FloatRange(0, 1, min_open=True), default=0.01, show_default=True,
    help="With --statistics-only: of distinct messages and of flows, kept as the sample.",
)  # fmt: skip
@click.option("--hashed", is_flag=True, help="Of a new stream: values are shown as hashes under the tenant's key.")
@click.option(
    "--ray", "address", metavar="ADDRESS",
    help="A running Ray cluster whose actors hold the shards ('auto': the one here); without, this process does.",
)  # fmt: skip
@click.option(
    "--on", metavar="ADDRESS",
    help="A running Ray cluster that reads inputs of more than 256 MiB; 'local' or none: one of its own.",
)  # fmt: skip
@click.option(
    "--follow", is_flag=True,
    help="Go on until interrupted. INPUT is one file or folder that is being written (pcap, pcapng), or "
    "pcap+tcp://HOST:PORT, frames+tcp://HOST:PORT (each message behind a length of four bytes, big-endian), "
    "udp://HOST:PORT (listens), or '-': JSON lines on standard input.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@needs_extra("cluster")
def ingest_command(
    sources: tuple[str, ...], stream: str, state: str, port: int | None, protocol: str | None, shards: int,
    tenant: str, support: int, statistics_only: bool, sample_share: float, hashed: bool, address: str | None,
    on: str | None, follow: bool, as_json: bool,
) -> None:  # fmt: skip
    """
    Add the messages of captures to a stream, each once, however often this is run.

    INPUT is a file, or a folder or prefix (s3://caps/) whose files one capture was rotated into: they are read in the
    natural order of their names, and a flow that crosses them is one flow. What was acknowledged survives the loss of
    this process and of the machine's power. A file that cannot be read is put on the stream's list of dead letters and
    does not stop the others; the exit code is 3 then.
    """
    from ..actors.bulk import Bulk
    from ..actors.feed import StreamFeed
    from ..cluster.dead_letters import note_dead_letters
    from ..cluster.privacy import StreamPrivacy

    with _taker(state, address) as taker:
        privacy = StreamPrivacy(
            support=support, hashed=hashed, statistics_only=statistics_only, sample_share=sample_share
        )
        feed = StreamFeed(open_manifest(state, create=True), stream, taker, shards, tenant, privacy)
        bulk = Bulk(feed, port, protocol, on)
        dropped = _follow(bulk, sources, state, stream) if follow else None
        for source in sources if not follow else ():
            done = bulk.add(source, byte_progress)
            if done is not None and not as_json:
                _tell_added(source, done)
        reports, digest = bulk.feed.reports, bulk.feed.close()
    note_dead_letters(open_storage(state), stream, bulk.tried, bulk.dead)
    if dropped is not None and not as_json:
        _tell_added(sources[0], bulk.feed.done, f", {dropped} dropped")
    _tell(stream, bulk, digest, reports, dropped if as_json else None, as_json)


def _follow(bulk: Bulk, sources: tuple[str, ...], state: str, stream: str) -> int:
    """Feed what goes on until it ends or this process is told to; return how many messages were dropped."""
    from ..actors.follow import feed_followed, follow
    from ..discovery.capture_set import Asked

    if len(sources) != 1:
        raise click.UsageError("--follow takes one INPUT")
    stop = Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        asked = Asked(bulk.port, bulk.protocol, bulk.feed.framing)
        followed = follow(sources[0], asked, open_storage(state), stream, stop)
        feed_followed(bulk.feed, followed)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for warning in followed.warnings:
        click.echo(f"qbitel: {warning}", err=True)
    return followed.dropped


def _tell_added(source: str, done: Ingested, more: str = "") -> None:
    known = f", {done.known} were there before" if done.known else ""
    out.print(f"{source}: {done.messages} messages added{known}{more}", highlight=False, soft_wrap=True)


def _tell(stream: str, bulk: Bulk, digest: str | None, reports: list[str], dropped: int | None, as_json: bool) -> None:
    done = bulk.feed.done
    if as_json:
        live = {} if dropped is None else {"dropped": dropped}
        failed = [asdict(each) for each in bulk.dead]
        print_json({"stream": stream, **asdict(done), "digest": digest, "failed": failed, **live})
    elif digest:
        out.print(f"digest {digest}", highlight=False, soft_wrap=True)
    for reason in (*reports, *done.refused, *(each.reason for each in bulk.dead)):
        click.echo(f"qbitel: {reason}", err=True)
    if bulk.dead or done.refused:
        sys.exit(EXIT_INPUT)


@contextmanager
def _taker(state: str, address: str | None) -> Iterator[Callable[[Stream], Taker]]:
    """Give what opens a stream: in this process, or on a Ray cluster."""
    from ..actors.feed import NodeTaker

    if address is None:
        yield lambda stream: NodeTaker(open_state(state), stream, owner_here())
        return
    with open_fleet(state, address, create=True) as fleet:
        from ..actors.fleet_feed import FleetTaker

        yield lambda stream: FleetTaker(fleet, stream)
