"""A doctor's sight of a patient's record, within the doctor's right to it. Every look is on the audit trail."""

import json
from collections.abc import Iterable
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import scope_of
from clinic_net.access.principals import UserPrincipal
from clinic_net.console import record
from clinic_net.console.i18n import local_day
from clinic_net.console.plot import Plot, plot
from clinic_net.console.record import Record, Series
from clinic_net.directory import service as directory
from clinic_net.directory.errors import UnknownFacility
from clinic_net.records import service as records
from clinic_net.records.errors import ResourceDeleted, UnknownResource


async def chart_of(session: AsyncSession, patient: str, *, by: UserPrincipal, now: datetime) -> Record | None:
    """Return a patient's record (FHIR id of the Patient) as it is now; None where ``by`` may not see it."""
    try:
        stored = await records.everything(session, patient, scope=scope_of(by), now=now, by=by.address)
    except (UnknownResource, ResourceDeleted):
        return None
    return record.read([json.loads(each.text) for each in stored], on=local_day(now))


async def places_of(session: AsyncSession, codes: Iterable[str]) -> dict[str, str]:
    """Return the names of facilities by their codes; a code that nobody knows stands for itself."""
    found = {}
    for code in codes:
        try:
            found[code] = (await directory.facility(session, code)).name
        except UnknownFacility:
            found[code] = code
    return found


def plots_of(chart: Record) -> list[tuple[Series, Plot]]:
    """Return each vital sign that was measured, with its picture."""
    return [(series, plot(series)) for series in chart.series]
