"""A child's guardian sees the child's record until the child is of age: what a station verified, by the date of birth.

The station that knows the family writes a RelatedPerson with the relationship GUARD (HL7 v3 RoleCode) and the number of
the guardian's account; nobody else's word opens a record.
"""

import re
from calendar import isleap
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import service as access
from clinic_net.access.consent import USER_ID
from clinic_net.access.policy import hub_scope
from clinic_net.clinical.dates import InvalidDate, PartialDate
from clinic_net.fhir import parse
from clinic_net.records import store

BASIS = "guardian"
OF_AGE = 18
"""Civil Code 91/2015/QH13 art. 21: who is not yet eighteen is a minor, whom a guardian represents."""

_SITE = re.compile(r"\d{5}-\d{2}")
_LOCAL = timedelta(hours=7)


def is_guardian(record: Mapping[str, object]) -> bool:
    """Whether a stored record is a relative whom a station vouches for."""
    return (
        record["rtype"] == "RelatedPerson"
        and _SITE.fullmatch(str(record["tenant"])) is not None
        and record["author"] == f"station:{record['tenant']}"
    )


def of_age(birth_date: str) -> datetime | None:
    """Return the instant at which somebody is of age: the first of their birthday in Viet Nam.

    A year or a month alone counts from its first day, so that a right ends too early rather than too late. None where
    the date says nothing.
    """
    try:
        born = PartialDate.parse(birth_date)
    except InvalidDate:
        return None
    year, month, day = born.year + OF_AGE, born.month or 1, born.day or 1
    if (month, day) == (2, 29) and not isleap(year):
        month, day = 3, 1
    at = date(year, month, day)
    return datetime(at.year, at.month, at.day, tzinfo=UTC) - _LOCAL


async def follow(s: AsyncSession, fid: str, *, now: datetime) -> None:
    """Bring what a guardian may see in line with the RelatedPerson as it is now."""
    head = await store.find(s, "RelatedPerson", fid, scope=hub_scope(), now=now)
    if head is None:
        return
    source = f"RelatedPerson/{fid}"
    related = {} if head.body is None or head.deleted else parse(bytes(head.body))
    account = _account(related)
    child = (
        None
        if head.patient is None
        else await store.find(s, "Patient", head.patient, scope=hub_scope(), now=now)
    )
    until = (
        None
        if child is None or child.body is None
        else of_age(str(parse(bytes(child.body)).get("birthDate")))
    )
    await access.end_care_from(s, source, bases=[BASIS], at=now)
    if account is None or child is None or until is None or until <= now or related.get("active") is False:
        return
    await access.grant_care(
        s,
        patient=child.fid,
        grantee=f"user:{account}",
        basis=BASIS,
        purpose="FAMRQT",
        since=now,
        until=until,
        source=source,
    )


def _account(related: Mapping[str, Any]) -> UUID | None:
    kinds = [
        coding.get("code") for kind in related.get("relationship", ()) for coding in kind.get("coding", ())
    ]
    if "GUARD" not in kinds:
        return None
    for identifier in related.get("identifier", ()):
        if identifier.get("system") == USER_ID:
            try:
                return UUID(str(identifier.get("value")))
            except ValueError:
                return None
    return None
