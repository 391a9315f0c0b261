"""``qbitel backup``: a state under a URI of its own, proven by digests, and put back."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING

import click

from . import EXIT_NO
from .console import err, out, print_json
from .places import needs_extra, open_state

if TYPE_CHECKING:
    from ..cluster.backup import Backup


@click.group("backup")
def backup_command() -> None:
    """Back a state up, verify a backup, and restore it into an empty state."""


@backup_command.command("create")
@click.argument("state", metavar="STATE")
@click.argument("to", metavar="BACKUP")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@needs_extra("cluster")
def create_command(state: str, to: str, as_json: bool) -> None:
    """
    Back up the catalog, journals, specifications and models of STATE to the folder or URI BACKUP.

    The service may go on; what it takes meanwhile may be left out. The catalog is that of QBITEL_CATALOG, or in STATE.
    """
    from ..cluster.backup import create

    begun = perf_counter()
    made = create(open_state(state), to)
    _tell("backed up", made, [], perf_counter() - begun, as_json)


@backup_command.command("verify")
@click.argument("backup", metavar="BACKUP")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@needs_extra("cluster")
def verify_command(backup: str, as_json: bool) -> None:
    """Read BACKUP whole: every object, every row, and every stream's digest; exit code 1 where one differs."""
    from ..cluster.backup import verify

    begun = perf_counter()
    record, problems = verify(backup)
    _tell("sound", record, problems, perf_counter() - begun, as_json)


@backup_command.command("restore")
@click.argument("backup", metavar="BACKUP")
@click.argument("state", metavar="STATE")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@needs_extra("cluster")
def restore_command(backup: str, state: str, as_json: bool) -> None:
    """
    Put BACKUP into the empty STATE, read all of it again, and say how long it took.

    The catalog may be another database than it was: QBITEL_CATALOG names it, or it is a file in STATE.
    """
    from ..cluster.backup import restore

    begun = perf_counter()
    record, problems = restore(backup, open_state(state, create=True))
    _tell("restored", record, problems, perf_counter() - begun, as_json)


def _tell(done: str, record: Backup, problems: list[str], seconds: float, as_json: bool) -> None:
    if as_json:
        counts = {"rows": sum(record.rows.values()), "objects": len(record.objects), "bytes": record.size}
        told = {"made": record.made.isoformat(), "streams": record.streams, **counts}
        print_json({**told, "problems": problems, "seconds": round(seconds, 3)})
    else:
        for name, digest in sorted(record.streams.items()):
            out.print(f"{digest}  {name}", soft_wrap=True)
        for problem in problems:
            err.print(problem, soft_wrap=True)
        held = f"{sum(record.rows.values())} rows, {len(record.objects)} objects, {record.size} bytes"
        said = done if not problems else "not as it was backed up"
        out.print(f"{said}: {held}, of {record.made:%Y-%m-%d %H:%M:%S} UTC, in {seconds:.2f} s", soft_wrap=True)
    if problems:
        sys.exit(EXIT_NO)
