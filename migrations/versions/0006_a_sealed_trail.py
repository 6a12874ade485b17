"""The audit trail: by patient and place, in partitions of a month, sealed by a chain.

What is there becomes the first partition, which also takes what comes until the month ends; a node of the release
before goes on inserting. Building the indexes of a million events holds the trail, and whoever writes into it, for
some seconds.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_PARTITION = """
create or replace function audit_partition(month date) returns text
language plpgsql security definer set search_path from current as $$
declare
    first date := date_trunc('month', month)::date;
    made text := 'audit_event_' || to_char(first, 'YYYY_MM');
begin
    if to_regclass(made) is not null then
        return 'there';
    end if;
    execute format('create table %I (like audit_event including defaults including constraints)', made);
    execute format('create trigger audit_event_append_only before update or delete or truncate on %I'
        ' for each statement execute function audit_refuse_change()', made);
    execute format('alter table audit_event attach partition %I for values from (%L) to (%L)',
        made, first::text || ' 00:00:00+00', (first + interval '1 month')::date::text || ' 00:00:00+00');
    return 'made';
exception when check_violation or invalid_object_definition then
    return 'held';  -- another partition has the month, or the one for everything else holds rows of it
end $$
"""

_FORGET = """
create or replace function audit_forget(before date) returns text[]
language plpgsql security definer set search_path from current as $$
declare
    part record;
    gone text[] := '{}';
begin
    if before > current_date - interval '1 year' then
        raise exception 'audit events are kept for a year at least' using errcode = 'insufficient_privilege';
    end if;
    for part in
        select c.relname::text as name, substring(c.relname from '([0-9]{4}_[0-9]{2})$') as month,
            c.relname like 'audit_event_until_%' as is_first
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'audit_event'::regclass order by c.relname
    loop
        continue when part.month is null;
        if (to_date(part.month, 'YYYY_MM')
            + (case when part.is_first then interval '0' else interval '1 month' end)) <= before
        then
            execute format('drop table %I', part.name);
            gone := gone || part.name;
        end if;
    end loop;
    return gone;
end $$
"""

_FORGET_SEALS = """
create or replace function audit_forget_seals(through bigint) returns bigint
language plpgsql security definer set search_path from current as $$
declare
    gone bigint;
begin
    if exists (select from audit_seal where seq <= through and at > now() - interval '1 year') then
        raise exception 'audit events are kept for a year at least' using errcode = 'insufficient_privilege';
    end if;
    perform set_config('clinic_net.audit_forgets', 'on', true);
    delete from audit_seal where seq <= through;
    get diagnostics gone = row_count;
    perform set_config('clinic_net.audit_forgets', '', true);
    return gone;
end $$
"""

_REFUSE_SEALS = """
create or replace function audit_refuse_unseal() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and current_setting('clinic_net.audit_forgets', true) = 'on' then
        return null;
    end if;
    raise exception 'the audit trail is append-only' using errcode = 'insufficient_privilege';
end $$
"""


def upgrade() -> None:
    _partition_the_trail()
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "audit_seal",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event", sa.Uuid(), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_seal")),
    )
    op.create_index("uq_audit_seal_event", "audit_seal", ["event"], unique=True)
    op.create_table(
        "audit_node",
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("place", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "place", name=op.f("pk_audit_node")),
    )
    op.create_table(
        "audit_progress",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("xact", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_progress")),
    )
    op.create_table(
        "audit_checkpoint",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_audit_checkpoint")),
    )
    op.create_table(
        "audit_cosignature",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("witness", sa.String(200), nullable=False),
        sa.Column("line", sa.String(), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.PrimaryKeyConstraint("size", "witness", name=op.f("pk_audit_cosignature")),
    )
    op.create_table(
        "audit_cut",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("before", sa.Date(), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_cut")),
    )
    op.execute(_REFUSE_SEALS)
    op.execute(
        "create trigger audit_seal_append_only before update or delete or truncate on audit_seal"
        " for each statement execute function audit_refuse_unseal()"
    )
    op.execute(_PARTITION)
    op.execute(_FORGET)
    op.execute(_FORGET_SEALS)


def _partition_the_trail() -> None:
    ends = (
        op.get_bind()
        .execute(sa.text("select date_trunc('month', now() + interval '1 month')::date"))
        .scalar_one()
    )
    first = f"audit_event_until_{ends:%Y_%m}"
    op.rename_table("audit_event", first)
    op.drop_constraint("pk_audit_event", first)
    op.drop_index("ix_audit_event_actor", first)
    op.drop_index("ix_audit_event_subject", first)
    added = [
        sa.Column("patient", sa.String(64), nullable=True),
        sa.Column("place", sa.String(20), nullable=True),
        sa.Column("actor_place", sa.String(20), nullable=True),
        sa.Column("detail", sa.String(200), nullable=True),
        sa.Column("request", sa.String(64), nullable=True),
        sa.Column("address", sa.String(60), nullable=True),
    ]
    for column in added:
        op.add_column(first, column)
    op.execute(
        f"alter table {first} add column xact bigint not null default 0"
    )  # a constant rewrites nothing
    op.execute(f"alter table {first} alter column xact set default (pg_current_xact_id()::text)::bigint")
    op.execute(f"create table audit_event (like {first} including defaults) partition by range (at)")
    op.create_primary_key("pk_audit_event", "audit_event", ["id", "at"])
    op.create_index(
        "ix_audit_event_patient",
        "audit_event",
        ["patient", "id"],
        postgresql_where=sa.text("patient is not null"),
    )
    op.create_index("ix_audit_event_actor", "audit_event", ["actor", "id"])
    op.create_index("ix_audit_event_place", "audit_event", ["place", "id"])
    op.create_index(
        "ix_audit_event_subject",
        "audit_event",
        ["subject", "id"],
        postgresql_where=sa.text("patient is null"),
    )
    op.create_index("ix_audit_event_xact", "audit_event", ["xact", "id"])
    op.execute(
        f"alter table audit_event attach partition {first} for values from (minvalue) to ('{ends} 00:00:00+00')"
    )
    op.execute("create table audit_event_other partition of audit_event default")
    for table in ("audit_event", "audit_event_other"):
        op.execute(
            f"create trigger audit_event_append_only before update or delete or truncate on {table}"
            " for each statement execute function audit_refuse_change()"
        )
