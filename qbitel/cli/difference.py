"""``qbitel diff``: what changed, by meaning, between two specifications."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from pathlib import Path

import click

from ..discovery.spec import ProtocolSpec
from ..discovery.spec.diff import diff
from ..results import open_results
from . import EXIT_NO
from .console import out, print_json
from .places import needs_extra, open_state

_VERSION = re.compile(r"(?P<stream>[^/\\@]+)(?:@(?P<number>\d{1,9}))?\Z")


@click.command("diff")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--state", metavar="URI", help="A and B are versions of streams there: STREAM@NUMBER, or the newest.")
@click.option("--protocol", help="Which protocol, where a result folder holds several.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def diff_command(before: str, after: str, state: str | None, protocol: str | None, as_json: bool) -> None:
    """
    Say what changed from A to B: types, guards, fields, constraints and values, not counts and evidence.

    A and B are folders that qbitel discover wrote, or with --state versions of a stream. Exit code 0 where nothing
    changed, 1 where something did.
    """
    old, new = (_specification(each, state, protocol) for each in (before, after))
    changes = diff(old, new)
    if as_json:
        ends = [{"protocol": spec.protocol, "id": spec.id, "version": spec.version} for spec in (old, new)]
        print_json({"before": ends[0], "after": ends[1], "changes": [asdict(change) for change in changes]})
    for change in changes if not as_json else ():
        out.print(str(change), highlight=False, soft_wrap=True)
    if changes:
        sys.exit(EXIT_NO)


def _specification(place: str, state: str | None, protocol: str | None) -> ProtocolSpec:
    return open_results(Path(place), protocol).spec if state is None else _version(place, state)


@needs_extra("cluster")
def _version(place: str, state: str) -> ProtocolSpec:
    from ..actors.versions import specification_of
    from ..cluster.catalog import Catalog
    from ..cluster.versions import Versions

    found = _VERSION.match(place)
    if found is None:
        raise click.UsageError(f"'{place}' is no STREAM@NUMBER")
    there = open_state(state)
    engine = there.engine
    number = int(found["number"]) if found["number"] else None
    version = Versions(engine).one(found["stream"], number)
    catalog = Catalog(engine, there.manifest.stream(found["stream"]).tenant)
    spec: ProtocolSpec = specification_of(catalog, found["stream"], version)
    return spec
