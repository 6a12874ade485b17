"""Use cases of the privacy workflows. Each writes to the audit trail in its transaction; none is shown a record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import care
from clinic_net.access.policy import hub_scope
from clinic_net.kernel.ids import new_id
from clinic_net.kernel.jobs import announce
from clinic_net.privacy import rules, store
from clinic_net.privacy.errors import (
    MustBeKept,
    NobodyOfThatId,
    NotOpen,
    OnHold,
    SecondPersonNeeded,
    UnknownHold,
    UnknownRequest,
    UnusableEntry,
)
from clinic_net.privacy.model import PrivacyHold, PrivacyRequest
from clinic_net.privacy.rules import Ground, Kind, State
from clinic_net.records import service as records

ERASED = "privacy.erased"
"""News: a patient's record was erased; whoever keeps something beside the records forgets it too."""


@dataclass(frozen=True)
class Asked:
    """What a person asks for. ``patient`` is the FHIR id of their Patient; ``ground`` is for an erasure."""

    kind: Kind
    patient: str
    processors: bool = False
    ground: Ground = Ground.ASKED


async def receive(
    s: AsyncSession, asked: Asked, *, by: str, now: datetime, off: Sequence[date] = ()
) -> PrivacyRequest:
    """Note a request, with the deadlines that begin now. ``off`` are holidays beyond those that are known.

    Raises:
        NobodyOfThatId: there is no record of such a patient.
    """
    if await records.last_change(s, asked.patient, scope=hub_scope(), now=now) is None:
        raise NobodyOfThatId("there is no record of such a patient")
    owed = rules.deadlines(asked.kind, now, processors=asked.processors, off=off)
    row = PrivacyRequest(
        id=new_id(now),
        kind=asked.kind,
        patient=asked.patient,
        processors=asked.processors,
        ground=asked.ground if asked.kind is Kind.ERASURE else None,
        state=State.RECEIVED,
        received_at=now,
        received_by=by,
        answer_by=owed.answer_by,
        due_at=owed.due_at,
    )
    s.add(row)
    await s.flush()
    await _note(s, row, "receive", by=by, now=now)
    return row


async def answer(s: AsyncSession, request: UUID, *, by: str, now: datetime) -> None:
    """Note that the person has been told what happens with their request.

    Raises:
        UnknownRequest, NotOpen: there is none, or it was answered before.
    """
    row = await _open(s, request)
    if row.answered_at is not None:
        raise NotOpen("the request was answered before")
    row.state, row.answered_at, row.answered_by = State.ANSWERED, now, by
    await _note(s, row, "answer", by=by, now=now)


async def extend(s: AsyncSession, request: UUID, *, by: str, now: datetime) -> None:
    """Move the deadline by its one extension; the person is told why.

    Raises:
        UnknownRequest, NotOpen: there is none, or it was extended before.
    """
    row = await _open(s, request)
    if row.extended_at is not None:
        raise NotOpen("the request was extended before")
    row.extended_at, row.due_at = now, rules.extended(row.due_at)
    await _note(s, row, "extend", by=by, now=now)


async def refuse(s: AsyncSession, request: UUID, *, reason: str, by: str, now: datetime) -> None:
    """Refuse a request, for one of ``rules.REFUSALS``.

    Raises:
        UnknownRequest, NotOpen, UnusableEntry: there is none, it is decided, or that is no reason.
    """
    if reason not in rules.REFUSALS:
        raise UnusableEntry("that is no reason to refuse")
    row = await _open(s, request)
    _decide(row, State.REFUSED, by=by, now=now)
    row.reason = reason
    await _note(s, row, "refuse", by=by, now=now)


async def carry_out(
    s: AsyncSession, request: UUID, *, by: str, now: datetime, keep: timedelta
) -> PrivacyRequest:
    """Do what was asked: stop processing, erase, or note that a copy was handed over or a correction made.

    ``keep`` is how long the law has records kept after the last thing in them.

    Raises:
        UnknownRequest, NotOpen: there is none, or it is decided.
        SecondPersonNeeded: an erasure by whoever received it.
        OnHold, MustBeKept: the record stays as it is, or for longer.
    """
    row = await _open(s, request)
    if row.kind in rules.STOPS_PROCESSING:
        await care.restrict(s, row.patient, by=by, at=now)
    elif row.kind == Kind.ERASURE:
        await _erase(s, row, by=by, now=now, keep=keep)
    _decide(row, State.DONE, by=by, now=now)
    await _note(s, row, "carry_out", by=by, now=now)
    return row


