"""A patient who is registered at a station is in its care: the relation opens and closes with the Patient."""

import re
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import service as access
from clinic_net.access.policy import hub_scope
from clinic_net.fhir import parse
from clinic_net.records import store
from clinic_net.records.store import Head

BASIS = "home_station"
_SITE = re.compile(r"\d{5}-\d{2}")


def is_registration(record: dict[str, object]) -> bool:
    """Whether a stored record is a Patient that a station answers for."""
    return record["rtype"] == "Patient" and _SITE.fullmatch(str(record["tenant"])) is not None


async def follow(s: AsyncSession, patient: str, *, now: datetime) -> None:
    """Bring the relation of a patient's home station in line with the Patient as it is now.

    It is open while the Patient is there and not marked inactive; it opens nothing to the station that it did not
    know, and all that other places write about the patient.
    """
    head = await store.find(s, "Patient", patient, scope=hub_scope(), now=now)
    if head is None:
        return
    station = f"station:{head.tenant}"
    if _is_open(head):
        await access.grant_care(
            s,
            patient=patient,
            grantee=station,
            basis=BASIS,
            purpose="TREAT",
            since=now,
            until=None,
            source=f"Patient/{patient}",
        )
    else:
        await access.end_care(s, patient=patient, grantee=station, basis=BASIS, at=now)


def _is_open(head: Head) -> bool:
    return head.body is not None and not head.deleted and parse(bytes(head.body)).get("active") is not False
