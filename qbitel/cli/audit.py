"""``qbitel audit``: who did what, and whether the trail is whole."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from . import EXIT_NO
from .console import out, print_json
from .places import catalog_option, needs_extra, open_database

if TYPE_CHECKING:
    from ..cluster.audit import Audit

_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")


@click.group("audit")
def audit_command() -> None:
    """List, verify and shorten the audit trail."""


@audit_command.command("list")
@click.option("--tenant", help="Only the records of this tenant.")
@click.option("--after", type=click.IntRange(0), default=0, help="Records behind this number.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@catalog_option
@_JSON
@needs_extra("cluster")
def list_command(tenant: str | None, after: int, limit: int, data: str, as_json: bool) -> None:
    """List records in order."""
    found = _audit(data).all(tenant, after, limit)
    if as_json:
        print_json([{"number": each.number, "at": each.at, **asdict(each.deed), "hash": each.hash} for each in found])
        return
    for each in found:
        deed = each.deed
        who = f"{deed.subject or '(erased)'} {deed.address or '-'} {deed.tenant or '-'}"
        line = f"{each.number:>8}  {each.at}  {deed.outcome}  {who}  {deed.action.split(' ')[0]} {deed.object}"
        out.print(line, highlight=False, soft_wrap=True, markup=False)


@audit_command.command("verify")
@click.option("--expect", metavar="NUMBER:HASH", help="A head that was noted earlier, which the trail must hold.")
@catalog_option
@_JSON
@needs_extra("cluster")
def verify_command(expect: str | None, data: str, as_json: bool) -> None:
    """
    Compute every hash of the trail anew, and print its head, to be noted elsewhere.

    QBITEL_AUDIT_KEY is the key of the service. Exit code 1 where a record was changed, put in or taken out.
    """
    found = _audit(data).verify(expect)
    if as_json:
        print_json({**asdict(found), "head": found.head, "whole": not found.fault})
    elif not found.fault:
        out.print(f"whole: {found.records} records, head {found.head}", highlight=False, soft_wrap=True)
    if found.fault:
        click.echo(f"qbitel: {found.fault}", err=True)
        sys.exit(EXIT_NO)


@audit_command.command("retain")
@click.option("--days", type=click.FloatRange(0), required=True, help="Records are kept so long.")
@catalog_option
@needs_extra("cluster")
def retain_command(days: float, data: str) -> None:
    """Let older records go, for instance by a timer; what is left stays verifiable."""
    gone = _audit(data).retain(datetime.now(UTC) - timedelta(days=days))
    out.print(f"{gone} records are gone", highlight=False)


def _audit(data: str) -> Audit:
    from ..cluster.audit import Audit
    from ..cluster.settings import load_settings

    key = load_settings().audit_key
    return Audit(open_database(data), key.get_secret_value().encode() if key else None)
