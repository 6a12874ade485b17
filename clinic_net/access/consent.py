"""What a citizen permits or refuses: a FHIR Consent becomes facts that the rule joins, in its own transaction.

Five things are looked at, each of which decides: who gave it and who made sure of that, when it holds, its status, for
which place's records, and that nothing of it is remembered anywhere else: the next query asks the table. A permit is a
relation of care with its end; a refusal is a row of ``access_consent`` that the rule excludes by. Only what can be kept
is taken on: a provision with a part that is not enforced here is refused, not half obeyed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import care, care_store, store
from clinic_net.access.errors import ConsentNotEnforceable, ConsentNotYours, ConsentToOneself
from clinic_net.access.model import ConsentRow
from clinic_net.fhir.dates import LATEST, date_range
from clinic_net.kernel.errors import Place
from clinic_net.kernel.ids import new_id
from clinic_net.kernel.jobs import announce

BASIS = "consent"
PRIVACY = "patient-privacy"
FACILITY_ID = "http://clinic-net.vn/fhir/sid/facility"
USER_ID = "http://clinic-net.vn/fhir/sid/user"
SITE_ID = "http://clinic-net.vn/fhir/sid/site"
WORDING = "clinic-net.vn/consent/1"
"""The text that the citizen's page shows before a consent is given, by version."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEPT = frozenset({"type", "period", "actor", "id"})
"""The parts of a provision that are enforced here."""
_OVER = frozenset({"inactive", "entered-in-error", "rejected"})
_NAMED = {FACILITY_ID: "facility", USER_ID: "user", SITE_ID: "station"}


@dataclass(frozen=True)
class Given:
    """A Consent that was stored: the text, whose it is, by whom written, where it is kept.

    ``names`` are those of the writer, for which it must not speak; ``own`` is the writer's own Patient.
    """

    resource: Mapping[str, Any] | None
    fid: str
    patient: str | None
    tenant: str
    author: str
    names: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Statement:
    """What a Consent says: one decision about some grantees during a time."""

    decision: str
    grantees: tuple[str, ...]
    since: datetime
    until: datetime | None


def is_privacy(resource: Mapping[str, Any]) -> bool:
    """Whether a Consent is about who may see records; consent to a treatment or to research decides nothing here."""
    codings = resource.get("scope", {}).get("coding", ())
    return any(coding.get("code") == PRIVACY for coding in codings)


async def understood(session: AsyncSession, given: Given, *, now: datetime) -> Statement | None:
    """Return what a Consent that is about to be stored says; None where nothing follows from it.

    Raises:
        ConsentNotEnforceable: it asks for what is not enforced here, or names a grantee whom nobody knows.
        ConsentToOneself: it permits its own writer something.
        ConsentNotYours: it takes back what a citizen refused, and its writer is neither they nor who wrote it down.
    """
    if given.author.startswith("user:") and given.patient not in given.own:
        for row in await care_store.open_consents(session, given.fid):
            if row.decision == "deny" and row.verified_by != given.author:
                raise ConsentNotYours
    if given.resource is None or given.patient is None or not is_privacy(given.resource):
        return None
    if given.resource.get("status") != "active" or not _is_verified(given):
        return None
    said = await _statement(session, given.resource, now=now)
    if said.decision == "permit" and (given.names | {given.author}) & set(said.grantees):
        raise ConsentToOneself
    return said


async def follow(session: AsyncSession, given: Given, said: Statement | None, *, now: datetime) -> None:
    """Take on what a Consent that has just been stored says. What it said before is over."""
    ended = await care_store.withdraw_consents(session, given.fid, now)
    source = f"Consent/{given.fid}"
    if ended:
        await care.end_care_from(session, source, bases=[BASIS], at=now)
        await _told(session, given, "withdraw", ended[0].patient, now)
        await announce(session, care.REACH_CHANGED, {"patient": ended[0].patient})
    if said is None:
        return
    assert given.patient is not None
    assert given.resource is not None
    tenant = None if given.patient in given.own or said.decision == "deny" else given.tenant
    for grantee in said.grantees:
        session.add(
            ConsentRow(
                id=new_id(now),
                resource=given.fid,
                patient=given.patient,
                grantor=f"Patient/{given.patient}",
                verified_by=given.author,
                decision=said.decision,
                grantee=grantee,
                tenant=tenant,
                status="active",
                since=said.since,
                until=said.until,
                wording=_wording(given.resource),
                language=str(given.resource.get("language", "vi"))[:5],
                evidence=sha256(repr(sorted(given.resource.items())).encode()).digest(),
                given_at=now,
            )
        )
        if said.decision == "permit":
            await care.grant_care(
                session,
                patient=given.patient,
                grantee=grantee,
                basis=BASIS,
                purpose="TREAT",
                since=max(said.since, now),
                until=said.until,
                tenant=tenant,
                source=source,
            )
    await session.flush()
    await _told(session, given, said.decision, given.patient, now)
    await announce(session, care.REACH_CHANGED, {"patient": given.patient})


async def _told(session: AsyncSession, given: Given, what: str, patient: str, now: datetime) -> None:
    subject = f"Patient/{patient}"
    await audit.record(session, actor=given.author, action=f"consent.{what}", subject=subject, at=now)


