"""``qbitel serve``: the HTTP service on a local Ray."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from . import EXIT_MISSING


@click.command("serve")
@click.option(
    "--host",
    envvar="QBITEL_HOST",
    default="127.0.0.1",
    show_default=True,
    show_envvar=True,
    help="Address to listen on.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    envvar="QBITEL_PORT",
    default=8000,
    show_default=True,
    show_envvar=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="QBITEL_DATA_DIR",
    default="qbitel-data",
    show_default=True,
    show_envvar=True,
    help="Folder of the catalog and of uploaded captures.",
)
def serve_command(host: str, port: int, data: Path) -> None:
    """
    Start Ray and the service here, and serve until interrupted.

    Limits and sizes are settings of the environment, QBITEL_MAX_BODY_BYTES and the like. Without authentication it
    listens on this machine alone; QBITEL_AUTHENTICATION=required asks for keys (qbitel keys create) or tokens.
    """
    try:
        from ..serve_app import run
    except ModuleNotFoundError as error:
        click.echo(f"qbitel: {error.name} is not installed: pip install 'qbitel[cluster]'", err=True)
        sys.exit(EXIT_MISSING)
    run(host=host, port=port, data_dir=data)
