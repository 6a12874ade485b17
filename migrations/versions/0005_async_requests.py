"""Requests that are answered later, with their answers for a while."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant, json = sa.DateTime(timezone=True), postgresql.JSONB(astext_type=sa.Text())
    op.create_table(
        "records_async",
        sa.Column("id", sa.String(43), nullable=False),
        sa.Column("owner", sa.String(120), nullable=False),
        sa.Column("standing", json, nullable=False),
        sa.Column("interaction", sa.String(60), nullable=False),
        sa.Column("path", json, nullable=False),
        sa.Column("method", sa.String(10), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("headers", json, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("asked_at", instant, nullable=False),
        sa.Column("moved_at", instant, nullable=False),
        sa.Column("expires_at", instant, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("started_at", instant, nullable=True),
        sa.Column("finished_at", instant, nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("marks", json, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_records_async")),
    )
    op.create_index("ix_records_async_owner", "records_async", ["owner"])
    op.create_index("ix_records_async_expires", "records_async", ["expires_at"])
    op.create_index(
        "ix_records_async_open",
        "records_async",
        ["moved_at"],
        postgresql_where=sa.text("finished_at is null"),
    )
