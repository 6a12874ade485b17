"""Reading the trail: by patient, person, place and time, within a scope, a page at a time. Reading is an event too."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, func, not_, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.audit.errors import InvalidAuditSearch, UnknownEvent
from clinic_net.audit.model import AuditEvent
from clinic_net.audit.rules import CODES
from clinic_net.audit.service import Event, record_many
from clinic_net.kernel.errors import Place
from clinic_net.protocol.ids import uuid7

DEFAULT_COUNT = 50
MAX_COUNT = 500

LOCAL = "Asia/Ho_Chi_Minh"
"""Whose days are meant where machines' access is told by the day."""

_MACHINES = ("station:", "client:", "hub:")


@dataclass(frozen=True)
class AuditScope:
    """Whose events a caller may read; ``clinic_net.access`` makes them.

    ``places`` None means every place, an empty set none. With ``patient`` only what concerns that Patient (FHIR id).
    """

    places: frozenset[str] | None = frozenset()
    patient: str | None = None


@dataclass(frozen=True)
class Asked:
    """What is looked for. ``since`` is inclusive, ``until`` exclusive; ``actions`` are prefixes in dotted words
    (``record.read``, ``record``), ``code`` one of CRUDE (FHIR audit-event-action). ``place`` is where the actor works,
    or who answers for what was touched."""

    patient: str | None = None
    actor: str | None = None
    place: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    action: str | None = None
    code: str | None = None
    refused: bool | None = None
    id: UUID | None = None

    @property
    def named(self) -> str:
        """Return what is asked for without its values, for the trail."""
        names = [name for name in self.__dataclass_fields__ if getattr(self, name) is not None]
        return f"AuditEvent?{','.join(names)}"


@dataclass(frozen=True)
class Page:
    """Events, newest first. ``next`` is the cursor of the page behind, None on the last."""

    events: list[AuditEvent]
    next: str | None


@dataclass(frozen=True)
class Machine:
    """What one machine did with a patient's record on one local day."""

    actor: str
    action: str
    day: date
    count: int


def _within(scope: AuditScope) -> list[ColumnElement[bool]]:
    allowed: list[ColumnElement[bool]] = []
    if scope.patient is not None:
        allowed.append(col(AuditEvent.patient) == scope.patient)
    elif scope.places is not None:
        places = sorted(scope.places)
        allowed.append(
            or_(col(AuditEvent.place).in_(places), col(AuditEvent.actor_place).in_(places))
            if places
            else false()
        )
    return allowed


def _first_id(at: datetime) -> UUID:
    """Return the smallest id that an event of this instant can have: ids are ordered by time of birth."""
    return uuid7(max(0, int(at.timestamp() * 1000)), bytes(10))


def _conditions(asked: Asked) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    for column, value in (
        (AuditEvent.patient, asked.patient),
        (AuditEvent.actor, asked.actor),
        (AuditEvent.id, asked.id),
    ):
        if value is not None:
            wanted.append(col(column) == value)
    if asked.place is not None:
        wanted.append(or_(col(AuditEvent.place) == asked.place, col(AuditEvent.actor_place) == asked.place))
    if asked.subject is not None:
        wanted.append(
            or_(
                col(AuditEvent.subject) == asked.subject,
                col(AuditEvent.subject).startswith(f"{asked.subject}/", autoescape=True),
            )
        )
    if asked.since is not None:
        wanted += [col(AuditEvent.at) >= asked.since, col(AuditEvent.id) >= _first_id(asked.since)]
    if asked.until is not None:
        after = asked.until + timedelta(milliseconds=1)
        wanted += [col(AuditEvent.at) < asked.until, col(AuditEvent.id) < _first_id(after)]
    if asked.action is not None:
        wanted.append(
            or_(
                col(AuditEvent.action) == asked.action,
                col(AuditEvent.action).startswith(f"{asked.action}.", autoescape=True),
            )
        )
    if asked.code is not None:
        named = {code: [name for name, each in CODES.items() if each == code] for code in set(CODES.values())}
        others = not_(col(AuditEvent.action).in_(list(CODES)))
        mine = col(AuditEvent.action).in_(named.get(asked.code, []))
        wanted.append(or_(mine, others) if asked.code == "E" else mine)
    if asked.refused is not None:
        wanted.append(
            (col(AuditEvent.outcome) != "ok") if asked.refused else (col(AuditEvent.outcome) == "ok")
        )
    return wanted


