"""Writing: create, update, delete, and create unless it is there; each use case tells its news once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import consent
from clinic_net.access.consent import Given
from clinic_net.access.policy import RecordScope
from clinic_net.fhir import Search
from clinic_net.kernel.errors import Refusal
from clinic_net.kernel.jobs import announce
from clinic_net.kernel.links import Database
from clinic_net.records import search as pages
from clinic_net.records import store, store_writes, trail
from clinic_net.records.drafts import Order, draft, read_resource
from clinic_net.records.errors import (
    MalformedRequest,
    MultipleMatches,
    ReadOnly,
    UnknownResource,
    VersionConflict,
)
from clinic_net.records.index import Rows
from clinic_net.records.putting import put_many, stored_by
from clinic_net.records.shapes import News, Stored, milliseconds, stored_of
from clinic_net.records.store import Head
from clinic_net.records.store_writes import Change
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
    order = Order(
        draft(text, rtype=rtype, fid=fid, now=now),
        scope,
        author,
        tenant,
        if_match=if_match,
        create_only=create_only,
        with_patient=with_patient,
    )
    return await put_order(s, order, now=now, news=news)


async def put_order(s: AsyncSession, order: Order, *, now: datetime, news: News | None = None) -> Stored:
    """Store a draft; see ``put``."""
    (stored,) = await put_many(s, [order], await keys_of(s), now=now)
    if isinstance(stored, Refusal):
        raise stored
    if stored.changed:
        await _news(s, [stored], news)
    return stored


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
    change = Change(
        head.rid, rtype, fid, head.version + 1, "D", head.tenant, head.patient, author, None, Rows(),
        store.labels_said(head),
    )  # fmt: skip
    await store_writes.replace(s, [change], scope=scope, now=milliseconds(now))
    stored = stored_by(change, milliseconds(now))
    await audit.record_many(s, [trail.wrote(stored, origin=audit.here())], at=now)
    if rtype == "Consent":
        gone = Given(None, fid, head.patient, head.tenant, author)
        await consent.follow(s, gone, await consent.understood(s, gone, now=now), now=now)
    await _news(s, [stored], news)
    return stored


async def _news(s: AsyncSession, stored: Sequence[Stored], news: News | None) -> None:
    if news is None:
        await tell(s, stored)
    else:
        news.extend(stored)


async def tell(s: Database, news: Sequence[Stored]) -> None:
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
        return await seen(s, found, scope=scope, author=author, now=now)
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


async def seen(s: AsyncSession, found: Head, *, scope: RecordScope, author: str, now: datetime) -> Stored:
    """Return what a conditional create found, which its caller reads by that: it is written down as a read."""
    stored = stored_of(found)
    subject = f"{stored.rtype}/{stored.fid}"
    await trail.noted(s, "record.read", [stored], subject=subject, scope=scope, now=now, by=author)
    return stored


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
