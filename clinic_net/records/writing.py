"""Writing: create, update, delete, and create unless it is there; each use case tells its news once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope
from clinic_net.fhir import Search, check, index, parse, stamp
from clinic_net.kernel.errors import Place
from clinic_net.kernel.ids import new_id
from clinic_net.kernel.jobs import announce
from clinic_net.records import rules, store
from clinic_net.records import search as pages
from clinic_net.records.errors import (
    AlreadyExists,
    InvalidResource,
    MalformedRequest,
    MultipleMatches,
    ReadOnly,
    UnknownPatient,
    UnknownResource,
    VersionConflict,
)
from clinic_net.records.index import Rows, rows_of
from clinic_net.records.shapes import News, Stored, instant, milliseconds, stored_of
from clinic_net.records.store import Change, Head
from clinic_net.records.vault import keys_of

TOPIC = "record.stored"


async def put(  # noqa: PLR0913 -- the one seam through which everybody writes
    s: AsyncSession,
    text: bytes,
    *,
    rtype: str,
    fid: str | None,
    scope: RecordScope,
    author: str,
    tenant: str,
    now: datetime,
    if_match: int | None = None,
    create_only: bool = False,
    with_patient: bool = False,
    news: News | None = None,
) -> Stored:
    """Create a resource, or write its next version; an identical text changes nothing.

    ``text`` is stored as it came, with ``id`` and ``meta`` stamped. ``fid`` None makes an id. ``tenant`` is who
    answers for a new resource and is left alone afterwards; ``with_patient`` puts one that is about a patient where
    that patient's record is. With ``news`` the caller announces, through ``tell``.

    Raises:
        MalformedJson, ResourceTooLarge: the text is not the JSON that FHIR asks for.
        MalformedRequest: type or id are not those of the address.
        InvalidResource: ``places`` says what is wrong with it.
        ReadOnly: this scope may not write, or not for this tenant.
        UnknownPatient: it is about a patient outside the scope.
        UnknownResource: the id is taken outside the scope, or could be guessed (``rules.may_choose``; only where
            ``with_patient``), or ``if_match`` was given and there is nothing.
        VersionConflict: ``if_match`` is not the current version.
        AlreadyExists: ``create_only``, and it is there with another text.
    """
    if not scope.writable:
        raise ReadOnly("this caller may not write records")
    resource = read_resource(text, rtype=rtype, fid=fid)
    identity = fid or str(new_id(now))
    write = _Write(text, resource, rtype, identity, author, milliseconds(now))
    head = (
        None if fid is None else (await store.lock(s, [(rtype, fid)], scope=scope, now=now)).get((rtype, fid))
    )
    if head is None:
        if if_match is not None:
            raise UnknownResource
        if with_patient and fid is not None and not rules.may_choose(fid, everywhere=scope.tenants is None):
            raise UnknownResource
        stored = await _create(s, write, tenant=tenant, scope=scope, with_patient=with_patient)
    elif create_only and not head.deleted and not _same(write, head):
        raise AlreadyExists("a resource of this type and id exists")
    else:
        stored = await _update(s, write, head, scope=scope, if_match=if_match)
    if stored.changed:
        await _news(s, stored, news)
    return stored


@dataclass(frozen=True)
class _Write:
    text: bytes
    resource: Mapping[str, Any]
    rtype: str
    fid: str
    author: str
    now: datetime

    @property
    def patient(self) -> str | None:
        return rules.patient_of(self.resource, self.fid)

    def stamped(self, version: int, at: datetime) -> bytes:
        return stamp(self.text, id=self.fid, version_id=str(version), last_updated=instant(at))


def read_resource(text: bytes, *, rtype: str, fid: str | None) -> dict[str, Any]:
    """Return the checked resource of a text that is to be stored as ``rtype/fid``.

    Raises:
        MalformedJson, ResourceTooLarge, MalformedRequest, InvalidResource: see ``put``.
    """
    resource = parse(text)
    if resource.get("resourceType") != rtype:
        place = Place(rtype, "wrong-type", "not the type of the address")
        raise MalformedRequest("the resource is not of the type of the address", places=[place])
    if fid is not None:
        if not rules.ID.fullmatch(fid):
            raise MalformedRequest("an id has 1 to 64 letters, digits, hyphens and dots")
        if resource.get("id", fid) != fid:
            place = Place(f"{rtype}.id", "wrong-id", "not the id of the address")
            raise MalformedRequest("the resource's id is not the id of the address", places=[place])
    issues = [issue for issue in check(resource) if issue.severity in ("fatal", "error")]
    if issues:
        places = [Place(issue.expression, issue.code, issue.diagnostics) for issue in issues]
        raise InvalidResource("the resource is not valid", places=places)
    return resource


async def _create(
    s: AsyncSession, write: _Write, *, tenant: str, scope: RecordScope, with_patient: bool
) -> Stored:
    about = await _about(s, write, scope=scope, needed=with_patient)
    if with_patient and about is not None:
        tenant = about.tenant
    await _check_right(s, write, about, tenant=tenant, scope=scope)
    body = write.stamped(1, write.now)
    change = await _change(s, write, version=1, method="C", tenant=tenant, body=body)
    if not await store.create(s, change, scope=scope, now=write.now):
        # Made in this instant by somebody else, or outside the scope: the second look tells.
        found = await store.lock(s, [(write.rtype, write.fid)], scope=scope, now=write.now)
        head = found.get((write.rtype, write.fid))
        if head is None:
            raise UnknownResource
        return await _update(s, write, head, scope=scope, if_match=None)
    return _stored(change, write.now, created=True)


async def _update(
    s: AsyncSession, write: _Write, head: Head, *, scope: RecordScope, if_match: int | None
) -> Stored:
    if if_match is not None and if_match != head.version:
        raise VersionConflict("the resource has changed since that version")
    if _same(write, head):
        return stored_of(head)
    if write.patient != head.patient:
        about = await _about(s, write, scope=scope, needed=False)
        await _check_right(s, write, about, tenant=head.tenant, scope=scope)
    version = head.version + 1
    body = write.stamped(version, write.now)
    change = await _change(s, write, version=version, method="U", tenant=head.tenant, body=body)
    await store.replace(s, head.rid, change, scope=scope, now=write.now)
    return _stored(change, write.now, created=head.deleted)


def _same(write: _Write, head: Head) -> bool:
    """Whether the text is the current version's, apart from the stamps."""
    return head.body is not None and write.stamped(head.version, head.updated) == head.body


