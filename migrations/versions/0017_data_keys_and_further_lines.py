"""Data keys that seal national identifiers (ADR 27); the second line for cases, referrals and what concerns privacy.

A request sees its own cases by who asks (``app.user``, ``app.facility``, ``app.role``) and whose (``app.own``, a care
relation). How many calls a person holds is counted by a function of the owner: who rings somebody must know, and learns
a number only. The trail names the program that acted for a person.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None

_ROLE = "clinic_net_app"
_ALL = "(select current_setting('app.scope', true)) = '*'"
_KNOWN = "(select nullif(current_setting('app.scope', true), '')) is not null"
_USER = "(select nullif(current_setting('app.user', true), ''))::uuid"
_FACILITY = "(select nullif(current_setting('app.facility', true), ''))"
_TENANTS = "any ((select string_to_array(current_setting('app.tenants', true), ','))::text[])"
_WATCHED = """(select f.province_code from directory_facility f
    where f.code = nullif(current_setting('app.facility', true), '')
    and current_setting('app.role', true) in ('coordinator', 'operator', 'auditor', 'national'))"""
_KEEPERS = "(select current_setting('app.role', true)) in ('operator', 'auditor', 'national')"
_OWN = "(select nullif(current_setting('app.own', true), ''))"
_CARED = """patient in (
    select c.patient from access_care_relation c
    where c.grantee = any (string_to_array(current_setting('app.names', true), ','))
    and (c.until is null or c.until > nullif(current_setting('app.at', true), '')::timestamptz))"""

_SEEN = {
    "consultation": f"""{_ALL} or site = {_TENANTS} or tenant = {_TENANTS} or accepted_by = {_USER}
        or province = {_WATCHED} or {_CARED}
        or exists (select from consultation_ring g where g.consultation = consultation.id and g.user_id = {_USER})""",
    "referral_case": f"""{_ALL} or site = {_TENANTS} or tenant = {_TENANTS} or requested_by = {_USER}
        or to_facility = {_FACILITY} or to_province = {_WATCHED} or from_province = {_WATCHED} or {_CARED}""",
    "privacy_request": f"{_ALL} or patient = {_OWN} or {_KEEPERS} or {_CARED}",
    "privacy_hold": f"{_ALL} or {_KEEPERS}",
    "access_emergency": f"{_ALL} or person = {_USER} or patient = {_OWN} or province = {_WATCHED}",
}
_FOLLOWS = {
    "consultation_event": ("consultation", "consultation"),
    "referral_event": ("referral", "referral_case"),
}


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
    op.add_column("audit_event", sa.Column("program", sa.String(64), nullable=True))
    for table, seen in _SEEN.items():
        _guard(table)
        op.execute(f"create policy request_look on {table} for select to {_ROLE} using ({seen})")
        op.execute(f"create policy request_add on {table} for insert to {_ROLE} with check ({_KNOWN})")
        op.execute(
            f"create policy request_change on {table} for update to {_ROLE} using ({seen}) with check ({_KNOWN})"
        )
    for table, (column, parent) in _FOLLOWS.items():
        _guard(table)
        seen = f"exists (select from {parent} p where p.id = {table}.{column})"
        op.execute(f"create policy request_look on {table} for select to {_ROLE} using ({seen})")
        op.execute(f"create policy request_add on {table} for insert to {_ROLE} with check ({_KNOWN})")
    op.execute(
        """
        create function consultation_held(person uuid, states text[]) returns bigint
        language sql stable security definer set search_path = pg_catalog, public as $$
            select count(*) from public.consultation where accepted_by = person and state = any (states)
        $$
        """
    )


def _guard(table: str) -> None:
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(f"create policy hub on {table} to current_user using (true) with check (true)")
