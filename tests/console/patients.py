"""A patient as a station's forms write them, with two visits; and the request for a doctor that goes with them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from clinic_net.access.policy import scope_of
from clinic_net.clinical.triage import TriageResult, assess
from clinic_net.consultations import jobs as _consultations
from clinic_net.kernel.hub import Hub
from clinic_net.records import service as records
from station_agent.forms import patient as registration
from station_agent.forms import visit as visits
from station_agent.forms import vitals as measuring
from tests.console.support import STATION_DEVICE
from tests.consultations.support import SITE

_ = _consultations

NAME = "Lò Thị Thử Nghiệm"
ALLERGY = "Penicillin: nổi mề đay"
MEDICINE = "Amlodipin 5 mg mỗi sáng"
REASON = "Đau ngực trái lan tay, vã mồ hôi từ 1 giờ nay"

SICK = {
    "respiratory_rate": "26", "spo2": "91", "pulse": "128", "temperature": "37,4", "systolic": "92",
    "diastolic": "58", "weight": "52,5", "consciousness": "A", "oxygen": "no", "glucose": "7,2",
}  # fmt: skip
WELL = {
    "respiratory_rate": "18",
    "spo2": "97",
    "pulse": "84",
    "temperature": "36,8",
    "systolic": "138",
    "diastolic": "86",
}


@dataclass(frozen=True)
class Written:
    """What a station has written: its resources, and the ids of patient and request."""

    resources: list[dict[str, Any]]
    patient: str
    request: UUID


def registered(now: datetime, *, years: int = 54, rid: str | None = None) -> list[dict[str, Any]]:
    """Return a woman of so many years, with an allergy and a medicine."""
    form = {
        "name": NAME, "sex": "female", "birth_year": str(now.year - years), "bhyt": "", "address": "Bản Mường Pồn 1",
        "allergies": ALLERGY, "medicines": MEDICINE,
    }  # fmt: skip
    entry, problems = registration.read_patient(form, today=now.date())
    assert not [problem for problem in problems if not problem.warning]
    patient = rid or str(uuid4())
    return [
        registration.patient(entry, rid=patient),
        *registration.allergies(entry, patient_id=patient, by="Y tá Lan", now=now),
        *registration.medicines(entry, patient_id=patient, by="Y tá Lan", now=now),
    ]


def measured(
    form: Mapping[str, str],
    patient: dict[str, Any],
    *,
    reason: str,
    at: datetime,
    signs: tuple[str, ...] = (),
) -> tuple[list[dict[str, Any]], TriageResult]:
    """Return a visit with its vital signs and its triage, as resources, and what the triage says."""
    encounter = visits.encounter(
        rid=str(uuid4()), patient_id=patient["id"], reason=reason, by="Y tá Lan", started=at
    )
    age = measuring.age_fields(patient["birthDate"], at.date())
    entry, problems = measuring.read_vitals_form(
        {**form, "signs_looked": "yes"}, signs, age=age, sex=patient["gender"]
    )
    assert not problems
    assert entry.vitals is not None
    setting = measuring.Setting(str(uuid4()), patient["id"], encounter["id"], "Y tá Lan", at)
    found = measuring.observations(entry, setting)
    result = assess("auto", entry.vitals)
    triage = measuring.triage_observation(result, setting, [each["id"] for each in found])
    return [encounter, *found, triage], result


def chest_pain(now: datetime, *, years: int = 54, specialty: str = "cardiology") -> Written:
    """Return a patient who was well a month ago and is not now, and the request for a doctor."""
    person = registered(now, years=years)
    patient = person[0]
    before, _well = measured(WELL, patient, reason="Khám tăng huyết áp định kỳ", at=now - timedelta(days=30))
    today, result = measured(
        SICK, patient, reason=REASON, at=now - timedelta(minutes=5), signs=("respiratory_distress",)
    )
    ask = visits.Ask(patient["id"], today[0]["id"], specialty, specialty, REASON, "Y tá Lan")
    score = None if result.score is None else int(result.score)
    summary = visits.TriageSummary(result.colour, score, result.chart, result.version, result.complete)
    request = visits.consult_request(
        ask, rid=str(uuid4()), triage=summary, observations=[each["id"] for each in today[1:-1]], now=now
    )
    return Written([*person, *before, *today, request], patient["id"], UUID(request["id"]))


async def send(hub: Hub, written: Written) -> UUID:
    """Bring what a station wrote to the hub, whose jobs then make the request a case."""
    async with hub.sessions() as session, session.begin():
        for resource in written.resources:
            await records.put(
                session,
                json.dumps(resource).encode(),
                rtype=resource["resourceType"],
                fid=resource["id"],
                scope=scope_of(STATION_DEVICE),
                author=STATION_DEVICE.address,
                tenant=SITE,
                now=hub.now(),
                if_match=None,
            )
    await hub.jobs.run_pending()
    return written.request
