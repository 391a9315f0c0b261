"""Whose specifications, discoveries and names of unknown protocols are; and the keys that let tenants in."""

from __future__ import annotations

import warnings

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import SAWarning

revision = "0004"
down_revision = "0003"

_MOMENT = sa.DateTime(timezone=True)
# SQLite's constraints have no names of their own: these are the ones by which they are dropped.
_NAMES = {"uq": "uq_%(table_name)s_%(column_0_name)s", "pk": "pk_%(table_name)s"}


def upgrade() -> None:
    """Add ``tenant`` where it was missing, with what was there as of the tenant without a name."""
    for table in ("jobs", "specifications", "unknown_protocols"):
        op.add_column(table, _tenant())
    op.add_column("jobs", sa.Column("subject", sa.String(256), nullable=False, server_default=""))
    _owners()
    _unique("jobs", ("key",), ("tenant", "key"))
    _unique("unknown_protocols", ("name",), ("tenant", "name"))
    _primary("specifications", ("tenant", "digest"))
    _primary("unknown_protocols", ("tenant", "number"))
    op.drop_index("ix_jobs_created_id", "jobs")
    op.create_index("ix_jobs_tenant_created_id", "jobs", ["tenant", "created", "id"])
    op.drop_index("ix_specifications_id_stored", "specifications")
    op.drop_index("ix_specifications_stored", "specifications")
    op.create_index("ix_specifications_tenant_id_stored", "specifications", ["tenant", "id", "stored"])
    op.create_index("ix_specifications_tenant_stored", "specifications", ["tenant", "stored"])
    _keys()


def _tenant() -> sa.Column[str]:
    return sa.Column("tenant", sa.String(128), nullable=False, server_default="")


def _owners() -> None:
    """Specifications that were found in a tenant's stream are the tenant's."""
    op.execute(
        "UPDATE specifications SET tenant = (SELECT streams.tenant FROM streams WHERE streams.name = "
        "specifications.stream) WHERE stream IN (SELECT streams.name FROM streams)"
    )


def _unique(table: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:
    name = "_".join(("uq", table, *after))
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("_".join((table, *before, "key")), table, type_="unique")
        op.create_unique_constraint(name, table, list(after))
        return
    with op.batch_alter_table(table, naming_convention=_NAMES) as batch:
        batch.drop_constraint("_".join(("uq", table, *before)), type_="unique")
        batch.create_unique_constraint(name, list(after))


def _primary(table: str, columns: tuple[str, ...]) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(f"{table}_pkey", table, type_="primary")
        op.create_primary_key(f"{table}_pkey", table, list(columns))
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # that it is another key than the columns say: so it shall be
        with op.batch_alter_table(table, naming_convention=_NAMES) as batch:
            batch.create_primary_key(f"pk_{table}", list(columns))


def _keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(12), primary_key=True),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("rates", sa.String(256), nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("expires", _MOMENT),
        sa.Column("revoked", _MOMENT),
        sa.Column("follows", sa.String(12)),
    )
    op.create_index("ix_api_keys_tenant_created", "api_keys", ["tenant", "created"])
