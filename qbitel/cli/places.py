"""Where the commands of training keep runs, weights and the catalog; what they say when an extra is missing."""

from __future__ import annotations

import functools
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..discovery.errors import InputError
from . import EXIT_MISSING

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ..cluster.manifest import Manifest
    from ..cluster.registry import Registry
    from ..cluster.state import State
    from ..cluster.storage import Storage

DATA = "qbitel-data"


def needs_extra(extra: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Name the extra to install where a command misses a package."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(*arguments: Any, **options: Any) -> Any:
            try:
                return command(*arguments, **options)
            except ModuleNotFoundError as error:
                if (error.name or "").startswith("qbitel"):
                    raise
                click.echo(f"qbitel: {error.name} is not installed: pip install 'qbitel[{extra}]'", err=True)
                sys.exit(EXIT_MISSING)

        return run

    return decorate


def storage_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--storage``, and name what to install where a package is missing."""
    option = click.option(
        "--storage", "storage_uri", envvar="QBITEL_STORAGE", default=DATA, show_default=True, metavar="URI",
        help="Folder, s3://, gs://, or any URI of pyarrow or fsspec.",
    )  # fmt: skip
    return option(needs_extra("train")(command))


def catalog_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--data``, which says where the service's catalog is."""
    option = click.option(
        "--data", envvar="QBITEL_DATA_DIR", default=DATA, show_default=True, metavar="FOLDER",
        help="Folder of the service's catalog, where QBITEL_CATALOG names no server.",
    )  # fmt: skip
    return option(command)


def open_database(data: str, *, create: bool = False) -> Engine:
    """
    Return the database of the service whose data lie in that folder.

    Raises:
        InputError: there is none, and it shall not be made.
    """
    from ..cluster.database import is_server, open_engine

    catalog = _catalog(data)
    if not is_server(catalog) and not create and not Path(catalog).exists():
        raise InputError("no catalog", where=catalog, hint="qbitel serve makes one, and so does qbitel keys create")
    return open_engine(catalog, durable=True)


def open_storage(uri: str) -> Storage:
    """Return the storage of that URI."""
    from ..cluster.storage import Storage

    return Storage(uri)


def open_state(uri: str, *, create: bool = False) -> State:
    """
    Return the addresses of the journals that lie in that storage.

    Raises:
        InputError: there are none, and they shall not be made.
    """
    from ..cluster.database import is_server
    from ..cluster.state import State

    catalog = _catalog(uri)
    if not is_server(catalog) and not create and not Path(catalog).exists():
        raise InputError("no catalog of journals", where=catalog, hint="qbitel ingest makes one")
    return State(uri if "://" in uri else str(Path(uri).resolve()), catalog)


def owner_here() -> str:
    """Return what leases call this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def open_manifest(uri: str, *, create: bool = False) -> Manifest:
    """
    Return the manifest of the journals that lie in that storage; its database lies where ``open_registry`` has it.

    Raises:
        InputError: there is none, and it shall not be made.
    """
    return open_state(uri, create=create).manifest


def _catalog(uri: str) -> str:
    """Return the address of the catalog that belongs to a storage: the setting ``catalog``, or a file."""
    from ..cluster.settings import load_settings

    folder = os.environ.get("QBITEL_DATA_DIR", DATA) if "://" in uri else uri
    return load_settings().catalog or str((Path(folder) / "catalog.sqlite").resolve())


def open_registry(uri: str) -> Registry:
    """
    Return the registry whose weights lie in that storage.

    Its catalog is on the server ``QBITEL_CATALOG``, or else a file: in the storage where that is a folder, otherwise in
    the folder ``QBITEL_DATA_DIR`` of this machine.
    """
    from ..cluster.database import open_engine
    from ..cluster.registry import Registry

    return Registry(open_engine(_catalog(uri)), open_storage(uri))