async def _about(s: AsyncSession, write: _Write, *, scope: RecordScope, needed: bool) -> Head | None:
    """Return the patient whom the resource is about; refuse to put anything into a foreign patient's record."""
    patient = write.patient
    if patient is None or write.rtype == "Patient" or not (needed or scope.tenants is not None):
        return None
    about = await store.find(s, "Patient", patient, scope=scope, now=write.now)
    if about is not None and not about.deleted:
        return about
    if scope.tenants is None:
        return None
    place = Place(f"{write.rtype}.subject", "unknown-patient", "there is no such patient")
    raise UnknownPatient("the resource is about an unknown patient", places=[place])


async def _check_right(
    s: AsyncSession, write: _Write, about: Head | None, *, tenant: str, scope: RecordScope
) -> None:
    """Refuse a write for a place that is neither the caller's nor its patient's."""
    if scope.tenants is None:
        return
    ours = tenant in scope.tenants or (about is not None and about.tenant == tenant)
    if not ours or not await store.permitted(
        s, tenant=tenant, patient=write.patient, scope=scope, now=write.now
    ):
        raise ReadOnly("this caller may not write records of this place")


async def _change(
    s: AsyncSession, write: _Write, *, version: int, method: str, tenant: str, body: bytes
) -> Change:
    rows = rows_of(write.rtype, index(write.resource), await keys_of(s))
    return Change(write.rtype, write.fid, version, method, tenant, write.patient, write.author, body, rows)


def _stored(change: Change, now: datetime, *, created: bool = False) -> Stored:
    return Stored(
        rtype=change.rtype,
        fid=change.fid,
        version=change.version,
        updated=now,
        text=change.body or b"",
        changed=True,
        patient=change.patient,
        tenant=change.tenant,
        author=change.author,
        created=created,
        deleted=change.method == "D",
    )


