"""With which definitions index rows were written, and runs that renew them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "records_index_state",
        sa.Column("rtype", sa.String(40), nullable=False),
        sa.Column("extractor", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(32), nullable=False),
        sa.Column("since", instant, nullable=False),
        sa.PrimaryKeyConstraint("rtype", name=op.f("pk_records_index_state")),
    )
    op.create_table(
        "records_reindex",
        sa.Column("id", sa.String(43), nullable=False),
        sa.Column("asked_by", sa.String(120), nullable=False),
        sa.Column("asked_at", instant, nullable=False),
        sa.Column("moved_at", instant, nullable=False),
        sa.Column("started_at", instant, nullable=True),
        sa.Column("finished_at", instant, nullable=True),
        sa.Column("replaced", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_records_reindex")),
    )
    op.create_index(
        "ix_records_reindex_open",
        "records_reindex",
        ["moved_at"],
        postgresql_where=sa.text("finished_at is null"),
    )
    op.create_table(
        "records_reindex_part",
        sa.Column("run", sa.String(43), nullable=False),
        sa.Column("rtype", sa.String(40), nullable=False),
        sa.Column("extractor", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(32), nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", instant, nullable=True),
        sa.PrimaryKeyConstraint("run", "rtype", name=op.f("pk_records_reindex_part")),
    )
