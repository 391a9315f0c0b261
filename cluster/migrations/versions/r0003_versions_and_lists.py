"""Versions of specifications that were learned on from others, and an index to list discoveries by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add ``specifications.version`` and ``parent``; documents that are there count as the first version."""
    op.add_column("specifications", sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    op.add_column("specifications", sa.Column("parent", sa.String(64)))
    op.create_index("ix_specifications_parent", "specifications", ["parent"])
    op.create_index("ix_jobs_created_id", "jobs", ["created", "id"])
