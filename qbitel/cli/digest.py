"""``qbitel digest``: the statistics' digest and the specification's id, at any shard count and in any order."""

from __future__ import annotations

from pathlib import Path

import click

from ..api import digest_of
from .console import InputFile, out, print_json, warn


@click.command("digest")
@click.argument("source", metavar="INPUT", type=InputFile())
@click.option(
    "--shards", type=click.IntRange(1, 4096), default=1, show_default=True, help="Split by flow over so many."
)
@click.option("--shuffle", type=click.IntRange(0), help="Shuffle the messages with this seed first.")
@click.option("--port", type=click.IntRange(0, 65535), help="Read only flows with this UDP or TCP port.")
@click.option("--protocol", help="Which protocol, where the input holds several.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def digest_command(
    source: Path, shards: int, shuffle: int | None, port: int | None, protocol: str | None, as_json: bool
) -> None:
    """Print the digest of INPUT's statistics and the id of the specification found from them."""
    found = digest_of(source, shards=shards, shuffle=shuffle, port=port, protocol=protocol)
    for warning in found["warnings"]:
        warn(warning)
    if as_json:
        print_json(found)
    else:
        out.print(f"digest {found['digest']}\nspec   {found['spec_id']}", highlight=False)
