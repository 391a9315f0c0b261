"""The audit trail, and the record that it begins behind."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the tables of the trail."""
    texts = (
        ("at", 32),
        ("tenant", 128),
        ("subject", 256),
        ("address", 64),
        ("salt", 32),
        ("person", 64),
        ("action", 160),
    )
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.String(width), nullable=False) for name, width in texts),
        sa.Column("object", sa.String(256), nullable=False),
        sa.Column("outcome", sa.Integer, nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("ix_audit_tenant_number", "audit", ["tenant", "number"])
    op.create_index("ix_audit_subject", "audit", ["subject"])
    op.create_table(
        "audit_anchor",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
