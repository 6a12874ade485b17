"""What a doctor writes in a consultation: the note and the prescription, as FHIR in the patient's record.

They belong to the station's tenant, so that they travel down to it. Both need that the doctor has taken the
case; the note of a call that is over may still be written, as long as the doctor may see the patient.
"""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import scope_of
from clinic_net.access.principals import UserPrincipal
from clinic_net.clinical.dates import InvalidDate, PartialDate, age_range
from clinic_net.consultations.calls import taken_by
from clinic_net.consultations.cases import note
from clinic_net.consultations.errors import EmptyDocument, PrescriptionIncomplete
from clinic_net.consultations.model import Consultation
from clinic_net.fhir.jsontext import write
from clinic_net.kernel.errors import Place
from clinic_net.kernel.ids import new_id
from clinic_net.records import service as records
from clinic_net.records.service import Stored

_LOINC = "http://loinc.org"

SECTIONS: Mapping[str, tuple[str, str]] = {
    "history": ("10164-2", "History of present illness"),
    "findings": ("29545-1", "Physical findings"),
    "assessment": ("51848-0", "Assessment"),
    "plan": ("18776-5", "Plan of treatment"),
    "advice": ("69730-0", "Instructions"),
}
"""The sections of a note in their order, with their LOINC codes."""

_WEIGHED_BELOW_MONTHS = 72
"""Circular 26/2025/TT-BYT: below this age a prescription states weight and carer (domain §2.5)."""

_WEIGHT_EXTENSION = "http://clinic-net.vn/fhir/StructureDefinition/prescription-weight"
_CARER_EXTENSION = "http://clinic-net.vn/fhir/StructureDefinition/prescription-carer"
_PRESCRIPTION_ID = "http://clinic-net.vn/fhir/sid/prescription"


@dataclass(frozen=True)
class Item:
    """One medicine: what, how to take it, how much of which unit, for how many days."""

    medicine: str
    dose: str
    quantity: Decimal
    unit: str
    days: int


@dataclass(frozen=True)
class Child:
    """What a prescription for a child below 72 months states: weight in kilograms, the carer's name."""

    weight_kg: Decimal | None = None
    carer: str = ""


async def write_note(
    session: AsyncSession,
    consultation: UUID,
    *,
    by: UserPrincipal,
    sections: Mapping[str, str],
    now: datetime,
) -> Stored:
    """Store the consultation's note: a final Composition, LOINC 11488-4. Sections not in ``SECTIONS`` are left.

    Raises:
        UnknownConsultation, NotTheDoctor: this doctor has not taken it.
        EmptyDocument: nothing is written in any section.
    """
    case = await taken_by(session, consultation, by=by)
    written = [(key, sections[key].strip()) for key in SECTIONS if sections.get(key, "").strip()]
    if not written:
        raise EmptyDocument("a note needs at least one section")
    composition = {
        "resourceType": "Composition",
        "id": str(new_id(now)),
        "status": "final",
        "type": _concept(_LOINC, "11488-4", "Consult note"),
        "subject": {"reference": f"Patient/{case.patient}"},
        **_encounter(case),
        "date": records.instant(now),
        "author": [_author(by)],
        "title": "Phiếu tư vấn khám chữa bệnh từ xa",
        "event": [{"detail": [{"reference": f"ServiceRequest/{case.id}"}]}],
        "section": [_section(key, text) for key, text in written],
    }
    stored = await _store(session, composition, case, by=by, now=now)
    note(session, case, "noted", at=now, actor=by.address)
    return stored


async def prescribe(
    session: AsyncSession,
    consultation: UUID,
    *,
    by: UserPrincipal,
    items: Sequence[Item],
    child: Child,
    now: datetime,
) -> list[Stored]:
    """Store a prescription: one MedicationRequest for each medicine, joined by ``groupIdentifier``.

    Raises:
        UnknownConsultation, NotTheDoctor: this doctor has not taken it.
        UnknownResource: the doctor may no longer see the patient.
        PrescriptionIncomplete: ``places`` names what is missing (Circular 26/2025/TT-BYT).
    """
    case = await taken_by(session, consultation, by=by)
    patient = await records.read(session, "Patient", case.patient, scope=scope_of(by), now=now)
    missing = [*_missing_of(items), *_missing_of_child(json.loads(patient.text), child, now)]
    if missing:
        raise PrescriptionIncomplete("the prescription lacks what the law asks for", places=missing)
    group = str(new_id(now))
    stored = [
        await _store(session, _medication_request(item, case, child, group, by, now), case, by=by, now=now)
        for item in items
    ]
    note(session, case, "prescribed", at=now, actor=by.address, detail=str(len(stored)))
    return stored


