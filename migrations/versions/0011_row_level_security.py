"""A second line for the records: requests work as a role that owns nothing and sees rows by policies (ADR 20).

The owner, as whom the hub works by itself, migrations run and the release before still serves, has a policy of its own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_ROLE, _SYSTEM = "clinic_net_app", "clinic_net_system"
_WITHIN = """
    (select current_setting('app.scope', true)) = '*'
    or tenant = any ((select string_to_array(current_setting('app.tenants', true), ','))::text[])
    or patient = (select nullif(current_setting('app.own', true), ''))
    or patient in (
        select c.patient from access_care_relation c
        where c.grantee = any (string_to_array(current_setting('app.names', true), ','))
        and (c.until is null or c.until > nullif(current_setting('app.at', true), '')::timestamptz))
"""
_VERSION_WITHIN = """
    (select current_setting('app.scope', true)) = '*'
    or tenant = any ((select string_to_array(current_setting('app.tenants', true), ','))::text[])
    or exists (select from records_resource r where r.rid = records_version.rid)
"""
_KNOWN = "(select nullif(current_setting('app.scope', true), '')) is not null"
"""Whoever writes a version has written its head in the same statement, and that is looked at."""


def upgrade() -> None:
    connection = op.get_bind()
    found = connection.execute(
        sa.text(
            "select count(*) from pg_roles where rolname = any(:roles) and pg_has_role(current_user, oid, 'member')"
        ),
        {"roles": [_ROLE, _SYSTEM]},
    ).scalar()
    if found != 2:
        owner = connection.execute(sa.text("select current_user")).scalar()
        raise RuntimeError(
            f"requests need roles that own nothing; as a superuser: create role {_ROLE} nologin; "
            f'create role {_SYSTEM} nologin; grant {_ROLE}, {_SYSTEM} to "{owner}";'
        )
    both = f"{_ROLE}, {_SYSTEM}"
    for statement in (
        f"grant usage on schema public to {both}",
        f"grant select, insert, update, delete on all tables in schema public to {both}",
        f"grant usage, select on all sequences in schema public to {both}",
        f"revoke update, delete on audit_event, records_version from {both}",
        f"alter default privileges in schema public grant select, insert, update, delete on tables to {both}",
        f"alter default privileges in schema public grant usage, select on sequences to {both}",
        "alter table records_resource enable row level security",
        "alter table records_resource force row level security",
        "alter table records_version enable row level security",
        "alter table records_version force row level security",
        "create policy hub on records_resource to current_user using (true) with check (true)",
        "create policy hub on records_version to current_user using (true) with check (true)",
        f"create policy system on records_resource to {_SYSTEM} using (true) with check (true)",
        f"create policy system on records_version to {_SYSTEM} using (true) with check (true)",
        f"create policy request on records_resource to {_ROLE} using ({_WITHIN}) with check ({_WITHIN})",
        f"create policy request_look on records_version for select to {_ROLE} using ({_VERSION_WITHIN})",
        f"create policy request_add on records_version for insert to {_ROLE} with check ({_KNOWN})",
    ):
        op.execute(statement)
