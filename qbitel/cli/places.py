"""Where the commands of training keep runs, weights and the catalog; what they say when an extra is missing."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import EXIT_MISSING

if TYPE_CHECKING:
    from ..cluster.registry import Registry
    from ..cluster.storage import Storage

DATA = "qbitel-data"


def storage_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--storage``, and name what to install where a package is missing."""

    @click.option(
        "--storage", "storage_uri", envvar="QBITEL_STORAGE", default=DATA, show_default=True, metavar="URI",
        help="Folder, s3://, gs://, or any URI of pyarrow or fsspec.",
    )  # fmt: skip
    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("qbitel"):
                raise
            click.echo(f"qbitel: {error.name} is not installed: pip install 'qbitel[train]'", err=True)
            sys.exit(EXIT_MISSING)

    return run


def open_storage(uri: str) -> Storage:
    """Return the storage of that URI."""
    from ..cluster.storage import Storage

    return Storage(uri)


def open_registry(uri: str) -> Registry:
    """
    Return the registry whose weights lie in that storage.

    Its catalog lies in the storage where that is a folder, else in the folder ``QBITEL_DATA_DIR`` of this machine.
    """
    from ..cluster.catalog import open_engine
    from ..cluster.registry import Registry

    folder = os.environ.get("QBITEL_DATA_DIR", DATA) if "://" in uri else uri
    return Registry(open_engine(Path(folder) / "catalog.sqlite"), open_storage(uri))