async def delete(  # noqa: PLR0913 -- as ``put``
    s: AsyncSession,
    rtype: str,
    fid: str,
    *,
    scope: RecordScope,
    author: str,
    now: datetime,
    if_match: int | None = None,
    news: News | None = None,
) -> Stored:
    """Delete a resource: its next version is a tombstone, its history stays. Deleting twice changes nothing.

    Raises:
        ReadOnly, UnknownResource, VersionConflict: see ``put``.
    """
    if not scope.writable:
        raise ReadOnly("this caller may not write records")
    head = (await store.lock(s, [(rtype, fid)], scope=scope, now=now)).get((rtype, fid))
    if head is None:
        raise UnknownResource
    if if_match is not None and if_match != head.version:
        raise VersionConflict("the resource has changed since that version")
    if head.deleted:
        return stored_of(head)
    change = Change(rtype, fid, head.version + 1, "D", head.tenant, head.patient, author, None, Rows())
    await store.replace(s, head.rid, change, scope=scope, now=milliseconds(now))
    stored = _stored(change, milliseconds(now))
    await _news(s, stored, news)
    return stored


async def _news(s: AsyncSession, stored: Stored, news: News | None) -> None:
    if news is None:
        await tell(s, [stored])
    else:
        news.append(stored)


async def tell(s: AsyncSession, news: Sequence[Stored]) -> None:
    """Announce ``record.stored`` once for everything a use case stored; nothing when it stored nothing."""
    if news:
        records = [
            {
                "rtype": stored.rtype,
                "fid": stored.fid,
                "version": stored.version,
                "tenant": stored.tenant,
                "patient": stored.patient,
                "author": stored.author,
                "deleted": stored.deleted,
            }
            for stored in news
        ]
        await announce(s, TOPIC, {"records": records})


async def put_unless_found(  # noqa: PLR0913 -- as ``put``
    s: AsyncSession,
    text: bytes,
    criteria: Search,
    *,
    scope: RecordScope,
    author: str,
    tenant: str,
    now: datetime,
    with_patient: bool = False,
    news: News | None = None,
) -> Stored:
    """Create a resource unless one meets the criteria, which is then returned unchanged (``If-None-Exist``).

    Two at once under the same criteria take turns at a primary key; the second finds what the first made. What is
    outside the scope counts as not there.

    Raises:
        MultipleMatches: more than one resource meets the criteria.
        See also ``put``.
    """
    if not scope.writable:
        raise ReadOnly("this caller may not write records")
    read_resource(text, rtype=criteria.resource_type, fid=None)
    await store.hold_conditions(s, [await condition_key(s, criteria, tenant)], scope=scope, now=now)
    found = await match_one(s, criteria, scope=scope, now=now)
    if found is not None:
        return stored_of(found)
    return await put(
        s,
        text,
        rtype=criteria.resource_type,
        fid=None,
        scope=scope,
        author=author,
        tenant=tenant,
        now=now,
        with_patient=with_patient,
        news=news,
    )


async def condition_key(s: AsyncSession, criteria: Search, tenant: str) -> int:
    """Return the number under which creates with these criteria take turns."""
    keys = await keys_of(s)
    pairs = [f"{name}={value}" for name, value in sorted(criteria.applied)]
    return keys.of("condition", tenant, criteria.resource_type, *pairs)


async def match_one(s: AsyncSession, criteria: Search, *, scope: RecordScope, now: datetime) -> Head | None:
    """Return the one resource that meets the criteria, or None.

    Raises:
        MalformedRequest: the criteria say nothing, so that anything would meet them.
        MultipleMatches: more than one meets them.
    """
    if not criteria.clauses:
        raise MalformedRequest("the criteria name no search parameter")
    page = await pages.run(
        s,
        replace(criteria, count=2, includes=[], revincludes=[], sort=[], total=None, summary=None),
        await keys_of(s),
        scope=scope,
        now=now,
        cursor=None,
    )
    if len(page.heads) > 1:
        raise MultipleMatches("more than one resource meets the criteria")
    return page.heads[0] if page.heads else None
