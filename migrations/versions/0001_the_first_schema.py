"""The first schema: every capability's tables, the append-only triggers, the job queue of procrastinate."""

import sqlalchemy as sa
from alembic import op
from procrastinate.schema import SchemaManager
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """    create or replace function audit_refuse_change() returns trigger language plpgsql as $$
    begin
        raise exception 'the audit trail is append-only' using errcode = 'insufficient_privilege';
    end $$
    """,
    """    create or replace trigger audit_event_append_only before update or delete or truncate on audit_event
    for each statement execute function audit_refuse_change()
    """,
    """    create or replace function records_refuse_change() returns trigger language plpgsql as $$
    begin
        raise exception 'versions of records never change' using errcode = 'insufficient_privilege';
    end $$
    """,
    """    create or replace trigger records_version_immutable before update or delete or truncate on records_version
    for each statement execute function records_refuse_change()
    """,
    """    insert into records_index_key (id, key)
    values (1, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) on conflict do nothing""",
)
"""What no table definition says: logs refuse changes; the key of the index hashes is made here, once."""


def upgrade() -> None:
    op.create_table(
        "access_attempt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_attempt")),
    )
    op.create_index("ix_access_attempt_at", "access_attempt", ["at"], unique=False)
    op.create_index("ix_access_attempt_key", "access_attempt", ["key", "at"], unique=False)
    op.create_table(
        "access_care_relation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("grantee", sa.String(length=120), nullable=False),
        sa.Column("basis", sa.String(length=30), nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_care_relation")),
    )
    op.create_index(
        "ix_access_care_relation_grantee",
        "access_care_relation",
        ["grantee", "patient", "until"],
        unique=False,
    )
    op.create_table(
        "access_client",
        sa.Column("id", sa.String(length=60), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_client")),
    )
    op.create_table(
        "access_device",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("site", sa.String(length=20), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=8), nullable=False),
        sa.Column("jwk", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("thumbprint", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.String(length=40), nullable=False),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.String(length=120), nullable=True),
        sa.CheckConstraint("status in ('active', 'revoked')", name=op.f("ck_access_device_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_device")),
        sa.UniqueConstraint("thumbprint", name=op.f("uq_access_device_thumbprint")),
    )
    op.create_index(
        "uq_access_device_active_site",
        "access_device",
        ["site"],
        unique=True,
        postgresql_where=sa.text("status = 'active'"),
    )
    op.create_index("uq_access_device_site_epoch", "access_device", ["site", "epoch"], unique=True)
    op.create_table(
        "access_enrolment_code",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("site", sa.String(length=20), nullable=False),
        sa.Column("issued_by", sa.String(length=120), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("replaced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("device", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_access_enrolment_code")),
    )
    op.create_index("ix_access_enrolment_code_site", "access_enrolment_code", ["site"], unique=False)
    op.create_table(
        "access_used_jti",
        sa.Column("issuer", sa.String(length=60), nullable=False),
        sa.Column("jti", sa.String(length=120), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "jti", name=op.f("pk_access_used_jti")),
    )
    op.create_table(
        "access_user",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("login", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("role", sa.String(length=12), nullable=False),
        sa.Column("facility", sa.String(length=5), nullable=False),
        sa.Column("practitioner", sa.Uuid(), nullable=True),
        sa.Column("specialties", sa.ARRAY(sa.String()), nullable=False),
        sa.Column("language", sa.String(length=5), nullable=False),
        sa.Column("password", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "role in ('doctor', 'nurse', 'coordinator', 'operator', 'auditor')",
            name=op.f("ck_access_user_role"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_user")),
        sa.UniqueConstraint("login", name=op.f("uq_access_user_login")),
    )
    op.create_index("ix_access_user_facility", "access_user", ["facility", "role"], unique=False)
    op.create_table(
        "audit_event",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=160), nullable=False),
        sa.Column("outcome", sa.String(length=60), nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_event")),
    )
    op.create_index("ix_audit_event_actor", "audit_event", ["actor", "at"], unique=False)
    op.create_index("ix_audit_event_subject", "audit_event", ["subject", "at"], unique=False)
    op.create_table(
        "consultation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("site", sa.String(length=20), nullable=False),
        sa.Column("site_name", sa.String(length=160), nullable=False),
        sa.Column("commune", sa.String(length=5), nullable=False),
        sa.Column("facility", sa.String(length=5), nullable=False),
        sa.Column("province", sa.String(length=2), nullable=False),
        sa.Column("tenant", sa.String(length=20), nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("encounter", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("specialty", sa.String(length=30), nullable=False),
        sa.Column("urgency", sa.String(length=10), nullable=False),
        sa.Column("triage_score", sa.Integer(), nullable=True),
        sa.Column("triage_chart", sa.String(length=30), nullable=True),
        sa.Column("state", sa.String(length=15), nullable=False),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.Column("tier", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("ring_after", sa.Interval(), nullable=False),
        sa.Column("next_step", sa.String(length=20), nullable=True),
        sa.Column("next_step_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("owner", sa.String(length=60), nullable=True),
        sa.Column("accepted_by", sa.Uuid(), nullable=True),
        sa.Column("accepted_name", sa.String(length=120), nullable=True),
        sa.Column("accepted_facility", sa.String(length=5), nullable=True),
        sa.Column("accepted_facility_name", sa.String(length=160), nullable=True),
        sa.Column("doctor_sid", sa.String(length=64), nullable=True),
        sa.Column("station_sid", sa.String(length=64), nullable=True),
        sa.Column("doctor_flowing", sa.Boolean(), nullable=False),
        sa.Column("station_flowing", sa.Boolean(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rung_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("media_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.String(length=20), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consultation")),
    )
    op.create_index("ix_consultation_accepted_by", "consultation", ["accepted_by"], unique=False)
    op.create_index(
        "ix_consultation_due",
        "consultation",
        ["next_step_at"],
        unique=False,
        postgresql_where="next_step_at is not null",
    )
    op.create_index(
        "ix_consultation_open",
        "consultation",
        ["province", "urgency"],
        unique=False,
        postgresql_where="next_step_at is not null",
    )
    op.create_index("ix_consultation_site", "consultation", ["site"], unique=False)
    op.create_table(
        "consultation_duty",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("facility", sa.String(length=5), nullable=False),
        sa.Column("province", sa.String(length=2), nullable=False),
        sa.Column("specialties", sa.ARRAY(sa.String()), nullable=False),
        sa.Column("on_duty", sa.Boolean(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("online_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_consultation_duty")),
    )
    op.create_index(
        "ix_consultation_duty_ready",
        "consultation_duty",
        ["province"],
        unique=False,
        postgresql_where="on_duty and online",
    )
    op.create_table(
        "consultation_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("consultation", sa.Uuid(), nullable=False),
        sa.Column("step", sa.String(length=20), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=60), nullable=False),
        sa.Column("tier", sa.Integer(), nullable=False),
        sa.Column("detail", sa.String(length=60), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consultation_event")),
    )
    op.create_index(
        "ix_consultation_event_consultation", "consultation_event", ["consultation", "id"], unique=False
    )
    op.create_table(
        "consultation_ring",
        sa.Column("consultation", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("tier", sa.Integer(), nullable=False),
        sa.Column("rung_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ringing_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer", sa.String(length=20), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("consultation", "user_id", name=op.f("pk_consultation_ring")),
    )
    op.create_index(
        "ix_consultation_ring_open",
        "consultation_ring",
        ["user_id"],
        unique=False,
        postgresql_where="answer is null",
    )
    op.create_index(
        "ix_consultation_ring_user", "consultation_ring", ["user_id", "consultation"], unique=False
    )
    op.create_table(
        "directory_admin_unit",
        sa.Column("code", sa.String(length=5), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("level", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("parent_code", sa.String(length=5), nullable=True),
        sa.PrimaryKeyConstraint("code", "valid_from", name=op.f("pk_directory_admin_unit")),
    )
    op.create_index(
        "ix_directory_admin_unit_parent", "directory_admin_unit", ["parent_code", "valid_from"], unique=False
    )
    op.create_table(
        "directory_admin_unit_event",
        sa.Column("id", sa.String(length=60), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("effective", sa.Date(), nullable=False),
        sa.Column("decree", sa.String(length=120), nullable=False),
        sa.Column("from_codes", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("to_codes", postgresql.ARRAY(sa.String()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_directory_admin_unit_event")),
    )
    op.create_table(
        "directory_facility",
        sa.Column("code", sa.String(length=5), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("technical_level", sa.String(length=12), nullable=False),
        sa.Column("province_code", sa.String(length=2), nullable=False),
        sa.Column("commune_code", sa.String(length=5), nullable=False),
        sa.Column("referral_facility_code", sa.String(length=5), nullable=True),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_directory_facility")),
    )
    op.create_index(
        "ix_directory_facility_province", "directory_facility", ["province_code", "kind"], unique=False
    )
    op.create_table(
        "directory_practitioner",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("licence_number", sa.String(length=30), nullable=False),
        sa.Column("licence_from", sa.Date(), nullable=False),
        sa.Column("licence_to", sa.Date(), nullable=True),
        sa.Column("specialties", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("facility_code", sa.String(length=5), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_directory_practitioner")),
        sa.UniqueConstraint("licence_number", name=op.f("uq_directory_practitioner_licence_number")),
    )
    op.create_index(
        "ix_directory_practitioner_facility", "directory_practitioner", ["facility_code"], unique=False
    )
    op.create_table(
        "directory_site",
        sa.Column("code", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("commune_code", sa.String(length=5), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_directory_site")),
    )
    op.create_index("ix_directory_site_commune", "directory_site", ["commune_code"], unique=False)
    op.create_table(
        "directory_site_parent",
        sa.Column("site_code", sa.String(length=20), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("facility_code", sa.String(length=5), nullable=False),
        sa.PrimaryKeyConstraint("site_code", "valid_from", name=op.f("pk_directory_site_parent")),
    )
    op.create_index(
        "ix_directory_site_parent_facility", "directory_site_parent", ["facility_code"], unique=False
    )
    op.create_table(
        "fleet_station_state",
        sa.Column("site", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("facility_code", sa.String(length=5), nullable=False),
        sa.Column("province_code", sa.String(length=2), nullable=False),
        sa.Column("agent", sa.String(length=40), nullable=False),
        sa.Column("waiting", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("oldest_waiting_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_contact_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("site", name=op.f("pk_fleet_station_state")),
    )
    op.create_index("ix_fleet_station_state_facility", "fleet_station_state", ["facility_code"], unique=False)
    op.create_index(
        "ix_fleet_station_state_province",
        "fleet_station_state",
        ["province_code", "last_contact_at"],
        unique=False,
    )
    op.create_table(
        "records_condition",
        sa.Column("k", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("k", name=op.f("pk_records_condition")),
    )
    op.create_table(
        "records_index_key",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_records_index_key")),
    )
    op.create_table(
        "records_ix_date",
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("p", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("lo", sa.BigInteger(), nullable=False),
        sa.Column("hi", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rid", "p", "lo", "hi", name=op.f("pk_records_ix_date")),
    )
    op.create_index("ix_records_ix_date_value", "records_ix_date", ["p", "lo", "hi"], unique=False)
    op.create_table(
        "records_ix_number",
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("p", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("lo", sa.Float(), nullable=False),
        sa.Column("hi", sa.Float(), nullable=False),
        sa.Column("u", sa.BigInteger(), nullable=False),
        sa.Column("c", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rid", "p", "lo", "hi", "u", "c", "n", name=op.f("pk_records_ix_number")),
    )
    op.create_index("ix_records_ix_number_value", "records_ix_number", ["p", "lo", "hi"], unique=False)
    op.create_table(
        "records_ix_string",
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("p", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("folded", sa.Text(collation="C"), nullable=False),
        sa.Column("marked", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("rid", "p", "folded", "marked", name=op.f("pk_records_ix_string")),
    )
    op.create_index("ix_records_ix_string_value", "records_ix_string", ["p", "folded"], unique=False)
    op.create_table(
        "records_ix_token",
        sa.Column("h", sa.BigInteger(), nullable=False),
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("h", "rid", name=op.f("pk_records_ix_token")),
    )
    op.create_table(
        "records_resource",
        sa.Column("rid", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant", sa.String(length=20), nullable=False),
        sa.Column("rtype", sa.String(length=40), nullable=False),
        sa.Column("fid", sa.String(length=64), nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("author", sa.String(length=120), nullable=False),
        sa.Column("tokens", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("rid", name=op.f("pk_records_resource")),
    )
    op.create_index(
        "ix_records_resource_newest",
        "records_resource",
        ["rtype", "rid"],
        unique=False,
        postgresql_where=sa.text("not deleted"),
    )
    op.create_index(
        "ix_records_resource_patient",
        "records_resource",
        ["patient", "updated"],
        unique=False,
        postgresql_where=sa.text("not deleted"),
    )
    op.create_index(
        "ix_records_resource_tenant", "records_resource", ["tenant", "rtype", "rid"], unique=False
    )
    op.create_index(
        "ix_records_resource_updated",
        "records_resource",
        ["rtype", "updated", "rid"],
        unique=False,
        postgresql_where=sa.text("not deleted"),
    )
    op.create_index("uq_records_resource_identity", "records_resource", ["rtype", "fid"], unique=True)
    op.create_table(
        "records_version",
        sa.Column("vseq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.Column("method", sa.String(length=1), nullable=False),
        sa.Column("tenant", sa.String(length=20), nullable=False),
        sa.Column("rtype", sa.String(length=40), nullable=False),
        sa.Column("author", sa.String(length=120), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("vseq", name=op.f("pk_records_version")),
    )
    op.create_index("ix_records_version_type", "records_version", ["rtype", "vseq"], unique=False)
    op.create_index("uq_records_version_rid", "records_version", ["rid", "version"], unique=True)
    op.create_table(
        "referral_case",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("task", sa.Uuid(), nullable=False),
        sa.Column("consultation", sa.Uuid(), nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=20), nullable=False),
        sa.Column("site", sa.String(length=20), nullable=False),
        sa.Column("specialty", sa.String(length=30), nullable=False),
        sa.Column("urgency", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.Column("hops", sa.Integer(), nullable=False),
        sa.Column("overdue", sa.Integer(), nullable=False),
        sa.Column("from_facility", sa.String(length=5), nullable=False),
        sa.Column("from_province", sa.String(length=2), nullable=False),
        sa.Column("to_facility", sa.String(length=5), nullable=False),
        sa.Column("to_facility_name", sa.String(length=160), nullable=False),
        sa.Column("to_province", sa.String(length=2), nullable=False),
        sa.Column("requested_by", sa.Uuid(), nullable=False),
        sa.Column("requester_name", sa.String(length=120), nullable=False),
        sa.Column("duplicate_of", sa.Uuid(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_by", sa.String(length=120), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_referral_case")),
    )
    op.create_index(
        "ix_referral_case_due",
        "referral_case",
        ["due_at"],
        unique=False,
        postgresql_where="due_at is not null",
    )
    op.create_index("ix_referral_case_patient", "referral_case", ["patient"], unique=False)
    op.create_index("ix_referral_case_to", "referral_case", ["to_province", "to_facility"], unique=False)
    op.create_table(
        "referral_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("referral", sa.Uuid(), nullable=False),
        sa.Column("step", sa.String(length=20), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=60), nullable=False),
        sa.Column("facility", sa.String(length=5), nullable=False),
        sa.Column("reason", sa.String(length=30), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_referral_event")),
    )
    op.create_index("ix_referral_event_referral", "referral_event", ["referral", "id"], unique=False)
    op.create_table(
        "signalling_answer",
        sa.Column("address", sa.String(length=60), nullable=False),
        sa.Column("request", sa.Uuid(), nullable=False),
        sa.Column("body", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("address", "request", name=op.f("pk_signalling_answer")),
    )
    op.create_index(op.f("ix_signalling_answer_at"), "signalling_answer", ["at"], unique=False)
    op.create_table(
        "signalling_mail",
        sa.Column("sid", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("sid", "seq", name=op.f("pk_signalling_mail")),
    )
    op.create_table(
        "signalling_session",
        sa.Column("sid", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=60), nullable=False),
        sa.Column("node", sa.String(length=40), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sid", name=op.f("pk_signalling_session")),
    )
    op.create_index(op.f("ix_signalling_session_address"), "signalling_session", ["address"], unique=False)
    op.create_index(
        op.f("ix_signalling_session_expires_at"), "signalling_session", ["expires_at"], unique=False
    )
    op.create_index(op.f("ix_signalling_session_node"), "signalling_session", ["node"], unique=False)
    op.create_table(
        "sync_applied_op",
        sa.Column("db_epoch", sa.Uuid(), nullable=False),
        sa.Column("op", sa.BigInteger(), nullable=False),
        sa.Column("site", sa.String(length=20), nullable=False),
        sa.Column("rtype", sa.String(length=40), nullable=False),
        sa.Column("fid", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("issues", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("db_epoch", "op", name=op.f("pk_sync_applied_op")),
    )
    op.create_index(
        "ix_sync_applied_op_resource", "sync_applied_op", ["db_epoch", "rtype", "fid", "op"], unique=False
    )
    op.create_table(
        "sync_feed",
        sa.Column("scope", sa.String(length=40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=6), nullable=False),
        sa.Column("rtype", sa.String(length=40), nullable=False),
        sa.Column("fid", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "seq", name=op.f("pk_sync_feed")),
        sa.UniqueConstraint(
            "scope", "rtype", "fid", "version", name=op.f("uq_sync_feed_scope_rtype_fid_version")
        ),
    )
    op.create_table(
        "sync_quarantined",
        sa.Column("db_epoch", sa.Uuid(), nullable=False),
        sa.Column("op", sa.BigInteger(), nullable=False),
        sa.Column("site", sa.String(length=20), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("db_epoch", "op", name=op.f("pk_sync_quarantined")),
    )
    op.create_index(op.f("ix_sync_quarantined_site"), "sync_quarantined", ["site"], unique=False)
    op.create_table(
        "sync_scope_head",
        sa.Column("scope", sa.String(length=40), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_sync_scope_head")),
    )
    op.create_table(
        "access_session",
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["access_user.id"], name=op.f("fk_access_session_user_id")),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_access_session")),
    )
    op.create_index("ix_access_session_expires", "access_session", ["expires_at"], unique=False)
    op.create_index("ix_access_session_user", "access_session", ["user_id"], unique=False)
    # Without parameters: per cent signs are the statements' own.
    with op.get_bind().connection.cursor() as cursor:
        for statement in STATEMENTS:
            cursor.execute(statement)
        cursor.execute(SchemaManager.get_schema())
