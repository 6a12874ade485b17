"""Data keys, wrapped by a key outside the database, that seal national identifiers (ADR 27)."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kernel_data_key",
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("master", sa.LargeBinary(), nullable=False),
        sa.Column("made_under", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", "master", name=op.f("pk_kernel_data_key")),
    )
    # The process reads them as the owner, when it starts; requests never do.
    op.execute("revoke all on kernel_data_key from clinic_net_app, clinic_net_system")
