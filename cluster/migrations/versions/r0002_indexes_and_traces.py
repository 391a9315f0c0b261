"""Indexes in the order in which rows are asked for, and the trace that a discovery belongs to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_REPLACED = (
    ("jobs", ("status",), ("status", "created")),
    ("jobs", ("updated",), ("status", "updated")),
    ("specifications", ("id",), ("id", "stored")),
    ("stream_events", ("stream",), ("stream", "number")),
    ("batch_keys", ("made",), ("stream", "made")),
)


def upgrade() -> None:
    """Add ``jobs.trace``, and let indexes of two columns take the place of those of one."""
    op.add_column("jobs", sa.Column("trace", sa.String(64)))
    for table, before, after in _REPLACED:
        op.drop_index("_".join(("ix", table, *before)), table, if_exists=True)
        op.create_index("_".join(("ix", table, *after)), table, list(after))
    op.create_index("ix_specifications_stored", "specifications", ["stored"])
