"""Requests of the people whose data this is, holds, breaches, restrictions; versions may lose their content."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ERASABLE = (
    """
    create or replace function records_refuse_change() returns trigger language plpgsql as $$
    begin
        if tg_op = 'UPDATE' and current_setting('clinic_net.erasing', true) = 'on' then
            return null;
        end if;
        raise exception 'versions of records never change' using errcode = 'insufficient_privilege';
    end $$
    """,
    """
    create or replace function records_only_erase() returns trigger language plpgsql as $$
    begin
        if new.body is null
            and (new.vseq, new.rid, new.version, new.updated, new.method, new.tenant, new.rtype, new.author)
            is not distinct from
            (old.vseq, old.rid, old.version, old.updated, old.method, old.tenant, old.rtype, old.author)
        then
            return new;
        end if;
        raise exception 'a version may lose its content and nothing else' using errcode = 'insufficient_privilege';
    end $$
    """,
    """
    create or replace trigger records_version_erasable before update on records_version
    for each row execute function records_only_erase()
    """,
)


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "access_restriction",
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("since", instant, nullable=False),
        sa.PrimaryKeyConstraint("patient", name=op.f("pk_access_restriction")),
    )
    op.create_table(
        "privacy_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("processors", sa.Boolean(), nullable=False),
        sa.Column("ground", sa.String(12), nullable=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("received_at", instant, nullable=False),
        sa.Column("received_by", sa.String(120), nullable=False),
        sa.Column("answer_by", instant, nullable=False),
        sa.Column("due_at", instant, nullable=False),
        sa.Column("answered_at", instant, nullable=True),
        sa.Column("answered_by", sa.String(120), nullable=True),
        sa.Column("extended_at", instant, nullable=True),
        sa.Column("decided_at", instant, nullable=True),
        sa.Column("decided_by", sa.String(120), nullable=True),
        sa.Column("reason", sa.String(20), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_privacy_request")),
    )
    op.create_index(
        "ix_privacy_request_open",
        "privacy_request",
        ["due_at"],
        postgresql_where=sa.text("decided_at is null"),
    )
    op.create_index("ix_privacy_request_patient", "privacy_request", ["patient"])
    op.create_table(
        "privacy_hold",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("placed_at", instant, nullable=False),
        sa.Column("placed_by", sa.String(120), nullable=False),
        sa.Column("lifted_at", instant, nullable=True),
        sa.Column("lifted_by", sa.String(120), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_privacy_hold")),
    )
    op.create_index("ix_privacy_hold_patient", "privacy_hold", ["patient"])
    op.create_table(
        "privacy_breach",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("data", sa.ARRAY(sa.String()), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("noticed_at", instant, nullable=False),
        sa.Column("notify_by", instant, nullable=False),
        sa.Column("entered_at", instant, nullable=False),
        sa.Column("entered_by", sa.String(120), nullable=False),
        sa.Column("notified_at", instant, nullable=True),
        sa.Column("people_told_at", instant, nullable=True),
        sa.Column("closed_at", instant, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_privacy_breach")),
    )
    op.create_table(
        "privacy_breach_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("breach", sa.Uuid(), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("by", sa.String(120), nullable=False),
        sa.Column("step", sa.String(12), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_privacy_breach_entry")),
    )
    op.create_index("ix_privacy_breach_entry_breach", "privacy_breach_entry", ["breach", "at"])
    for statement in ERASABLE:
        op.execute(statement)
