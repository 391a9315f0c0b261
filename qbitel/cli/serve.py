"""``qbitel serve``: the HTTP service on a local Ray."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from . import EXIT_MISSING


@click.command("serve")
@click.option("--host", help="Address to listen on.  [setting host; 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.  [setting port; 8000]")
@click.option(
    "--data", "data_dir", type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the catalog and of uploaded captures.  [setting data_dir; qbitel-data]",
)  # fmt: skip
@click.option("--profile", help="dev, test, staging or prod.  [setting profile; dev]")
def serve_command(**given: Any) -> None:
    """
    Start Ray and the service here, and serve until interrupted.

    Limits and sizes are settings, QBITEL_MAX_BODY_BYTES and the like: qbitel config show lists them. Without
    authentication it listens on this machine alone; QBITEL_AUTHENTICATION=required asks for keys (qbitel keys create)
    or tokens.
    """
    try:
        from ..serve_app import run
    except ModuleNotFoundError as error:
        click.echo(f"qbitel: {error.name} is not installed: pip install 'qbitel[cluster]'", err=True)
        sys.exit(EXIT_MISSING)
    run(**{name: value for name, value in given.items() if value is not None})
