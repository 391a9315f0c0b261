"""The tables of 0.1.0 as they were before catalogs had numbered steps; those that are there already stay."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make what is missing: a command made the tables that it needed itself, and no others."""
    _discoveries()
    _streams()
    _journals()
    _models()


def _discoveries() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("key", sa.String(128), unique=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("updated", _MOMENT, nullable=False),
        sa.Column("cancel", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("progress", sa.JSON, nullable=False),
        sa.Column("results", sa.JSON, nullable=False),
        sa.Column("warnings", sa.JSON, nullable=False),
        sa.Column("problem", sa.JSON),
        if_not_exists=True,
    )
    op.create_table(
        "specifications",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(20), nullable=False),
        sa.Column("protocol", sa.String(64), nullable=False),
        sa.Column("stored", _MOMENT, nullable=False),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("stream", sa.String(128)),
        if_not_exists=True,
    )
    op.create_table(
        "unknown_protocols",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(64), nullable=False, unique=True),
        sa.Column("signature", sa.JSON, nullable=False),
        sa.Column("met", _MOMENT, nullable=False),
        if_not_exists=True,
    )
    _index("jobs", "status")
    _index("jobs", "updated")
    _index("specifications", "id")
    _index("specifications", "stream")


def _streams() -> None:
    op.create_table(
        "streams",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("shards", sa.Integer, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("framing", sa.JSON),
        sa.Column("horizon", sa.BigInteger, nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("keep_s", sa.BigInteger),
        sa.Column("erasures", sa.BigInteger, nullable=False),
        sa.Column("privacy", sa.JSON, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "stream_versions",
        sa.Column("stream", sa.String(128), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("identity", sa.String(64), nullable=False),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("stored", _MOMENT, nullable=False),
        sa.Column("first", sa.BigInteger),
        sa.Column("end", sa.BigInteger),
        sa.Column("untimed", sa.Boolean, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "stream_events",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("stream", sa.String(128), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("path", sa.String(1024), nullable=False),
        sa.Column("before", sa.String(4096), nullable=False),
        sa.Column("after", sa.String(4096), nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        if_not_exists=True,
    )
    _index("stream_events", "stream")


def _journals() -> None:
    op.create_table(
        "leases",
        *_shard(),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String(128)),
        sa.Column("last", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "manifest",
        *_shard(),
        sa.Column("position", sa.BigInteger, primary_key=True),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        *_object(),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("damaged", sa.String(512), nullable=False),
        sa.Column("earliest", sa.Double, nullable=False),
        sa.Column("latest", sa.Double, nullable=False),
        sa.Column("untimed", sa.BigInteger, nullable=False),
        sa.Column("erased", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("stream", "shard", "epoch", "sequence"),
        if_not_exists=True,
    )
    op.create_table(
        "batch_keys",
        sa.Column("stream", sa.String(128), primary_key=True),
        sa.Column("key", sa.String(256), primary_key=True),
        sa.Column("shard", sa.Integer, primary_key=True),
        sa.Column("made", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("division", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "snapshots",
        *_shard(),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        *_object(),
        if_not_exists=True,
    )
    op.create_table(
        "redirects",
        sa.Column("stream", sa.String(128), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("range", sa.Integer, nullable=False),
        sa.Column("to", sa.JSON, nullable=False),
        if_not_exists=True,
    )
    op.create_table("placements", *_shard(), sa.Column("holder", sa.String(128), nullable=False), if_not_exists=True)
    _index("batch_keys", "made")


def _models() -> None:
    op.create_table(
        "model_versions",
        sa.Column("model", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("registered", _MOMENT, nullable=False),
        sa.Column("lineage", sa.JSON, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "model_aliases",
        sa.Column("model", sa.String(64), primary_key=True),
        sa.Column("alias", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("moved", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["model", "number"], ["model_versions.model", "model_versions.number"]),
        if_not_exists=True,
    )
    _index("model_versions", "digest")


def _shard() -> tuple[sa.Column[str], sa.Column[int]]:
    return sa.Column("stream", sa.String(128), primary_key=True), sa.Column("shard", sa.Integer, primary_key=True)


def _object() -> tuple[sa.Column[str], sa.Column[int], sa.Column[str]]:
    return (
        sa.Column("path", sa.String(256), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
    )


def _index(table: str, column: str) -> None:
    op.create_index(f"ix_{table}_{column}", table, [column], if_not_exists=True)
