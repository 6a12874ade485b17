"""A feed has one row a resource, which moves; scopes know what they hold. Snapshots, moves, erasures, settings.

Nodes of the release before go on reading feeds. What they would write into one is refused by the database and stays
with the queue, whose next attempt finds a node of this release.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from clinic_net.protocol.sync import sums

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_BATCH = 5000
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _feeds()
    op.create_table(
        "sync_erasure",
        sa.Column("device", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("site", sa.String(20), nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("why", sa.String(20), nullable=False),
        sa.Column("ordered_at", _INSTANT, nullable=False),
        sa.Column("receipt", sa.String(), nullable=True),
        sa.Column("erased", sa.Integer(), nullable=True),
        sa.Column("received_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("device", "seq", name=op.f("pk_sync_erasure")),
    )
    op.create_index(
        "ix_sync_erasure_owed", "sync_erasure", ["site"], postgresql_where=sa.text("receipt is null")
    )
    op.create_table(
        "sync_snapshot",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.String(60), nullable=False),
        sa.Column("as_of", sa.BigInteger(), nullable=False),
        sa.Column("made_at", _INSTANT, nullable=False),
        sa.Column("manifest", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_snapshot")),
    )
    op.create_index("ix_sync_snapshot_scope", "sync_snapshot", ["scope", "as_of"])
    op.create_table(
        "sync_segment",
        sa.Column("snapshot", sa.Uuid(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("snapshot", "n", name=op.f("pk_sync_segment")),
    )
    op.execute("alter table sync_segment alter column data set storage external")  # compressed already
    op.create_table(
        "sync_move",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("origin", sa.String(20), nullable=False),
        sa.Column("target", sa.String(20), nullable=False),
        sa.Column("patients", postgresql.ARRAY(sa.String(64)), nullable=True),
        sa.Column("ordered_by", sa.String(120), nullable=False),
        sa.Column("ordered_at", _INSTANT, nullable=False),
        sa.Column("moved_patients", sa.Integer(), nullable=False),
        sa.Column("moved_records", sa.Integer(), nullable=False),
        sa.Column("done_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_move")),
    )
    op.create_index("ix_sync_move_origin", "sync_move", ["origin", "ordered_at"])
    op.create_table(
        "sync_moved_patient",
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("origin", sa.String(20), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("patient", "origin", name=op.f("pk_sync_moved_patient")),
    )
    op.create_table(
        "fleet_setting",
        sa.Column("layer", sa.String(30), nullable=False),
        sa.Column("settings", postgresql.JSONB(), nullable=False),
        sa.Column("set_by", sa.String(120), nullable=False),
        sa.Column("set_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("layer", name=op.f("pk_fleet_setting")),
    )
    op.add_column(
        "fleet_station_state",
        sa.Column("health", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'::jsonb")),
    )


def _feeds() -> None:
    for table in ("sync_scope_head", "sync_feed"):
        op.alter_column(table, "scope", type_=sa.String(60))
    op.add_column("sync_scope_head", sa.Column("held", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column(
        "sync_scope_head", sa.Column("total", sa.Numeric(20, 0), nullable=False, server_default="0")
    )
    op.add_column("sync_scope_head", sa.Column("copy_asked_at", _INSTANT, nullable=True))
    op.add_column("sync_feed", sa.Column("share", sa.BigInteger(), nullable=True))
    op.add_column("sync_feed", sa.Column("bin", sa.SmallInteger(), nullable=True))
    op.execute(
        "delete from sync_feed f using sync_feed g where g.scope = f.scope and g.rtype = f.rtype and g.fid = f.fid"
        " and (g.version, g.seq) > (f.version, f.seq)"
    )
    _fill_shares()
    op.alter_column("sync_feed", "share", nullable=False)
    op.alter_column("sync_feed", "bin", nullable=False)
    op.execute("alter table sync_feed drop constraint uq_sync_feed_scope_rtype_fid_version")
    op.execute("alter table sync_feed drop constraint pk_sync_feed")
    op.create_primary_key(op.f("pk_sync_feed"), "sync_feed", ["scope", "rtype", "fid"])
    op.create_index("uq_sync_feed_seq", "sync_feed", ["scope", "seq"], unique=True)
    op.execute(
        "update sync_scope_head h set held = f.held, total = f.total from ("
        " select scope, count(*) as held, mod(mod(sum(share::numeric), 18446744073709551616)"
        " + 18446744073709551616, 18446744073709551616) as total from sync_feed where kind = 'put' group by scope) f"
        " where f.scope = h.scope"
    )


def _fill_shares() -> None:
    """Give every row its share, in portions; the database has no such hash."""
    connection = op.get_bind()
    while rows := connection.execute(
        sa.text("select scope, seq, kind, rtype, fid, version from sync_feed where bin is null limit :most"),
        {"most": _BATCH},
    ).all():
        given = []
        for scope, seq, kind, rtype, fid, version in rows:
            share = sums.of_version(rtype, fid, version) if kind == "put" else 0
            signed = share - sums.MODULUS if share >= sums.MODULUS // 2 else share
            given.append({"scope": scope, "seq": seq, "share": signed, "bin": sums.bin_of(rtype, fid)})
        connection.execute(
            sa.text("update sync_feed set share = :share, bin = :bin where scope = :scope and seq = :seq"),
            given,
        )
