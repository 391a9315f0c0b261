"""``qbitel shards``: who holds the shards of streams, and what their journals hold."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from . import EXIT_NO
from .console import out, print_json
from .erasure import erase_command, retain_command
from .places import needs_extra, open_manifest, open_state, open_storage, owner_here
from .ranges import list_command, redirect_command

if TYPE_CHECKING:
    from ..actors.fleet import Fleet
    from ..cluster.manifest import Manifest, Stream
    from ..cluster.verify import Verification
    from ..discovery.analyst import AnalystLabels
    from ..discovery.orchestrator import DiscoveryResult
    from ..discovery.stages import Progress


def discover_stream(
    name: str, state: str, address: str | None, progress: Progress, key_file: Path | None, window: str,
    labels: Mapping[str, AnalystLabels],
) -> DiscoveryResult:  # fmt: skip
    """
    Return the specification of a window of a stream, which is kept as a version.

    It is read from the journal here, or by the actors of a Ray cluster.

    Args:
        labels: what an analyst said of messages, by protocol.
    """
    from ..actors.discovery import Watch, known_of
    from ..actors.streams import Streams
    from ..cluster.privacy import read_hash_key

    key, watch = read_hash_key(key_file), Watch(progress, clock=perf_counter)
    with nullcontext() if address is None else open_fleet(state, address):
        streams = Streams(open_state(state), owner_here())
        protocol = known_of(streams.stream(name)).protocol
        return streams.discover(name, window, watch, key, labels.get(protocol))


@click.group("shards")
def shards_command() -> None:
    """List, move, redirect, verify and erase the shards of streams."""


shards_command.add_command(list_command)
shards_command.add_command(redirect_command)
shards_command.add_command(erase_command)
shards_command.add_command(retain_command)


@shards_command.command("verify")
@click.argument("state", metavar="URI")
@click.option("--stream", help="Only this stream.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@needs_extra("cluster")
def verify_command(state: str, stream: str | None, as_json: bool) -> None:
    """
    Read the journals at URI, check every checksum, and compute their digests anew.

    Exit code 1 where an object is missing or damaged, or a snapshot does not hold what its journal says.
    """
    from ..cluster.verify import verify_stream

    storage, manifest = open_storage(state), open_manifest(state)
    found = [verify_stream(storage, manifest, each) for each in _streams(manifest, stream)]
    if as_json:
        print_json([{**asdict(each), "sound": each.sound} for each in found])
    for each in found if not as_json else ():
        out.print(_verified(each), highlight=False, soft_wrap=True)
        for problem in each.problems:
            click.echo(f"qbitel: {problem}", err=True)
    if not all(each.sound for each in found):
        sys.exit(EXIT_NO)


@shards_command.command("forget")
@click.argument("state", metavar="URI")
@click.argument("stream")
@click.option("--before", type=click.DateTime(), required=True, help="UTC; keys that senders made earlier.")
@needs_extra("cluster")
def forget_command(state: str, stream: str, before: datetime) -> None:
    """
    Forget the keys of old batches of STREAM, and refuse such keys from now on; the messages stay.

    Keys of captures carry no time and are kept. The horizon never falls.
    """
    wanted = int(before.replace(tzinfo=UTC).timestamp() * 1000)
    held = open_manifest(state).forget(stream, wanted)
    told = datetime.fromtimestamp(held / 1000, UTC).isoformat(timespec="milliseconds")
    out.print(f"{stream}: keys made before {told} are refused", highlight=False, soft_wrap=True)


def fleet_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--ray``, which says where the holders run."""
    option = click.option(
        "--ray", "address", envvar="QBITEL_RAY_ADDRESS", default="auto", show_default=True, metavar="ADDRESS",
        help="The running Ray cluster that holds the shards.",
    )  # fmt: skip
    return option(needs_extra("cluster")(command))


@contextmanager
def open_fleet(state: str, address: str, *, create: bool = False, **chosen: Any) -> Iterator[Fleet]:
    """
    Give the holders of the state at a URI.

    Raises:
        InputError: there is no such Ray.
    """
    from ..cluster.ray_start import ray_cluster
    from ..cluster.settings import ServiceSettings

    with ray_cluster(ServiceSettings(ray_address=address)) as connection:
        from ..actors.fleet import Fleet, FleetSettings

        yield Fleet(open_state(state, create=create), FleetSettings(**chosen), connection)


@shards_command.command("rescale")
@click.argument("state", metavar="URI")
@click.option("--holders", type=click.IntRange(1, 1024), required=True, help="Actors that shall hold the shards.")
@click.option("--cpus", type=click.FloatRange(0.01), default=0.25, show_default=True, help="Share of a core for each.")
@click.option("--memory", type=click.IntRange(256), default=768, show_default=True, help="MiB for each new one.")
@fleet_option
def rescale_command(state: str, holders: int, cpus: float, memory: int, address: str) -> None:
    """
    Start or end actors of a Ray cluster until so many hold the shards at URI, each as many as the others.

    They outlive this command. Senders go on meanwhile, and nothing that was acknowledged is lost or doubled.
    """
    from ..actors.holder import HolderLimits

    half = HolderLimits(memory=memory << 19)  # of statistics; the other half is for the process and its calls
    with open_fleet(state, address, create=True, cpus=cpus, memory=memory << 20, limits=half) as fleet:
        count = fleet.rescale(holders, _tell_move)
        out.print(f"{count} shards moved; holders: {', '.join(fleet.names())}", highlight=False, soft_wrap=True)


@shards_command.command("drain")
@click.argument("state", metavar="URI")
@click.argument("holder")
@fleet_option
def drain_command(state: str, holder: str, address: str) -> None:
    """Move all shards of HOLDER to the others, for instance before its machine is stopped."""
    with open_fleet(state, address) as fleet:
        out.print(f"{fleet.drain(holder, _tell_move)} shards moved", highlight=False)


@shards_command.command("move")
@click.argument("state", metavar="URI")
@click.argument("stream")
@click.argument("shard", type=click.IntRange(0))
@click.argument("holder")
@fleet_option
def move_command(state: str, stream: str, shard: int, holder: str, address: str) -> None:
    """Move one virtual SHARD of STREAM to HOLDER."""
    with open_fleet(state, address) as fleet:
        fleet.move(fleet.state.manifest.stream(stream), shard, holder)
    _tell_move(stream, shard, holder)


@shards_command.command("stop")
@click.argument("state", metavar="URI")
@fleet_option
def stop_command(state: str, address: str) -> None:
    """Give all shards at URI back and end the actors that hold them; the journals stay."""
    with open_fleet(state, address) as fleet:
        fleet.stop()


def _tell_move(stream: str, shard: int, holder: str) -> None:
    out.print(f"{stream}/{shard} is with {holder}", highlight=False)


def _verified(found: Verification) -> str:
    counts = f"{found.messages} messages, {found.segments} segments, {found.snapshots} snapshots"
    erased = f", {found.erased} messages erased" if found.erased else ""
    state = "sound" if found.sound else f"{len(found.problems)} problems"
    return f"{found.stream}: {state}, {counts}{erased}, {found.orphans} orphans\ndigest {found.digest}"


def _streams(manifest: Manifest, name: str | None) -> list[Stream]:
    return manifest.streams() if name is None else [manifest.stream(name)]
