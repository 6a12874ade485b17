"""The auditor's page: who saw and changed what in their province, and how the chain over it stands.

What is looked for is posted, never put into an address: it names patients and people.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import service as access
from clinic_net.access.auditing import address_of_login, audit_scope_of
from clinic_net.access.errors import UnknownUser
from clinic_net.access.http import require
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.audit import publishing
from clinic_net.audit import reading as trail
from clinic_net.audit.model import AuditEvent
from clinic_net.console.i18n import N_, VIET_NAM
from clinic_net.console.pages import render
from clinic_net.directory import service as directory
from clinic_net.directory.errors import UnknownFacility, UnknownSite
from clinic_net.kernel.http import Now, UnitOfWork

router = APIRouter()

Auditor = Annotated[UserPrincipal, Depends(require(Role.AUDITOR))]

ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "record.read": N_("read"),
        "record.vread": N_("read an older version"),
        "record.history": N_("read the history"),
        "record.search": N_("found by a search"),
        "record.everything": N_("read the whole record"),
        "record.create": N_("stored"),
        "record.update": N_("changed"),
        "record.delete": N_("deleted"),
        "user.sign_in": N_("signed in"),
        "user.sign_out": N_("signed out"),
        "user.add": N_("added an account"),
        "user.disable": N_("closed an account"),
        "client.add": N_("added a system"),
        "client.disable": N_("closed a system"),
        "device.issue_code": N_("issued a station's code"),
        "device.enrol": N_("enrolled a station"),
        "device.revoke": N_("revoked a station"),
        "consultation.assign": N_("chose a doctor"),
        "audit.search": N_("searched the audit trail"),
        "audit.read": N_("read an audit event"),
        "audit.forget": N_("ended old months of the trail"),
    }
)
"""Words for actions; the others are shown as they are written down."""

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "record": N_("Records"),
        "user": N_("Accounts and signing in"),
        "care": N_("Rights to a record"),
        "consultation": N_("Consultations"),
        "referral": N_("Referrals"),
        "device": N_("Stations"),
        "client": N_("Systems"),
        "audit": N_("The trail itself"),
    }
)
"""Words for what actions begin with."""

OTHERS: Mapping[str, str] = MappingProxyType(
    {
        "station": N_("Station"),
        "client": N_("System"),
        "hub": N_("The hub"),
        "operator": N_("A terminal on the hub"),
    }
)
"""Words for who is no person."""

MOST = 50


@dataclass(frozen=True)
class Row:
    """An event with the words and names of its codes. ``who`` is a person's name, else a word of ``OTHERS``."""

    event: AuditEvent
    who: str
    who_code: str
    place: str
    what: str

    @property
    def is_person(self) -> bool:
        return self.event.actor.startswith("user:")

    @property
    def action(self) -> str:
        """The action's word, for a page to translate."""
        return ACTIONS.get(self.event.action, self.event.action)


@dataclass(frozen=True)
class Wanted:
    """What the form asked for, as it was typed."""

    patient: str = ""
    person: str = ""
    place: str = ""
    kind: str = ""
    since: str = ""
    until: str = ""
    cursor: str = ""


async def _wanted(
    patient: Annotated[str, Form(max_length=80)] = "",
    person: Annotated[str, Form(max_length=130)] = "",
    place: Annotated[str, Form(max_length=20)] = "",
    kind: Annotated[str, Form(max_length=20)] = "",
    since: Annotated[str, Form(max_length=10)] = "",
    until: Annotated[str, Form(max_length=10)] = "",
    cursor: Annotated[str, Form(max_length=40)] = "",
) -> Wanted:
    typed = (patient, person, place, kind, since, until, cursor)
    return Wanted(*(value.strip() for value in typed))


@router.get("/audit")
async def newest(request: Request, user: Auditor, session: UnitOfWork, now: Now) -> Response:
    return await _page(request, Wanted(), user, session, now)


@router.post("/audit")
async def found(
    request: Request,
    user: Auditor,
    session: UnitOfWork,
    now: Now,
    wanted: Annotated[Wanted, Depends(_wanted)],
) -> Response:
    return await _page(request, wanted, user, session, now)


async def _page(
    request: Request, wanted: Wanted, user: UserPrincipal, session: AsyncSession, now: datetime
) -> Response:
    """Return the form and what it finds; a person that nobody is or a day that is none finds nothing and says so."""
    scope = await audit_scope_of(session, user, "s")
    asked, wrong = await _asked(session, wanted)
    page = trail.Page([], None)
    if not wrong:
        page = await trail.search(
            session, asked, scope=scope, by=user.address, now=now, cursor=wanted.cursor or None, count=MOST
        )
    sealed = await publishing.status(await session.connection())
    return render(
        request,
        "trail.html",
        user=user,
        wanted=wanted,
        wrong=wrong,
        kinds=KINDS,
        rows=await _rows(session, page.events, now.date()),
        following=page.next,
        sealed=sealed,
        now=now,
    )


async def _asked(session: AsyncSession, wanted: Wanted) -> tuple[trail.Asked, str]:
    """Return what is meant, and the name of the field that nothing can be meant by."""
    actor = wanted.person or None
    if actor is not None and ":" not in actor:
        actor = await address_of_login(session, actor)
        if actor is None:
            return trail.Asked(), "person"
    days: list[datetime | None] = []
    for name, typed, later in (("since", wanted.since, 0), ("until", wanted.until, 1)):
        try:
            days.append(_midnight(date.fromisoformat(typed) + timedelta(days=later)) if typed else None)
        except (ValueError, OverflowError):
            return trail.Asked(), name
    asked = trail.Asked(
        patient=wanted.patient.rpartition("/")[2] or None,
        actor=actor,
        place=wanted.place or None,
        action=wanted.kind if wanted.kind in KINDS else None,
        since=days[0],
        until=days[1],
    )
    return asked, ""


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, VIET_NAM).astimezone(UTC)


async def _rows(session: AsyncSession, events: Iterable[AuditEvent], on: date) -> list[Row]:
    people: dict[str, UserPrincipal | None] = {}
    places: dict[str, str] = {}
    rows = []
    for event in events:
        kind, _, code = event.actor.partition(":")
        if event.actor not in people:
            people[event.actor] = await _person(session, code) if kind == "user" else None
        place = event.place or event.actor_place or ""
        if place not in places:
            places[place] = await _place(session, place, on)
        person = people[event.actor]
        who = person.name if person is not None else OTHERS.get(kind, "")
        who_code = person.login if person is not None else code or kind
        told = (f"Patient/{event.patient}", event.actor)  # in columns of their own
        what = "" if event.subject in told else event.subject
        rows.append(Row(event, who, who_code, places[place], what))
    return rows


async def _person(session: AsyncSession, code: str) -> UserPrincipal | None:
    try:
        return await access.user(session, UUID(code))
    except (UnknownUser, ValueError):
        return None


async def _place(session: AsyncSession, code: str, on: date) -> str:
    """Return the name of a facility or a site; empty where the directory knows none."""
    try:
        return (await directory.facility(session, code)).name
    except UnknownFacility:
        pass
    try:
        return (await directory.site(session, code, on)).name
    except UnknownSite:
        return ""
