"""``qbitel keys``: who may ask the service, made and ended on the machine that has its catalog."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from ..discovery.errors import InputError
from .console import out, print_json
from .places import catalog_option, needs_extra, open_database

if TYPE_CHECKING:
    from ..cluster.keys import ApiKey, ApiKeys

_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
_DAYS = click.option("--days", type=click.FloatRange(0, min_open=True), help="It expires after so many; never.")


@click.group("keys")
def keys_command() -> None:
    """Create, list, rotate and revoke API keys."""


@keys_command.command("create")
@click.argument("name")
@click.option("--role", default="reader", show_default=True, help="reader, analyst, operator or admin.")
@click.option("--tenant", default="", help="Whose data it sees; those of the tenant without a name.")
@click.option("--scope", "scopes", multiple=True, help="A part of the API that it is confined to, as classify; all.")
@click.option("--rates", default="", help="Its own limits, as '50/second; 100000/day'; those of the settings.")
@_DAYS
@catalog_option
@_JSON
@needs_extra("cluster")
def create_command(
    name: str, role: str, tenant: str, scopes: tuple[str, ...], rates: str, days: float | None, data: str, as_json: bool
) -> None:
    """Make a key called NAME and print it: it is shown this once, and kept only as a hash."""
    from ..cluster.guard_settings import check_rates
    from ..cluster.keys import Grant
    from ..cluster.principals import Role

    try:
        check_rates(rates)
    except ValueError as error:
        raise InputError(str(error), where="--rates") from None
    grant = Grant(name, tenant, Role.named(role), scopes, rates)
    _show(*_keys(data, create=True).create(grant, _span(days)), as_json=as_json)


@keys_command.command("list")
@click.option("--tenant", help="Only the keys of this tenant.")
@catalog_option
@_JSON
@needs_extra("cluster")
def list_command(tenant: str | None, data: str, as_json: bool) -> None:
    """List the keys, the newest first; what opens something is not kept and cannot be listed."""
    found = _keys(data).all(tenant)
    if as_json:
        print_json([_document(key) for key in found])
        return
    for key in found:
        grant, until = key.grant, "" if key.expires is None else f" until {key.expires.isoformat(timespec='seconds')}"
        scopes = f" ({', '.join(grant.scopes)})" if grant.scopes else ""
        state = key.state(datetime.now(UTC))
        line = f"{key.id}  {state:8}{grant.role.label:9}{grant.tenant or '-':12}{grant.name}{scopes}{until}"
        out.print(line, highlight=False, soft_wrap=True, markup=False)


@keys_command.command("rotate")
@click.argument("key")
@click.option(
    "--grace-hours", type=click.FloatRange(0), default=24, show_default=True, help="The old one opens for so long."
)
@_DAYS
@catalog_option
@_JSON
@needs_extra("cluster")
def rotate_command(key: str, grace_hours: float, days: float | None, data: str, as_json: bool) -> None:
    """Make a key that may do what the one of id KEY may, which expires after the grace."""
    _show(*_keys(data).rotate(key, timedelta(hours=grace_hours), _span(days)), as_json=as_json)


@keys_command.command("revoke")
@click.argument("key")
@catalog_option
@needs_extra("cluster")
def revoke_command(key: str, data: str) -> None:
    """Let the key of id KEY open nothing any more: gateways know it after five seconds."""
    found = _keys(data).revoke(key)
    out.print(f"{found.id} ({found.grant.name}) is revoked", highlight=False, soft_wrap=True, markup=False)


def _keys(data: str, *, create: bool = False) -> ApiKeys:
    from ..cluster.keys import ApiKeys

    return ApiKeys(open_database(data, create=create))


def _span(days: float | None) -> timedelta | None:
    return None if days is None else timedelta(days=days)


def _show(token: str, key: ApiKey, *, as_json: bool) -> None:
    if as_json:
        print_json({"key": token, **_document(key)})
        return
    click.echo(token)
    click.echo(f"qbitel: key {key.id}; it is shown this once", err=True)


def _document(key: ApiKey) -> dict[str, Any]:
    grant = key.grant
    moments = {"created": key.created, "expires": key.expires, "revoked": key.revoked}
    return {
        "id": key.id, "name": grant.name, "tenant": grant.tenant, "role": grant.role.label,
        "scopes": list(grant.scopes), "rates": grant.rates, "state": key.state(datetime.now(UTC)),
        **{name: None if at is None else at.isoformat() for name, at in moments.items()}, "follows": key.follows,
    }  # fmt: skip
