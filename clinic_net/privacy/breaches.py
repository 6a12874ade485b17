"""The register of breaches, with the 72 hours in which the authority is told, and the evidence of what was done."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.kernel.ids import new_id
from clinic_net.privacy import rules, store
from clinic_net.privacy.errors import NotOpen, UnknownBreach, UnusableEntry
from clinic_net.privacy.model import PrivacyBreach, PrivacyBreachEntry


class Step(StrEnum):
    NOTE = "note"
    NOTIFIED = "notified"
    """The authority has been told."""
    PEOPLE_TOLD = "people_told"
    CLOSED = "closed"


@dataclass(frozen=True)
class Found:
    """A breach as it was noticed: what kind, which kinds of data, how many people at most, and what happened."""

    kind: str
    data: Sequence[str]
    people: int
    words: str
    noticed_at: datetime


async def enter(s: AsyncSession, found: Found, *, by: str, now: datetime) -> UUID:
    """Enter a breach; its clock runs from when it was noticed.

    Raises:
        UnusableEntry: a code is none, nothing is told, or it was noticed in the future.
    """
    usable = (
        found.kind in rules.BREACH_KINDS
        and set(found.data) <= set(rules.SENSITIVE)
        and 0 <= found.people < 2**31
        and found.words.strip()
        and found.noticed_at <= now
    )
    if not usable:
        raise UnusableEntry("the breach cannot be entered like this")
    row = PrivacyBreach(
        id=new_id(now),
        kind=found.kind,
        data=sorted(set(found.data)),
        people=found.people,
        words=found.words.strip(),
        noticed_at=found.noticed_at,
        notify_by=found.noticed_at + rules.BREACH_NOTICE_WITHIN,
        entered_at=now,
        entered_by=by,
    )
    s.add(row)
    await s.flush()
    await audit.record(s, actor=by, action="breach.enter", subject=f"breach:{row.id}", at=now)
    return row.id


async def take(s: AsyncSession, breach: UUID, step: Step, words: str, *, by: str, now: datetime) -> None:
    """Note what was done about a breach.

    Raises:
        UnknownBreach: there is none.
        NotOpen: it is closed, the step was taken before, or it is to be closed before the authority was told.
        UnusableEntry: nothing is said.
    """
    row = await store.breach(s, breach)
    if row is None:
        raise UnknownBreach("there is no such breach")
    if not words.strip():
        raise UnusableEntry("say what was done")
    fields = {Step.NOTIFIED: "notified_at", Step.PEOPLE_TOLD: "people_told_at", Step.CLOSED: "closed_at"}
    field = fields.get(step)
    unfinished = step is Step.CLOSED and row.notified_at is None
    if row.closed_at is not None or unfinished or (field and getattr(row, field) is not None):
        raise NotOpen("this step cannot be taken now")
    if field:
        setattr(row, field, now)
    s.add(PrivacyBreachEntry(id=new_id(now), breach=breach, at=now, by=by, step=step, words=words.strip()))
    await s.flush()
    await audit.record(s, actor=by, action=f"breach.{step}", subject=f"breach:{breach}", at=now)


async def register(s: AsyncSession) -> list[PrivacyBreach]:
    """Return every breach, open ones first."""
    return await store.breaches(s)


async def evidence(s: AsyncSession, breach: UUID, *, by: str, now: datetime) -> dict[str, Any]:
    """Return a breach and what was done, for the authority, with a SHA-256 over it in RFC 8785's order of members.

    Raises:
        UnknownBreach: there is none.
    """
    row = await store.breach(s, breach)
    if row is None:
        raise UnknownBreach("there is no such breach")
    facts: dict[str, Any] = {
        "breach": row.model_dump(mode="json"),
        "notified_in_time": row.notified_at is not None and row.notified_at <= row.notify_by,
        "steps": [
            entry.model_dump(mode="json", exclude={"breach"}) for entry in await store.entries(s, breach)
        ],
    }
    await audit.record(s, actor=by, action="breach.export", subject=f"breach:{breach}", at=now)
    return {**facts, "made_at": now.isoformat(), "sha256": digest(facts)}


def digest(facts: dict[str, Any]) -> str:
    """Return the SHA-256 of facts, written in one way only: sorted members, no spaces, UTF-8."""
    text = json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
