"""Attachments of stations: uploads on the way, bytes by their digest, the documents that point to them; taken SMS."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "sync_upload",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("site", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("content_type", sa.String(40), nullable=False),
        sa.Column("document", sa.String(64), nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("expires_at", instant, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_upload")),
    )
    op.create_index("ix_sync_upload_site", "sync_upload", ["site"])
    op.create_index("ix_sync_upload_expires", "sync_upload", ["expires_at"])
    op.create_table(
        "sync_file",
        sa.Column("site", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("content_type", sa.String(40), nullable=False),
        sa.Column("stored_at", instant, nullable=False),
        sa.PrimaryKeyConstraint("site", "digest", name=op.f("pk_sync_file")),
    )
    op.create_table(
        "sync_file_part",
        sa.Column("site", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("site", "digest", "number", name=op.f("pk_sync_file_part")),
        sa.ForeignKeyConstraint(
            ["site", "digest"], ["sync_file.site", "sync_file.digest"], ondelete="cascade",
            name=op.f("fk_sync_file_part_site_digest"),
        ),
    )  # fmt: skip
    op.execute(
        "alter table sync_file_part alter column body set storage external"
    )  # pictures are compressed already
    op.create_table(
        "sync_file_use",
        sa.Column("site", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("document", sa.String(64), nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("site", "digest", "document", name=op.f("pk_sync_file_use")),
        sa.ForeignKeyConstraint(
            ["site", "digest"], ["sync_file.site", "sync_file.digest"], ondelete="cascade",
            name=op.f("fk_sync_file_use_site_digest"),
        ),
    )  # fmt: skip
    op.create_index("ix_sync_file_use_digest", "sync_file_use", ["digest"])
    op.create_index("ix_sync_file_use_patient", "sync_file_use", ["patient"])
    op.create_table(
        "sync_sms",
        sa.Column("device", sa.Uuid(), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("site", sa.String(20), nullable=False),
        sa.Column("request", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.PrimaryKeyConstraint("device", "counter", name=op.f("pk_sync_sms")),
    )
    op.create_index("ix_sync_sms_request", "sync_sms", ["request"])
