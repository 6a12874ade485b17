"""What stations push is kept as it came before it is applied; batches form chains; copied databases are told apart."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "sync_epoch",
        sa.Column("db_epoch", sa.Uuid(), nullable=False),
        sa.Column("site", sa.String(length=20), nullable=False),
        sa.Column("device", sa.Uuid(), nullable=False),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("last", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("frozen_at", _INSTANT, nullable=True),
        sa.Column("parent", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("db_epoch", name=op.f("pk_sync_epoch")),
    )
    op.create_table(
        "sync_forked_epoch",
        sa.Column("db_epoch", sa.Uuid(), nullable=False),
        sa.Column("device", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("epoch", sa.Uuid(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("db_epoch", "device", "digest", name=op.f("pk_sync_forked_epoch")),
    )
    op.create_table(
        "sync_batch",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("db_epoch", sa.Uuid(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("form", sa.SmallInteger(), nullable=False),
        sa.Column("site", sa.String(length=20), nullable=False),
        sa.Column("device", sa.Uuid(), nullable=False),
        sa.Column("ops", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.Column("coding", sa.String(length=10), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("agent", sa.String(length=40), nullable=False),
        sa.Column("offset_ms", sa.BigInteger(), nullable=False),
        sa.Column("received_at", _INSTANT, nullable=False),
        sa.Column("settled_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_batch")),
        sa.UniqueConstraint("db_epoch", "lane", "seq", name=op.f("uq_sync_batch_db_epoch_lane_seq")),
    )
    op.create_index(
        "ix_sync_batch_unsettled",
        "sync_batch",
        ["db_epoch", "id"],
        postgresql_where=sa.text("settled_at is null"),
    )
    # The raw bytes are compressed already, and are gone in a moment.
    op.execute("alter table sync_batch alter column raw set storage external")
    op.add_column("sync_applied_op", sa.Column("hash", sa.LargeBinary(), nullable=True))
    op.add_column("sync_applied_op", sa.Column("batch", sa.BigInteger(), nullable=True))
    op.add_column("sync_applied_op", sa.Column("said_at", _INSTANT, nullable=True))
    # Each row is written twice: room for its second version beside the first spares the indexes.
    op.execute("alter table sync_applied_op set (fillfactor = 80)")
    for column in (
        sa.Column("head", postgresql.JSONB(), nullable=True),
        sa.Column("resource", sa.String(length=110), nullable=True),
        sa.Column("waits_for", sa.String(length=110), nullable=True),
        sa.Column("tried_at", _INSTANT, nullable=True),
        sa.Column("mended_at", _INSTANT, nullable=True),
    ):
        op.add_column("sync_quarantined", column)
    op.create_index(
        "ix_sync_quarantined_open",
        "sync_quarantined",
        ["site", "waits_for"],
        postgresql_where=sa.text("mended_at is null and head is not null"),
    )
    for column in (
        sa.Column("copied_at", _INSTANT, nullable=True),
        sa.Column("clock_offset_ms", sa.BigInteger(), nullable=True),
        sa.Column("clock_off_at", _INSTANT, nullable=True),
    ):
        op.add_column("fleet_station_state", column)
