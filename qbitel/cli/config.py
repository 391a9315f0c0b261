"""``qbitel config``: the settings of the service as they are here, and where each comes from."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table
from rich.text import Text

from .console import out, print_json
from .places import needs_extra


@click.group("config")
def config_command() -> None:
    """Show the settings of the service."""


@config_command.command("show")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--changed", is_flag=True, help="Only those that are not as the default has them.")
@click.option("--profile", help="As if QBITEL_PROFILE were this: dev, test, staging, prod.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@needs_extra("cluster")
def show_command(names: tuple[str, ...], changed: bool, profile: str | None, as_json: bool) -> None:
    """
    Show every setting with its value and where that comes from, or those of these names.

    The environment goes before files of secrets, these before Vault, the profile and the default. Secrets are not
    shown. A value that cannot be is refused as qbitel serve would refuse it, by the name of its variable.
    """
    from ..cluster.config import shown, unknown_variables

    found = shown(names, **({"profile": profile} if profile else {}))
    if changed:
        found = [each for each in found if each.origin != "default"]
    if as_json:
        print_json([each._asdict() for each in found])
    else:
        out.print(_table(found))
    for name, like in unknown_variables():
        meant = f"; is {like} meant?" if like else ""
        click.echo(f"qbitel: warning: {name} is no setting{meant}", err=True)


def _table(found: list[Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in ("setting", "value", "from"):
        table.add_column(head, overflow="fold")
    for each in found:
        style = "" if each.origin == "default" else "bold"
        table.add_row(Text(each.name, style), Text(each.value, style), Text(each.origin, style))
    return table