def _missing_of(items: Sequence[Item]) -> list[Place]:
    missing = [] if items else [Place("items", "required", "at least one medicine")]
    for index, item in enumerate(items):
        for field, there in (
            ("medicine", bool(item.medicine.strip())),
            ("dose", bool(item.dose.strip())),
            ("unit", bool(item.unit.strip())),
            ("quantity", item.quantity > 0),
            ("days", 0 < item.days <= 365),
        ):
            if not there:
                missing.append(Place(f"items[{index}].{field}", "required", "missing or out of range"))
    return missing


def _missing_of_child(patient: Mapping[str, Any], child: Child, now: datetime) -> list[Place]:
    """Whoever may be below 72 months counts as such: a year of birth alone gives the younger age."""
    try:
        youngest = age_range(PartialDate.parse(str(patient.get("birthDate", ""))), now.date()).min_months
    except InvalidDate:
        return [Place("patient.birthDate", "required", "the age is unknown")]
    if youngest >= _WEIGHED_BELOW_MONTHS:
        return []
    missing = []
    if child.weight_kg is None or not 0 < child.weight_kg < 60:
        missing.append(Place("child.weight_kg", "required", "weight below 72 months of age"))
    if not child.carer.strip():
        missing.append(Place("child.carer", "required", "carer's name below 72 months of age"))
    return missing


def _medication_request(
    item: Item, case: Consultation, child: Child, group: str, by: UserPrincipal, now: datetime
) -> dict[str, Any]:
    extensions: list[dict[str, Any]] = []
    if child.weight_kg is not None:
        weight = {"value": child.weight_kg, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
        extensions.append({"url": _WEIGHT_EXTENSION, "valueQuantity": weight})
    if child.carer.strip():
        extensions.append({"url": _CARER_EXTENSION, "valueString": child.carer.strip()})
    return {
        "resourceType": "MedicationRequest",
        "id": str(new_id(now)),
        **({"extension": extensions} if extensions else {}),
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": {"text": item.medicine.strip()},
        "subject": {"reference": f"Patient/{case.patient}"},
        **_encounter(case),
        "authoredOn": records.instant(now),
        "requester": _author(by),
        "basedOn": [{"reference": f"ServiceRequest/{case.id}"}],
        "groupIdentifier": {"system": _PRESCRIPTION_ID, "value": group},
        "dosageInstruction": [{"text": item.dose.strip()}],
        "dispenseRequest": {
            "quantity": {"value": item.quantity, "unit": item.unit.strip()},
            "expectedSupplyDuration": {
                "value": item.days,
                "unit": "day",
                "system": "http://unitsofmeasure.org",
                "code": "d",
            },
        },
    }


async def _store(
    session: AsyncSession, resource: dict[str, Any], case: Consultation, *, by: UserPrincipal, now: datetime
) -> Stored:
    return await records.put(
        session,
        write(resource),
        rtype=resource["resourceType"],
        fid=resource["id"],
        scope=scope_of(by),
        author=by.address,
        tenant=case.tenant,
        now=now,
        create_only=True,
    )


def _concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _encounter(case: Consultation) -> dict[str, Any]:
    return {} if case.encounter is None else {"encounter": {"reference": f"Encounter/{case.encounter}"}}


def _author(by: UserPrincipal) -> dict[str, Any]:
    if by.practitioner is None:
        return {"display": by.name}
    return {"reference": f"Practitioner/{by.practitioner}", "display": by.name}


def _section(key: str, text: str) -> dict[str, Any]:
    code, title = SECTIONS[key]
    paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in text.splitlines() if line.strip())
    return {
        "title": title,
        "code": _concept(_LOINC, code, title),
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>',
        },
    }