async def _erase(s: AsyncSession, row: PrivacyRequest, *, by: str, now: datetime, keep: timedelta) -> None:
    if row.received_by == by:
        raise SecondPersonNeeded("an erasure is carried out by a second person")
    if await store.holds_of(s, row.patient):
        raise OnHold("a legal hold keeps this record as it is")
    last = await records.last_change(s, row.patient, scope=hub_scope(), now=now)
    if row.ground != Ground.UNLAWFUL and last is not None and last + keep > now:
        raise MustBeKept("the law has this record kept for longer")
    count = await records.erase(s, row.patient, scope=hub_scope(), author=by, now=now)
    await audit.record(
        s, actor=by, action="record.erase", subject=f"Patient/{row.patient}", outcome=audit.OK, at=now
    )
    await care.lift_restriction(s, row.patient, by=by, at=now)
    await announce(s, ERASED, {"patient": row.patient, "count": count})


async def lift_restriction(s: AsyncSession, request: UUID, *, by: str, now: datetime) -> None:
    """Let a record be processed again whose processing was stopped by this request.

    Raises:
        UnknownRequest, NotOpen: there is none, or it stopped nothing.
    """
    row = await _known(s, request)
    if row.state != State.DONE or row.kind not in rules.STOPS_PROCESSING:
        raise NotOpen("this request stopped nothing")
    await care.lift_restriction(s, row.patient, by=by, at=now)
    await _note(s, row, "lift", by=by, now=now)


async def place_hold(s: AsyncSession, patient: str, *, reason: str, by: str, now: datetime) -> UUID:
    """Keep a person's record as it is until the hold is lifted.

    Raises:
        NobodyOfThatId, UnusableEntry: there is no such record, or that is no reason.
    """
    if reason not in rules.HOLDS:
        raise UnusableEntry("that is no reason for a hold")
    if await records.last_change(s, patient, scope=hub_scope(), now=now) is None:
        raise NobodyOfThatId("there is no record of such a patient")
    row = PrivacyHold(id=new_id(now), patient=patient, reason=reason, placed_at=now, placed_by=by)
    s.add(row)
    await s.flush()
    await audit.record(s, actor=by, action="privacy.hold", subject=f"Patient/{patient}", at=now)
    return row.id


async def lift_hold(s: AsyncSession, hold: UUID, *, by: str, now: datetime) -> None:
    """End a hold.

    Raises:
        UnknownHold: there is none, or it was lifted.
    """
    row = await store.hold(s, hold)
    if row is None or row.lifted_at is not None:
        raise UnknownHold("there is no such hold")
    row.lifted_at, row.lifted_by = now, by
    await audit.record(s, actor=by, action="privacy.hold.lift", subject=f"Patient/{row.patient}", at=now)


async def retention_over(s: AsyncSession, *, keep: timedelta, now: datetime, limit: int = 200) -> list[str]:
    """Return the ids of patients whose records need not be kept any more and are not held, the oldest first."""
    found = await records.untouched_since(s, now - keep, scope=hub_scope(), now=now, limit=limit)
    held = await store.held(s, found)
    return [patient for patient in found if patient not in held]


async def begin_retention(s: AsyncSession, *, keep: timedelta, by: str, now: datetime) -> int:
    """Enter a request for erasure for each record that need not be kept and has none open. A person decides each."""
    entered = 0
    for patient in await retention_over(s, keep=keep, now=now):
        if not await store.has_open(s, patient, Kind.ERASURE):
            await receive(s, Asked(Kind.ERASURE, patient), by=by, now=now)
            entered += 1
    return entered


async def open_requests(s: AsyncSession) -> list[PrivacyRequest]:
    """Return what is not decided, what is due first first."""
    return await store.open_requests(s)


async def decided_requests(s: AsyncSession, *, limit: int = 50) -> list[PrivacyRequest]:
    """Return what was decided last."""
    return await store.decided_requests(s, limit)


async def holds(s: AsyncSession) -> list[PrivacyHold]:
    """Return the holds that are in force."""
    return await store.holds(s)


def facts_of(row: PrivacyRequest) -> dict[str, Any]:
    """Return a request as evidence: identifiers, codes and instants."""
    return row.model_dump(mode="json")


async def _known(s: AsyncSession, request: UUID) -> PrivacyRequest:
    row = await store.request(s, request)
    if row is None:
        raise UnknownRequest("there is no such request")
    return row


async def _open(s: AsyncSession, request: UUID) -> PrivacyRequest:
    row = await _known(s, request)
    if row.decided_at is not None:
        raise NotOpen("the request has been decided")
    return row


def _decide(row: PrivacyRequest, state: State, *, by: str, now: datetime) -> None:
    row.state, row.decided_at, row.decided_by = state, now, by
    if row.answered_at is None:
        row.answered_at, row.answered_by = now, by


async def _note(s: AsyncSession, row: PrivacyRequest, step: str, *, by: str, now: datetime) -> None:
    await s.flush()
    await audit.record(
        s, actor=by, action=f"privacy.{step}.{row.kind}", subject=f"Patient/{row.patient}", at=now
    )
