"""The words of resources, for full-text search, and the units they measure in.

Both are filled behind the writes, from older resources too.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "records_words",
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("narrative", TSVECTOR(), nullable=True),
        sa.Column("content", TSVECTOR(), nullable=True),
        sa.PrimaryKeyConstraint("rid", name=op.f("pk_records_words")),
    )
    op.create_index("ix_records_words_narrative", "records_words", ["narrative"], postgresql_using="gin")
    op.create_index("ix_records_words_content", "records_words", ["content"], postgresql_using="gin")
    op.create_table(
        "records_unit",
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("dimension", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_records_unit")),
    )
    op.create_index("ix_records_unit_dimension", "records_unit", ["dimension"])
    op.create_table(
        "records_derived_mark",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("horizon", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_records_derived_mark")),
    )
