"""The trail is written with the deed, and stays as it was written."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlmodel import select

from clinic_net import audit
from clinic_net.audit.model import AuditEvent
from clinic_net.kernel.hub import Hub

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


async def write(hub: Hub, subject: str) -> None:
    async with hub.sessions() as session, session.begin():
        await audit.record(
            session, actor="user:1", action="record.read", subject=subject, at=NOW, purpose="TREAT"
        )


async def test_what_was_done_is_written_down(hub: Hub) -> None:
    await write(hub, "Patient/1")

    async with hub.sessions() as session:
        event = (await session.exec(select(AuditEvent).where(AuditEvent.subject == "Patient/1"))).one()
    assert (event.actor, event.action, event.outcome, event.at, event.purpose) == (
        "user:1", "record.read", audit.OK, NOW, "TREAT"
    )  # fmt: skip


async def test_what_was_undone_is_not_in_the_trail(hub: Hub) -> None:
    async with hub.sessions() as session:
        await audit.record(session, actor="user:1", action="record.read", subject="Patient/undone", at=NOW)
        await session.flush()
        await session.rollback()

    async with hub.sessions() as session:
        assert (
            await session.exec(select(AuditEvent).where(AuditEvent.subject == "Patient/undone"))
        ).all() == []


@pytest.mark.parametrize(
    "statement",
    ["update audit_event set actor = 'user:2'", "delete from audit_event", "truncate audit_event"],
)
async def test_nobody_changes_or_empties_the_trail(hub: Hub, statement: str) -> None:
    await write(hub, "Patient/2")
    async with hub.engine.connect() as connection:
        with pytest.raises(ProgrammingError, match="append-only"):
            await connection.execute(text(statement))
