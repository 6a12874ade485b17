"""The chain has no gap and shows every tampering, also by an owner of the tables who switched the triggers off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from clinic_net import audit, worker
from clinic_net.audit import notes, sealing, tree
from clinic_net.audit.canonical import FIELDS, canonical
from clinic_net.audit.merkle import consistent
from clinic_net.audit.verifying import Verdict, Wanted, verify
from clinic_net.kernel.hub import Hub

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
EVENTS = 700
"""More than two kept subtrees of the tree, and a rest."""
TAMPERED = 301
TABLES = ("audit_event", "audit_seal", "audit_checkpoint", "audit_node", "audit_progress")


async def run(hub: Hub, *statements: str, **values: Any) -> Any:
    async with hub.engine.begin() as connection:
        for statement in statements:
            found = await connection.execute(text(statement), values)
        return found.all() if found.returns_rows else None


async def write(hub: Hub, count: int, *, at: datetime = NOW, actor: str = "user:1") -> None:
    async with hub.sessions() as session, session.begin():
        made = [audit.Event(actor, "record.read", f"Patient/p{n}") for n in range(count)]
        await audit.record_many(session, made, at=at)


async def checkpoint(hub: Hub, at: datetime) -> bool:
    async with hub.engine.begin() as connection:
        return await sealing.checkpoint(connection, hub.settings, now=at)


async def newest(hub: Hub) -> notes.Note:
    ((note,),) = await run(hub, "select note from audit_checkpoint order by size desc limit 1")
    return notes.read_note(note)


@pytest.fixture(scope="module")
async def sealed(hub: Hub) -> Hub:
    """A trail of 700 events with checkpoints, its triggers off, and a copy of everything to come back to."""
    await write(hub, 300)
    await sealing.tend(hub)
    await write(hub, EVENTS - 300, at=NOW + timedelta(hours=1))
    await sealing.tend(hub)
    await checkpoint(hub, hub.now() + timedelta(hours=2))
    parts = await run(
        hub, "select inhrelid::regclass::text from pg_inherits where inhparent = 'audit_event'::regclass"
    )
    await run(
        hub, *(f"alter table {name} disable trigger user" for name in ("audit_seal", *(p for (p,) in parts)))
    )
    await run(hub, "alter table audit_event disable trigger user")
    await run(hub, *(f"create table saved_{name} as table {name}" for name in TABLES))
    return hub


@pytest.fixture
async def trail(sealed: Hub) -> AsyncIterator[Hub]:
    yield sealed
    for name in TABLES:
        await run(sealed, f"delete from {name}", f"insert into {name} select * from saved_{name}")


async def verdict(hub: Hub, **wanted: Any) -> Verdict:
    return await verify(hub.engine, Wanted(**wanted))


async def test_a_trail_that_nobody_touched_is_found_whole(trail: Hub) -> None:
    found = await verdict(trail)
    assert (found.problem, found.verified, found.size, found.checkpoints) == (None, EVENTS, EVENTS, 2)
    outside = await newest(trail)
    assert outside.size == EVENTS
    assert notes.signature_of(outside, sealing.signer_of(trail.settings).verifier) is not None
    assert (await verdict(trail, outside=outside)).problem is None


SEALED = f"(select event from audit_seal where seq = {TAMPERED})"
TAMPERINGS = {
    "another actor": (f"update audit_event set actor = 'user:2' where id = {SEALED}", "changed"),
    "another outcome": (f"update audit_event set outcome = 'x' where id = {SEALED}", "changed"),
    "a null instead of nothing": (f"update audit_event set detail = '' where id = {SEALED}", "changed"),
    "another transaction": (f"update audit_event set xact = xact + 1 where id = {SEALED}", "changed"),
    "a microsecond later": (
        f"update audit_event set at = at + interval '1 us' where id = {SEALED}",
        "changed",
    ),
    "another month": (f"update audit_event set at = at + interval '2 years' where id = {SEALED}", "changed"),
    "the event removed": (f"delete from audit_event where id = {SEALED}", "removed"),
    "the seal removed": (f"delete from audit_seal where seq = {TAMPERED}", "gap"),
    "event and seal removed": (
        f"with gone as (delete from audit_seal where seq = {TAMPERED} returning event)"
        " delete from audit_event where id in (select event from gone)",
        "gap",
    ),
    "another hash": (f"update audit_seal set hash = sha256(hash) where seq = {TAMPERED}", "changed"),
    "two in each other's place": (
        "update audit_seal s set event = o.event, at = o.at from audit_seal o"
        f" where s.seq in ({TAMPERED}, {TAMPERED + 1}) and o.seq = {2 * TAMPERED + 1} - s.seq",
        "reordered",
    ),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_verification_says_which_event_is_not_what_was_sealed(trail: Hub, tampering: str) -> None:
    statement, problem = TAMPERINGS[tampering]
    ((event,),) = await run(trail, f"select event from audit_seal where seq = {TAMPERED}")
    if problem == "reordered":
        await run(trail, "drop index uq_audit_seal_event")
        ((event,),) = await run(trail, f"select event from audit_seal where seq = {TAMPERED + 1}")
    await run(trail, statement)

    found = await verdict(trail)
    part = await verdict(trail, since=NOW + timedelta(minutes=1))
    if problem == "reordered":
        await run(
            trail, "delete from audit_seal", "create unique index uq_audit_seal_event on audit_seal (event)"
        )
    assert (found.problem, found.seq) == (problem, TAMPERED)
    assert found.event == (None if problem == "gap" else event)
    assert found.verified == TAMPERED - 1
    if "later" not in tampering and "month" not in tampering:
        assert (part.problem, part.seq, part.event) == (found.problem, found.seq, found.event)


async def test_an_event_that_the_sealer_never_saw_is_found(trail: Hub) -> None:
    ((forged,),) = await run(
        trail,
        "insert into audit_event (id, at, actor, action, subject, outcome, xact)"
        " select gen_random_uuid(), at, actor, action, subject, outcome, xact from audit_event"
        f" where id = {SEALED} returning id",
    )
    found = await verdict(trail)
    assert (found.problem, found.event) == ("inserted", forged)


async def test_an_event_put_between_two_others_with_a_seal_breaks_what_follows(trail: Hub) -> None:
    """Whoever seals what they insert must write the rest of the chain anew; then the roots differ."""
    outside = await newest(trail)
    await run(trail, f"update audit_event set actor = 'user:2' where id = {SEALED}")
    await run(
        trail,
        f"delete from audit_seal where seq >= {TAMPERED}",
        "delete from audit_node where place > 0",
        "delete from audit_progress",
    )
    await sealing.tend(trail)
    found = await verdict(trail)
    assert (found.problem, found.seq) == ("root-differs", EVENTS)
    await run(trail, "delete from audit_checkpoint")
    assert (await verdict(trail)).problem is None  # without an outside checkpoint nobody can tell
    found = await verdict(trail, outside=outside)
    assert (found.problem, found.seq) == ("root-differs", EVENTS)
    await checkpoint(trail, NOW)
    found = await verdict(trail, outside=outside)
    assert (found.problem, found.seq) == ("two-roots", EVENTS)


async def test_a_tail_that_was_cut_off_is_found_by_an_outside_checkpoint(trail: Hub) -> None:
    outside = await newest(trail)
    await run(
        trail,
        "with gone as (delete from audit_seal where seq > 600 returning event)"
        " delete from audit_event where id in (select event from gone)",
    )
    found = await verdict(trail)
    assert (found.problem, found.seq) == ("tail-cut", 601)
    await run(trail, "delete from audit_checkpoint where size > 600")
    assert (await verdict(trail)).problem is None
    found = await verdict(trail, outside=outside)
    assert (found.problem, found.seq) == ("tail-cut", 601)


async def test_a_seal_is_append_only_as_the_event_is(hub: Hub) -> None:
    await run(hub, "alter table audit_seal enable trigger user")
    for statement in ("update audit_seal set seq = seq", "delete from audit_seal", "truncate audit_seal"):
        with pytest.raises(ProgrammingError, match="append-only"):
            await run(hub, statement)
    await run(hub, "alter table audit_seal disable trigger user")


async def test_an_event_of_a_month_s_table_is_append_only_too(hub: Hub) -> None:
    ((made,),) = await run(hub, "select audit_partition('2031-05-01')")
    assert made == "made"
    for statement in ("update audit_event_2031_05 set actor = 'x'", "truncate audit_event_2031_05"):
        with pytest.raises(ProgrammingError, match="append-only"):
            await run(hub, statement)


async def test_what_is_not_committed_yet_is_sealed_later_and_nothing_twice(trail: Hub) -> None:
    async with trail.sessions() as slow, slow.begin():
        await audit.record(slow, actor="user:slow", action="record.read", subject="Patient/slow", at=NOW)
        await write(trail, 3, actor="user:quick")
        assert await sealing.tend(trail) == 0  # what is behind an open transaction waits for it
    assert await sealing.tend(trail) == 4
    assert await sealing.tend(trail) == 0
    assert (await verdict(trail)).problem is None


async def test_a_clock_that_went_back_breaks_nothing(trail: Hub) -> None:
    await write(trail, 2, at=NOW - timedelta(days=3))
    await sealing.tend(trail)
    assert (await verdict(trail)).problem is None
    assert (await verdict(trail, until=NOW - timedelta(days=1))).problem is None


async def test_a_worker_seals_and_signs_by_itself(trail: Hub) -> None:
    await run(trail, "update audit_checkpoint set at = at - interval '1 day'")
    await write(trail, 3)
    working = asyncio.create_task(worker.run(trail))
    try:
        for _ in range(100):
            if await run(trail, f"select from audit_checkpoint where size >= {EVENTS + 3}"):
                break
            await asyncio.sleep(0.2)
        else:
            pytest.fail("no checkpoint within 20 s")
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
    assert (await verdict(trail)).problem is None
    ahead = await run(trail, "select count(*) from pg_inherits where inhparent = 'audit_event'::regclass")
    assert ahead[0][0] >= 5  # the first, the default, and three months to come


async def test_what_was_rolled_back_leaves_no_gap(trail: Hub) -> None:
    async with trail.sessions() as session:
        await audit.record(session, actor="user:1", action="record.read", subject="Patient/undone", at=NOW)
        await session.rollback()
    await write(trail, 1)
    await sealing.tend(trail)
    found = await verdict(trail)
    assert (found.problem, found.size) == (None, EVENTS + 1)


async def test_sealers_at_once_make_one_chain(trail: Hub) -> None:
    for _ in range(5):
        await write(trail, 40)
        await asyncio.gather(*(sealing.tend(trail) for _ in range(4)))
    await sealing.tend(trail)
    found = await verdict(trail)
    assert (found.problem, found.size) == (None, EVENTS + 200)


async def test_small_batches_make_the_same_chain(trail: Hub) -> None:
    await write(trail, 120)
    while True:
        async with trail.engine.begin() as connection:
            if not await sealing.seal(connection, limit=50):
                break
    assert (await verdict(trail)).size == EVENTS + 120


async def test_a_restored_database_that_counts_transactions_anew_goes_on(trail: Hub) -> None:
    await run(trail, "update audit_progress set xact = xact + 1000000000")
    await write(trail, 2)
    assert await sealing.tend(trail) == 2
    assert (await verdict(trail)).problem is None


async def test_a_checkpoint_comes_once_a_minute_and_when_a_day_has_ended(trail: Hub) -> None:
    ((at,),) = await run(trail, "select at from audit_checkpoint order by size desc limit 1")
    await write(trail, 1)
    await sealing.tend(trail)
    assert (
        not await checkpoint(trail, at + timedelta(seconds=59))
        or at.date() != (at + timedelta(seconds=59)).date()
    )
    assert await checkpoint(trail, at + timedelta(seconds=61))
    assert not await checkpoint(trail, at + timedelta(hours=5))  # nothing new
    midnight = datetime.combine(at.date() + timedelta(days=1), datetime.min.time(), UTC)
    await run(trail, f"update audit_checkpoint set at = '{midnight - timedelta(seconds=5)}'")
    await write(trail, 1)
    async with trail.engine.begin() as connection:
        await sealing.seal(connection)
        assert await sealing.checkpoint(connection, trail.settings, now=midnight + timedelta(seconds=5))


async def test_proofs_from_the_database_show_every_older_size(trail: Hub) -> None:
    async with trail.engine.connect() as connection:
        newest_root = await tree.root(connection, EVENTS)
        for size in (1, 2, 255, 256, 257, 300, 511, 512, 513, 699, 700):
            older = await tree.root(connection, size)
            proof = await tree.proof(connection, size, EVENTS)
            assert consistent(size, EVENTS, older, newest_root, proof), size


async def test_memory_and_order_of_a_verification_in_portions(
    trail: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clinic_net.audit.verifying.PORTION", 64)
    told: list[tuple[int, int]] = []
    found = await verify(trail.engine, Wanted(), lambda done, of: told.append((done, of)))
    assert (found.problem, found.checkpoints) == (None, 2)
    assert [done for done, _ in told] == [*range(64, EVENTS, 64), EVENTS]


@given(
    st.lists(
        st.tuples(
            *[st.one_of(st.none(), st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")))]
            * 5
        ),
        min_size=2,
        max_size=2,
        unique=True,
    )
)
def test_no_two_events_have_the_same_bytes(pair: list[tuple[str | None, ...]]) -> None:
    one, other = pair
    assert canonical(one) != canonical(other)


async def test_the_bytes_of_an_event_are_those_that_an_auditor_rebuilds_by_hand(hub: Hub) -> None:
    row = (
        UUID("0191d8e8-7b5c-7000-8000-000000000001"), NOW, "user:é", "record.read", "Patient/1", "ok", None, "1",
        None, None, None, None, None, 42, None,
    )  # fmt: skip
    assert len(row) == len(FIELDS)
    assert canonical(row) == (
        b"24:clinic-net audit event 1,36:0191d8e8-7b5c-7000-8000-000000000001,16:1795316400000000,7:user:\xc3\xa9,"
        b"11:record.read,9:Patient/1,2:ok,-,1:1,-,-,-,-,-,2:42,"
    )


def test_the_bytes_of_a_program_s_event_say_which_program_and_have_a_form_of_their_own() -> None:
    row = (
        UUID("0191d8e8-7b5c-7000-8000-000000000001"), NOW, "user:1", "record.read", "Patient/1", "ok", None, "1",
        None, None, None, None, None, 42, "app-1",
    )  # fmt: skip
    assert canonical(row).startswith(b"24:clinic-net audit event 2,")
    assert canonical(row).endswith(b"2:42,5:app-1,")
    assert canonical((*row[:-1], None)) == canonical(row[:-1]), "older events keep their bytes"