def _cursor(event: AuditEvent) -> str:
    return base64.urlsafe_b64encode(event.id.bytes).decode().rstrip("=")


def _behind(cursor: str) -> UUID:
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error):
        places = [Place("_cursor", InvalidAuditSearch.code, "not a cursor of this trail")]
        raise InvalidAuditSearch("the page's cursor is not valid", places=places) from None


async def search(
    session: AsyncSession,
    asked: Asked,
    *,
    scope: AuditScope,
    by: str,
    now: datetime,
    cursor: str | None = None,
    count: int = DEFAULT_COUNT,
) -> Page:
    """Return a page of what is asked for within the scope, newest first; ``by`` is who asks (an address).

    A cursor only says where a page begins: the scope is that of whoever uses it.

    Raises:
        InvalidAuditSearch: ``cursor`` is none.
        AuditUnavailable: that it is read cannot be written down.
    """
    limit = max(0, min(count, MAX_COUNT))
    wanted = [*_within(scope), *_conditions(asked)]
    if cursor is not None:
        wanted.append(col(AuditEvent.id) < _behind(cursor))
    statement = select(AuditEvent).where(and_(*wanted) if wanted else True)
    rows = list((await session.exec(statement.order_by(col(AuditEvent.id).desc()).limit(limit + 1))).all())
    about = asked.patient or scope.patient
    subject = f"Patient/{about}" if about else asked.named
    event = Event(by, "audit.search", subject, patient=about, detail=asked.named)
    await record_many(session, [event], at=now)
    more = len(rows) > limit and limit > 0
    return Page(rows[:limit], _cursor(rows[limit - 1]) if more else None)


async def read(
    session: AsyncSession, event: UUID, *, scope: AuditScope, by: str, now: datetime
) -> AuditEvent:
    """Return one event.

    Raises:
        UnknownEvent: there is none, or not within the scope.
    """
    wanted = [*_within(scope), *_conditions(Asked(id=event))]
    found = (await session.exec(select(AuditEvent).where(*wanted))).first()
    if found is None:
        raise UnknownEvent
    told = Event(by, "audit.read", f"AuditEvent/{event}", patient=found.patient, place=found.place)
    await record_many(session, [told], at=now)
    return found


def _is_machine() -> ColumnElement[bool]:
    return or_(*(col(AuditEvent.actor).startswith(kind) for kind in _MACHINES))


async def seen_by_people(
    session: AsyncSession,
    asked: Asked,
    *,
    scope: AuditScope,
    cursor: str | None = None,
    count: int = DEFAULT_COUNT,
) -> Page:
    """Return a page of what people did with the patient's record, newest first: machines' access is told apart.

    For a citizen's own view; whoever shows it writes that down. ``asked.patient`` or ``scope.patient`` must be given.
    """
    assert asked.patient or scope.patient
    wanted = [*_within(scope), *_conditions(asked), not_(_is_machine())]
    if cursor is not None:
        wanted.append(col(AuditEvent.id) < _behind(cursor))
    limit = max(1, min(count, MAX_COUNT))
    found = select(AuditEvent).where(*wanted).order_by(col(AuditEvent.id).desc()).limit(limit + 1)
    rows = list((await session.exec(found)).all())
    return Page(rows[:limit], _cursor(rows[limit - 1]) if len(rows) > limit else None)


async def seen_by_machines(session: AsyncSession, asked: Asked, *, scope: AuditScope) -> Sequence[Machine]:
    """Return what machines did with the patient's record, by machine, kind of access and local day, newest first.

    Estonia's lesson: a list in which every synchronisation stands is one in which nobody finds the person who looked.
    """
    assert asked.patient or scope.patient
    day = func.date(func.timezone(LOCAL, col(AuditEvent.at)))
    wanted = [*_within(scope), *_conditions(asked), _is_machine()]
    statement = (
        select(col(AuditEvent.actor), col(AuditEvent.action), day, func.count())
        .where(*wanted)
        .group_by(col(AuditEvent.actor), col(AuditEvent.action), day)
        .order_by(day.desc(), col(AuditEvent.actor), col(AuditEvent.action))
    )
    return [Machine(*row) for row in (await session.exec(statement)).all()]
