"""``qbitel sets``: labelled messages to train on, in versions that can be deleted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from .console import out, print_json
from .places import open_storage, storage_option

if TYPE_CHECKING:
    from ..cluster.storage import Storage
    from ..train.sets import SetVersion, TrainingSets


@click.group("sets")
def sets_command() -> None:
    """List, add and delete labelled messages to train on."""


def add_files(storage: Storage, name: str, folder: Path) -> SetVersion:
    """
    Return the new version of a set with the Parquet files of a folder.

    Raises:
        InputError: there is none, or one says nothing that can be learned.
    """
    from ..train.sets import TrainingSets, labelled_files

    return TrainingSets(storage).add(name.partition("@")[0], labelled_files(folder))


def _sets(storage_uri: str) -> TrainingSets:
    from ..train.sets import TrainingSets

    return TrainingSets(open_storage(storage_uri))


@sets_command.command("list")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, with the files.")
@storage_option
def list_command(name: str | None, as_json: bool, storage_uri: str) -> None:
    """List the versions of the set NAME, or of all sets."""
    versions = _sets(storage_uri).versions(name)
    if as_json:
        print_json([{**version.model_dump(mode="json"), "digest": version.digest} for version in versions])
        return
    table = Table("set", "files", "made", "digest", box=None)
    for v in versions:
        table.add_row(f"{v.name}@{v.number}", str(len(v.files)), f"{v.made:%Y-%m-%d %H:%M}", v.digest[:16])
    out.print(table)


@sets_command.command("add")
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@storage_option
def add_command(name: str, folder: Path, storage_uri: str) -> None:
    """
    Make a version of the set NAME: the newest, with the labelled Parquet files of FOLDER.

    A file needs a column payload, and field_offsets (to train the segmenter) or source_pcap (the classifier).
    """
    _tell(add_files(open_storage(storage_uri), name, folder))


@sets_command.command("forget")
@click.argument("name")
@click.argument("file")
@storage_option
def forget_command(name: str, file: str, storage_uri: str) -> None:
    """Delete FILE from the set NAME: from the newest version, and every older one that held it with it."""
    made = _sets(storage_uri).forget(name, file)
    if made is None:
        out.print(f"{name}: nothing is left", highlight=False)
    else:
        _tell(made)


@sets_command.command("delete")
@click.argument("reference", metavar="NAME[@NUMBER]")
@storage_option
def delete_command(reference: str, storage_uri: str) -> None:
    """Delete a version, or a whole set, and the messages that no other version holds."""
    _sets(storage_uri).delete(reference)


def _tell(version: SetVersion) -> None:
    out.print(f"{version.name}@{version.number}: {len(version.files)} files, digest {version.digest}", soft_wrap=True)
