"""``qbitel shards list`` and ``redirect``: what each virtual shard takes, and where the flows of a hot one go next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from .console import out, print_json
from .places import needs_extra, open_state

if TYPE_CHECKING:
    from ..cluster.entries import Entry
    from ..cluster.manifest import Manifest, Stream
    from ..cluster.state import State

_COLUMNS = (
    "stream", "shard", "epoch", "owner", "segments", "messages", "lately", "hot", "bytes", "position", "snapshot",
    "damaged", "erased", "goes to",
)  # fmt: skip
_WINDOW = click.option(
    "--window", default="1h", show_default=True,
    help="What counts as lately: up to the newest message (15m, 1h, 7d), or all.",
)  # fmt: skip


@click.command("list")
@click.argument("state", metavar="URI")
@click.option("--stream", help="Only this stream.")
@_WINDOW
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@needs_extra("cluster")
def list_command(state: str, stream: str | None, window: str, as_json: bool) -> None:
    """
    List the virtual shards of the streams at URI: who holds them, and what their journals hold.

    A shard is hot where lately it took more than four times what the shards of its stream take on average.
    """
    there = open_state(state)
    streams = there.manifest.streams() if stream is None else [there.manifest.stream(stream)]
    rows = [row for each in streams for row in _rows(there, each, window)]
    if as_json:
        print_json(rows)
        return
    table = Table(*_COLUMNS, box=None)
    for row in rows:
        table.add_row(*(_shown(row[name]) for name in _COLUMNS))
    out.print(table)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "hot" if value else ""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def _rows(state: State, stream: Stream, window: str) -> list[dict[str, Any]]:
    from ..cluster.load import hot
    from ..cluster.redirects import in_force

    manifest = state.manifest
    entries = _entries(manifest, stream)
    loads = _loads(state, stream, window, entries)
    busy, to = hot(loads), in_force(manifest.redirects(stream.name))
    rows = []
    for lease in manifest.leases(stream.name):
        own, snapshot = entries[lease.shard], manifest.snapshot(stream.name, lease.shard)
        rows.append(
            {
                "stream": stream.name, "shard": lease.shard, "epoch": lease.epoch, "owner": lease.owner,
                "segments": sum(bool(entry.path) for entry in own),
                "messages": sum(entry.messages for entry in own),
                "lately": loads[lease.shard], "hot": lease.shard in busy,
                "bytes": sum(entry.size for entry in own), "position": lease.last,
                "snapshot": snapshot.position if snapshot else None,
                "damaged": sum(bool(entry.damaged) for entry in own),
                "erased": sum(entry.erased for entry in own),
                "goes to": list(to[lease.shard]) if lease.shard in to else None,
            }
        )  # fmt: skip
    return rows


def _entries(manifest: Manifest, stream: Stream) -> dict[int, list[Entry]]:
    return {shard: manifest.entries(stream.name, shard) for shard in range(stream.shards)}


def _loads(state: State, stream: Stream, window: str, entries: dict[int, list[Entry]]) -> dict[int, int]:
    from ..actors.windows import lately
    from ..cluster.load import taken

    span = lately(state, stream, window)
    return {shard: taken(own, span) for shard, own in entries.items()}


@click.command("redirect")
@click.argument("state", metavar="URI")
@click.argument("stream")
@click.argument("shard", type=click.IntRange(0))
@click.option("--to", metavar="SHARD,SHARD…", help="The virtual shards that take over; SHARD may be one of them.")
@click.option(
    "--over", type=click.IntRange(2, 256), metavar="N",
    help="Spread over so many: SHARD and those that take least, with other holders where there are any.",
)  # fmt: skip
@_WINDOW
@needs_extra("cluster")
def redirect_command(state: str, stream: str, shard: int, to: str | None, over: int | None, window: str) -> None:
    """
    Let other virtual shards take what the hash range of SHARD of STREAM takes, from the next batch on.

    The range is cut into equal parts by the flows' hash. What is in SHARD stays there, and statistics are never
    divided: digest and specification are those that they would be. Senders go on meanwhile, and nothing is lost or
    doubled. ``--to SHARD`` alone takes a redirect back.
    """
    from ..cluster.load import takers
    from ..cluster.redirects import Redirect

    if (to is None) == (over is None):
        raise click.UsageError("name either --to or --over")
    there = open_state(state)
    known = there.manifest.stream(stream)
    if to is not None:
        chosen = _named(to)
    else:
        loads = _loads(there, known, window, _entries(there.manifest, known))
        chosen = takers(loads, there.placements.of(stream), shard, over or 0)
    number = there.manifest.redirect(stream, Redirect(shard, chosen))
    shown = ", ".join(map(str, chosen))
    out.print(f"{stream}/{shard}: batches go to {shown} from now on (redirect {number})", highlight=False)


def _named(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError:
        raise click.BadParameter("numbers of virtual shards, with commas between", param_hint="--to") from None
