"""Second factors, passkeys, sessions that can be told apart, two more roles, approvals by a second person."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ROLES = "role in ('doctor', 'nurse', 'coordinator', 'operator', 'auditor', 'national', 'citizen')"


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    # The new condition lets everything through that the old one did: the release before goes on.
    op.execute("alter table access_user drop constraint ck_access_user_role")
    op.execute(f"alter table access_user add constraint ck_access_user_role check ({ROLES}) not valid")
    op.execute("alter table access_user validate constraint ck_access_user_role")
    op.add_column(
        "access_user", sa.Column("must_change", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("access_user", sa.Column("patient", sa.String(64), nullable=True))

    op.add_column("access_session", sa.Column("name", sa.LargeBinary(), nullable=True))
    op.add_column(
        "access_session", sa.Column("assurance", sa.String(8), nullable=False, server_default="password")
    )
    op.add_column("access_session", sa.Column("purpose", sa.String(8), nullable=True))
    op.add_column("access_session", sa.Column("browser", sa.String(40), nullable=False, server_default=""))
    op.add_column("access_session", sa.Column("verified_at", instant, nullable=True))
    op.add_column("access_session", sa.Column("last_used_at", instant, nullable=True))
    op.add_column("access_session", sa.Column("idle_seconds", sa.Integer(), nullable=True))
    op.create_index("ix_access_session_name", "access_session", ["name"])

    op.create_table(
        "access_totp",
        sa.Column("user_id", sa.Uuid(), sa.ForeignKey("access_user.id"), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("confirmed_at", instant, nullable=True),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_access_totp")),
    )
    op.create_table(
        "access_recovery_code",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), sa.ForeignKey("access_user.id"), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("used_at", instant, nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_access_recovery_code")),
    )
    op.create_index("ix_access_recovery_code_user", "access_recovery_code", ["user_id"])
    op.create_table(
        "access_passkey",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), sa.ForeignKey("access_user.id"), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.String(60), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("last_used_at", instant, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_passkey")),
    )
    op.create_index("ix_access_passkey_user", "access_passkey", ["user_id"])
    op.create_table(
        "access_pending_sign_in",
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), sa.ForeignKey("access_user.id"), nullable=False),
        sa.Column("assurance", sa.String(8), nullable=False),
        sa.Column("expires_at", instant, nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_access_pending_sign_in")),
    )
    op.create_index("ix_access_pending_sign_in_expires", "access_pending_sign_in", ["expires_at"])
    op.create_table(
        "access_approval",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("action", sa.String(30), nullable=False),
        sa.Column("arguments", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("province", sa.String(2), nullable=False),
        sa.Column("asked_by", sa.Uuid(), sa.ForeignKey("access_user.id"), nullable=False),
        sa.Column("asked_at", instant, nullable=False),
        sa.Column("expires_at", instant, nullable=False),
        sa.Column("decided_by", sa.Uuid(), sa.ForeignKey("access_user.id"), nullable=True),
        sa.Column("decided_at", instant, nullable=True),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.Column("done_at", instant, nullable=True),
        sa.CheckConstraint(
            "decided_by is null or decided_by <> asked_by", name=op.f("ck_access_approval_second_person")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_approval")),
    )
    op.create_index("ix_access_approval_open", "access_approval", ["province", "expires_at"])