def _wording(resource: Mapping[str, Any]) -> str:
    policies = resource.get("policy") or [{}]
    return str(policies[0].get("uri", "fhir")).removeprefix("http://")[:40]


def _is_verified(given: Given) -> bool:
    """Whether somebody made sure that the grantor is who they say: their own sign-in, or whoever wrote it says so."""
    if given.patient in given.own:
        return True
    assert given.resource is not None
    return any(check.get("verified") is True for check in given.resource.get("verification", ()))


async def _statement(session: AsyncSession, resource: Mapping[str, Any], *, now: datetime) -> Statement:
    provision = resource.get("provision") or {}
    beyond = sorted(set(provision) - _KEPT)
    if beyond:
        raise _unusable(f"Consent.provision.{beyond[0]}", "this part of a provision is not enforced here")
    if provision.get("type") not in ("permit", "deny"):
        raise _unusable("Consent.provision.type", "permit or deny")
    grantees = [await _grantee(session, actor) for actor in provision.get("actor", ())]
    if not grantees or not all(grantees):
        raise _unusable("Consent.provision.actor", "a facility, a station or a person of this network")
    since, until = _period(provision.get("period") or {}, now)
    names = tuple(sorted({name for found in grantees for name in found}))
    return Statement(provision["type"], names, since, until)


def _period(period: Mapping[str, Any], now: datetime) -> tuple[datetime, datetime | None]:
    """Return from when (inclusive) until when (exclusive) it holds; an end that is a day holds all of that day."""
    try:
        since = date_range(period["start"])[0] if "start" in period else None
        until = date_range(period["end"])[1] if "end" in period else None
        return (
            now if since is None else _EPOCH + timedelta(microseconds=since),
            None if until is None or until >= LATEST else _EPOCH + timedelta(microseconds=until),
        )
    except (ValueError, OverflowError):
        raise _unusable("Consent.provision.period", "not a period") from None


async def _grantee(session: AsyncSession, actor: Mapping[str, Any]) -> Sequence[str]:
    """Return the addresses that an actor stands for; none where it names nobody of this network."""
    return [name async for name in _names(session, actor.get("reference") or {})]


async def _names(session: AsyncSession, reference: Mapping[str, Any]) -> Any:
    identifier = reference.get("identifier") or {}
    kind = _NAMED.get(str(identifier.get("system")))
    value = str(identifier.get("value", ""))
    if kind is not None and value:
        yield f"{kind}:{value}"
    target = str(reference.get("reference", ""))
    if target.startswith("Practitioner/"):
        for user in await _users(session, target.removeprefix("Practitioner/")):
            yield f"user:{user}"


async def _users(session: AsyncSession, practitioner: str) -> Sequence[UUID]:
    try:
        return await store.users_of_practitioner(session, UUID(practitioner))
    except ValueError:
        return ()


def _unusable(path: str, message: str) -> ConsentNotEnforceable:
    return ConsentNotEnforceable(
        "this consent cannot be kept as it stands", places=[Place(path, ConsentNotEnforceable.code, message)]
    )


@dataclass(frozen=True)
class ConsentView:
    """A consent as the citizen sees it. ``open``: it holds or will hold."""

    resource: str
    decision: str
    grantee: str
    since: datetime
    until: datetime | None
    given_at: datetime
    withdrawn_at: datetime | None
    open: bool


async def consents_of(session: AsyncSession, patient: str, *, now: datetime) -> list[ConsentView]:
    """Return what a citizen has permitted and refused, the newest first."""
    return [
        ConsentView(
            row.resource,
            row.decision,
            row.grantee,
            row.since,
            row.until,
            row.given_at,
            row.withdrawn_at,
            row.status == "active" and (row.until is None or row.until > now),
        )
        for row in await care_store.consents_of(session, patient)
    ]


def resource_of(
    patient: str, decision: str, grantee: str, *, until: str | None, language: str, now: datetime
) -> dict[str, Any]:
    """Return the Consent that a citizen gives on the page; ``until`` is its last day, or None for no end."""
    kind, _, value = grantee.partition(":")
    system = {kind: system for system, kind in _NAMED.items()}[kind]
    period = {"start": now.isoformat(), **({"end": until} if until else {})}
    return {
        "resourceType": "Consent",
        "status": "active",
        "language": language,
        "scope": _coded("http://terminology.hl7.org/CodeSystem/consentscope", PRIVACY),
        "category": [_coded("http://loinc.org", "59284-0")],
        "patient": {"reference": f"Patient/{patient}"},
        "dateTime": now.isoformat(),
        "performer": [{"reference": f"Patient/{patient}"}],
        "policy": [{"uri": f"http://{WORDING}"}],
        "provision": {
            "type": decision,
            "period": period,
            "actor": [
                {
                    "role": _coded("http://terminology.hl7.org/CodeSystem/v3-RoleClass", "ASSIGNED"),
                    "reference": {"identifier": {"system": system, "value": value}},
                }
            ],
        },
    }


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def facilities_named(views: Sequence[ConsentView]) -> Iterator[str]:
    """Yield the codes of the facilities that consents name."""
    return (one.grantee.removeprefix("facility:") for one in views if one.grantee.startswith("facility:"))
