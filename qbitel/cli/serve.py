"""``qbitel serve``: the HTTP service on a local Ray."""

from __future__ import annotations

import sys

import click

from . import EXIT_MISSING


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
def serve_command(host: str, port: int) -> None:
    """Start Ray and the service here, and serve until interrupted."""
    try:
        from ..serve_app import run
    except ModuleNotFoundError as error:
        click.echo(f"qbitel: {error.name} is not installed: pip install 'qbitel[cluster]'", err=True)
        sys.exit(EXIT_MISSING)
    run(host=host, port=port)
