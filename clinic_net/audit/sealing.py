"""The sealer: gives each event its place in the gap-free chain, a moment after the transaction that wrote it.

It sees only events whose transactions are over, so that none is ever sealed behind its back, and one sealer works at a
time. ``tend`` is what a worker calls again and again.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from clinic_net.audit import notes, tree
from clinic_net.audit.canonical import FIELDS, GENESIS, chained
from clinic_net.kernel.arrays import numbers, texts
from clinic_net.kernel.gate import leave_room
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.settings import HubSettings

BATCH = 1_000
"""Events sealed in one transaction."""

CHECKPOINT_EVERY = timedelta(minutes=1)

_ALONE = text("select pg_try_advisory_xact_lock(7203411906)")
"""Any number that nobody else uses."""

_OVER = text("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
"""Every transaction with a smaller number has ended."""

_PROGRESS = text("select xact, event from audit_progress where id = 1")
_MOVE = text("""
    insert into audit_progress (id, xact, event) values (1, :xact, :event)
    on conflict (id) do update set xact = excluded.xact, event = excluded.event
""")
_HEAD = text("""
    select seq, hash from (
        (select seq, hash from audit_seal order by seq desc limit 1)
        union all (select seq, hash from audit_cut order by seq desc limit 1)
    ) as ends order by seq desc limit 1
""")
_NEXT = text(f"""
    select {", ".join(FIELDS)} from audit_event e
    where (xact, id) > (:xact, cast(:event as uuid)) and xact < :over
    and not exists (select from audit_seal s where s.event = e.id)
    order by xact, id limit :batch
""")  # noqa: S608 -- only constants of this module are put together
_SEAL = text("""
    insert into audit_seal (seq, event, at, hash)
    select * from unnest(cast(:seqs as bigint[]), cast(:events as uuid[]), cast(:ats as timestamptz[]),
        cast(:hashes as bytea[]))
""")
_NEWEST = text("select size, at, note from audit_checkpoint order by size desc limit 1")
_CHECKPOINT = text("""
    insert into audit_checkpoint (size, root, at, note) values (:size, :root, :at, :note)
    on conflict (size) do nothing
""")
_FIRST = UUID(int=0)


def origin_of(settings: HubSettings) -> str:
    """Return how checkpoints name this hub's trail: its public host, without a scheme."""
    return f"{urlsplit(settings.public_url).netloc}/audit"


def signer_of(settings: HubSettings) -> notes.Signer:
    """Return the key that signs the checkpoints of this hub's trail."""
    secret = settings.audit_key or settings.token_key
    return notes.derived_signer(origin_of(settings), secret.get_secret_value())


async def seal(connection: AsyncConnection, *, limit: int = BATCH) -> int:
    """Seal what is over, up to ``limit`` events, in this transaction; return how many. 0 where another sealer works."""
    if not (await connection.execute(_ALONE)).scalar_one():
        return 0
    over: int = (await connection.execute(_OVER)).scalar_one()
    row = (await connection.execute(_PROGRESS)).one_or_none()
    xact, event = (-1, _FIRST) if row is None else (row.xact, row.event)
    # Transactions are counted anew in a database restored by copying its rows: then all are looked at once more.
    if xact > over:
        xact, event = -1, _FIRST
    asked = {"xact": xact, "event": event, "over": over, "batch": limit}
    rows = (await connection.execute(_NEXT, asked)).all()
    if rows:
        await _chain(connection, rows)
    if rows and len(rows) == limit:
        moved = {"xact": rows[-1].xact, "event": rows[-1].id}
    else:
        moved = {"xact": over - 1, "event": UUID(int=(1 << 128) - 1)}
    if row is None or (moved["xact"], moved["event"]) != (row.xact, row.event):
        await connection.execute(_MOVE, moved)
    return len(rows)


async def _chain(connection: AsyncConnection, rows: Sequence[Any]) -> None:
    seq, head = await head_of(connection)
    hashes = []
    for row in rows:
        head = chained(head, row)
        hashes.append(head)
    await connection.execute(
        _SEAL,
        {
            "seqs": numbers(range(seq + 1, seq + len(rows) + 1)),
            "events": texts([str(row.id) for row in rows]),
            "ats": texts([row.at.isoformat() for row in rows]),
            "hashes": texts([f"\\x{one.hex()}" for one in hashes]),
        },
    )
    await tree.grow(connection, seq, seq + len(rows))


async def head_of(connection: AsyncConnection) -> tuple[int, bytes]:
    """Return number and hash of the last event in the chain; 0 and the genesis where there is none."""
    row = (await connection.execute(_HEAD)).one_or_none()
    return (0, GENESIS) if row is None else (row.seq, bytes(row.hash))


async def checkpoint(connection: AsyncConnection, settings: HubSettings, *, now: datetime) -> bool:
    """Sign the tree as it is, once a minute at most and at the end of a day, if it has grown; whether it did."""
    size, _ = await head_of(connection)
    newest = (await connection.execute(_NEWEST)).one_or_none()
    if size == 0 or (newest is not None and newest.size >= size):
        return False
    fresh = newest is not None and now - newest.at < CHECKPOINT_EVERY
    if newest is not None and fresh and newest.at.date() == now.date():
        return False
    root = await tree.root(connection, size)
    signer = signer_of(settings)
    note = notes.signed(notes.body_of(signer.name, size, root), signer)
    await connection.execute(_CHECKPOINT, {"size": size, "root": root, "at": now, "note": note})
    return True


async def tend(hub: Hub) -> int:
    """Seal everything that is over and sign a checkpoint where one is due; return how many events were sealed."""
    sealed = 0
    while True:
        began = time.perf_counter()
        async with hub.engine.begin() as connection:
            count = await seal(connection)
        sealed += count
        if count < BATCH:
            break
        await leave_room(time.perf_counter() - began)
    async with hub.engine.begin() as connection:
        if (await connection.execute(_ALONE)).scalar_one():
            await checkpoint(connection, hub.settings, now=hub.now())
    return sealed
