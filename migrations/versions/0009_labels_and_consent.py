"""Labels of records, what citizens permit and refuse, relations kept to one place, records opened in an emergency.

``labels`` stays null in old rows, which the rule reads as "look into the text"; reindexing fills them in.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ROLES = "('doctor', 'nurse', 'coordinator', 'operator', 'auditor', 'national', 'citizen')"


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.execute("alter table access_user add column if not exists patient varchar(64)")
    op.execute("alter table access_user drop constraint if exists ck_access_user_role")
    op.execute(f"alter table access_user add constraint ck_access_user_role check (role in {_ROLES})")
    op.add_column("records_resource", sa.Column("labels", sa.Integer(), nullable=True))
    op.add_column("access_care_relation", sa.Column("tenant", sa.String(20), nullable=True))
    op.add_column("access_care_relation", sa.Column("source", sa.String(80), nullable=True))
    op.create_index("ix_access_care_relation_patient", "access_care_relation", ["patient"])
    op.create_index("ix_access_care_relation_source", "access_care_relation", ["source"])
    op.create_table(
        "access_consent",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("grantor", sa.String(120), nullable=False),
        sa.Column("verified_by", sa.String(120), nullable=False),
        sa.Column("decision", sa.String(6), nullable=False),
        sa.Column("grantee", sa.String(120), nullable=False),
        sa.Column("tenant", sa.String(20), nullable=True),
        sa.Column("status", sa.String(9), nullable=False),
        sa.Column("since", instant, nullable=False),
        sa.Column("until", instant, nullable=True),
        sa.Column("wording", sa.String(40), nullable=False),
        sa.Column("language", sa.String(5), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=False),
        sa.Column("given_at", instant, nullable=False),
        sa.Column("withdrawn_at", instant, nullable=True),
        sa.CheckConstraint("decision in ('permit', 'deny')", name=op.f("ck_access_consent_decision")),
        sa.CheckConstraint("status in ('active', 'withdrawn')", name=op.f("ck_access_consent_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_consent")),
    )
    op.create_index("ix_access_consent_patient", "access_consent", ["patient", "grantee"])
    op.create_index("ix_access_consent_resource", "access_consent", ["resource"])
    op.create_table(
        "access_emergency",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("person", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("facility", sa.String(5), nullable=False),
        sa.Column("province", sa.String(2), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("words", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(8), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("until", instant, nullable=False),
        sa.Column("review_due", instant, nullable=False),
        sa.Column("many", sa.Boolean(), nullable=False),
        sa.Column("reviewed_at", instant, nullable=True),
        sa.Column("reviewed_by", sa.String(120), nullable=True),
        sa.Column("outcome", sa.String(10), nullable=True),
        sa.Column("review_words", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_emergency")),
    )
    op.create_index("ix_access_emergency_person", "access_emergency", ["person", "at"])
    op.create_index("ix_access_emergency_patient", "access_emergency", ["patient"])
    op.create_index("ix_access_emergency_province", "access_emergency", ["province", "at"])
