"""Programs that people let act for them: what they allowed, with codes, refresh tokens and launches."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant, json = sa.DateTime(timezone=True), postgresql.JSONB(astext_type=sa.Text())
    # Each with a default: the release before this one still adds clients.
    op.add_column(
        "access_client", sa.Column("auth", sa.String(20), nullable=False, server_default="client_secret")
    )
    op.add_column(
        "access_client",
        sa.Column("redirect_uris", postgresql.ARRAY(sa.String()), nullable=False, server_default="{}"),
    )
    op.add_column("access_client", sa.Column("launch_uri", sa.String(), nullable=True))
    op.add_column("access_client", sa.Column("jwks", json, nullable=True))
    op.add_column(
        "access_client", sa.Column("dpop", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    op.create_check_constraint(
        op.f("ck_access_client_auth"), "access_client", "auth in ('client_secret', 'private_key_jwt', 'none')"
    )
    op.create_table(
        "access_grant",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.String(60), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("session", sa.LargeBinary(), nullable=True),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("patient", sa.String(64), nullable=True),
        sa.Column("nonce", sa.String(300), nullable=True),
        sa.Column("acr", sa.String(20), nullable=False),
        sa.Column("auth_time", instant, nullable=False),
        sa.Column("jkt", sa.String(43), nullable=True),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("expires_at", instant, nullable=False),
        sa.Column("revoked_at", instant, nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["access_client.id"], name=op.f("fk_access_grant_client_id")),
        sa.ForeignKeyConstraint(["user_id"], ["access_user.id"], name=op.f("fk_access_grant_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_grant")),
    )
    op.create_index("ix_access_grant_user", "access_grant", ["user_id", "client_id"])
    op.create_index("ix_access_grant_expires", "access_grant", ["expires_at"])
    for name, columns in (
        (
            "access_code",
            [
                sa.Column("redirect_uri", sa.String(), nullable=False),
                sa.Column("challenge", sa.String(128), nullable=False),
                sa.Column("expires_at", instant, nullable=False),
            ],
        ),
        (
            "access_refresh_token",
            [sa.Column("issued_at", instant, nullable=False)],
        ),
    ):
        op.create_table(
            name,
            sa.Column("digest", sa.LargeBinary(), nullable=False),
            sa.Column("grant_id", sa.Uuid(), nullable=False),
            *columns,
            sa.Column("used_at", instant, nullable=True),
            sa.ForeignKeyConstraint(
                ["grant_id"], ["access_grant.id"], name=op.f(f"fk_{name}_grant_id"), ondelete="CASCADE"
            ),
            sa.PrimaryKeyConstraint("digest", name=op.f(f"pk_{name}")),
        )
        op.create_index(op.f(f"ix_{name}_grant_id"), name, ["grant_id"])
    op.create_table(
        "access_launch",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("session", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.String(60), nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("expires_at", instant, nullable=False),
        sa.Column("used_at", instant, nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["access_client.id"], name=op.f("fk_access_launch_client_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_access_launch")),
    )
    op.create_index("ix_access_launch_expires", "access_launch", ["expires_at"])
    op.create_table(
        "access_outside_identity",
        sa.Column("issuer", sa.String(300), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("linked_by", sa.String(120), nullable=False),
        sa.Column("linked_at", instant, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["access_user.id"], name=op.f("fk_access_outside_identity_user_id")
        ),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_access_outside_identity")),
    )
    op.create_index("ix_access_outside_identity_user", "access_outside_identity", ["user_id"])
