"""``qbitel corpus build``: a training set from labelled captures."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from . import EXIT_MISSING
from .console import out, warn


@click.group("corpus")
def corpus_command() -> None:
    """Make training sets."""


@corpus_command.command("build")
@click.argument("captures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", "folder", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@click.option(
    "--label", "by", type=click.Choice(["tshark", "comment", "folder"]), default="tshark", show_default=True,
    help="Who names the protocols: tshark, the capture's pcapng comment, or the name of the folder it lies in.",
)  # fmt: skip
def build_command(captures: tuple[Path, ...], folder: Path, by: str) -> None:
    """Write the messages of CAPTURES by protocol, one Parquet file each, as `qbitel train` reads them."""
    from ..train.known.captures import build_corpus

    try:
        made = build_corpus(list(captures), folder, by)
    except FileNotFoundError as error:
        click.echo(
            f"qbitel: {error.filename} is not installed: name protocols with --label comment or folder", err=True
        )
        sys.exit(EXIT_MISSING)
    for name, count in made.messages.items():
        out.print(f"{name} {count}")
    for warning in made.warnings:
        warn(warning)
