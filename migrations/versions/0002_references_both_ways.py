"""Heads get the hash of their address, and references an index that is read both ways: chained searches."""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from clinic_net.fhir import index, parse
from clinic_net.records import rules
from clinic_net.records.index import address_of
from clinic_net.records.keys import parameter_id

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BATCH = 500


def upgrade() -> None:
    op.add_column("records_resource", sa.Column("address", sa.BigInteger(), nullable=True))
    op.create_table(
        "records_ix_link",
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("p", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("address", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rid", "p", "address", name=op.f("pk_records_ix_link")),
    )
    connection = op.get_bind()
    for batch in _batches(connection):
        addresses = [{"rid": rid, "address": address_of(rtype, fid)} for rid, rtype, fid, _ in batch]
        connection.execute(
            sa.text("update records_resource set address = :address where rid = :rid"), addresses
        )
        links = [
            link for rid, rtype, _, body in batch if body is not None for link in _links(rid, rtype, body)
        ]
        if links:
            connection.execute(
                sa.text(
                    "insert into records_ix_link (rid, p, address) values (:rid, :p, :address)"
                    " on conflict do nothing"
                ),
                links,
            )
    op.alter_column("records_resource", "address", nullable=False)
    op.create_index("ix_records_resource_address", "records_resource", ["address"])
    op.create_index("ix_records_ix_link_target", "records_ix_link", ["address", "p", "rid"])


def _batches(connection: sa.Connection) -> Iterator[list[tuple[int, str, str, bytes | None]]]:
    after = 0
    read = sa.text(
        "select rid, rtype, fid, body from records_resource where rid > :after order by rid limit :batch"
    )
    while rows := connection.execute(read, {"after": after, "batch": BATCH}).all():
        yield [(row[0], row[1], row[2], row[3]) for row in rows]
        after = rows[-1][0]


def _links(rid: int, rtype: str, body: bytes) -> Iterator[dict[str, int]]:
    for name, references in index(parse(bytes(body))).references.items():
        for reference in references:
            if (target := rules.local_reference(reference)) is not None:
                yield {"rid": rid, "p": parameter_id(rtype, name), "address": address_of(*target)}
