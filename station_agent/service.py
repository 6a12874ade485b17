"""What a nurse does, as use cases: each in one transaction, saved and queued for the hub together."""

from dataclasses import dataclass
from datetime import datetime

from clinic_net.clinical.specialties import SPECIALTIES
from clinic_net.clinical.triage import InvalidVitals, TriageResult, assess
from clinic_net.protocol.sync import Lane
from station_agent.errors import UnknownRecord
from station_agent.forms import patient as patient_form
from station_agent.forms import picture as picture_form
from station_agent.forms import reading
from station_agent.forms import visit as visit_form
from station_agent.forms.common import Resource
from station_agent.forms.patient import PatientEntry
from station_agent.forms.picture import Picture
from station_agent.forms.reading import is_triage
from station_agent.forms.visit import TriageSummary
from station_agent.forms.vitals import Setting, VitalsEntry, observations, triage_observation
from station_agent.store import Tx, calls, files, outbox, records
from station_agent.store.records import Desk, Held


@dataclass(frozen=True)
class Doing:
    """Who works, and when. ``by`` names an account (``nurse:lan``), ``name`` is how she is called in a record."""

    by: str
    now: datetime
    name: str = ""

    @property
    def signed(self) -> str:
        """Who a record says wrote it, for people to read."""
        return self.name or self.by


def register(tx: Tx, entry: PatientEntry, *, rid: str, doing: Doing) -> None:
    """Register a person under an id that the form was made with; the same form twice is one person."""
    if records.find(tx, "Patient", rid) is not None:
        return
    desk = Desk(tx, now=doing.now, by=doing.by)
    desk.put(patient_form.patient(entry, rid=rid))
    for made in (
        *patient_form.allergies(entry, patient_id=rid, by=doing.signed, now=doing.now),
        *patient_form.medicines(entry, patient_id=rid, by=doing.signed, now=doing.now),
    ):
        desk.put(made)


def open_visit(tx: Tx, patient_id: str, *, rid: str, reason: str, doing: Doing) -> None:
    """Open a visit under an id that the form was made with.

    Raises:
        UnknownRecord: this computer does not know the patient.
    """
    records.read(tx, "Patient", patient_id)
    if records.find(tx, "Encounter", rid) is None:
        Desk(tx, now=doing.now, by=doing.by).put(
            visit_form.encounter(
                rid=rid, patient_id=patient_id, reason=reason, by=doing.signed, started=doing.now
            )
        )


def close_visit(tx: Tx, visit_id: str, *, doing: Doing) -> None:
    """End a visit. Raises UnknownRecord."""
    visit = records.read(tx, "Encounter", visit_id).resource
    if visit["status"] != "finished":
        Desk(tx, now=doing.now, by=doing.by).put(visit_form.finished(visit, ended=doing.now))


def triage(entry: VitalsEntry) -> TriageResult | None:
    """Assess what was measured with the charts that fit; None when the age is unknown or nothing was measured."""
    if entry.vitals is None or entry.empty:
        return None
    try:
        return assess("auto", entry.vitals)
    except InvalidVitals:
        return None


def save_vitals(tx: Tx, visit_id: str, entry: VitalsEntry, *, set_id: str, doing: Doing) -> None:
    """Save what was measured anew, with the triage of the whole; the same form twice is one set. Raises UnknownRecord.

    The form comes back with what was measured before. A value that was left as it was is no new measurement.
    """
    visit = records.read(tx, "Encounter", visit_id)
    setting = Setting(set_id, patient_of(visit), visit_id, doing.signed, doing.now)
    before = newest_of_each(tx, visit_id)
    made = observations(entry, setting)
    new = [item for item in made if not reading.same_value(item, before.get(reading.kind_of(item)))]
    if not new:
        return
    desk = Desk(tx, now=doing.now, by=doing.by)
    for item in new:
        desk.put(item)
    result = triage(entry)
    if result is not None:
        after = newest_of_each(tx, visit_id)
        sources = [str(after[kind]["id"]) for item in made if (kind := reading.kind_of(item)) in after]
        desk.put(triage_observation(result, setting, sources))


def add_picture(tx: Tx, visit_id: str, added: Picture, *, rid: str, doing: Doing) -> None:
    """Keep a picture or a document of a visit: the document goes with today's care, its bytes when nothing else waits.

    The same form twice is one document. Raises UnknownRecord.
    """
    visit = records.read(tx, "Encounter", visit_id)
    if records.find(tx, "DocumentReference", rid) is not None:
        return
    patient_id = patient_of(visit)
    made = picture_form.document(
        added, rid=rid, patient_id=patient_id, encounter_id=visit_id, by=doing.by, now=doing.now
    )
    Desk(tx, now=doing.now, by=doing.by).put(made)
    file = files.File(
        rid, patient_id, added.digest, added.type, len(added.content), "waiting", None, 0, None, True
    )
    files.add(tx, file, added.content, now=doing.now)


def patient_of(visit: Held) -> str:
    """Return the id of a visit's patient."""
    found = records.patient_of(visit.resource)
    if found is None:
        raise UnknownRecord("the visit names no patient")
    return found


@dataclass(frozen=True)
class Request:
    """What the nurse said when asking for a doctor."""

    rid: str
    specialty: str
    reason: str


def ask_for_doctor(
    tx: Tx, visit_id: str, request: Request, *, summary: TriageSummary | None, doing: Doing
) -> None:
    """Ask for a doctor: the request, and all that it speaks of, goes to the hub before anything else.

    The order of operations stays; only their lane changes, so that patient and visit are there when the request is.

    Raises:
        UnknownRecord: no such visit, or no such specialty.
    """
    if request.specialty not in SPECIALTIES:
        raise UnknownRecord("no such specialty")
    if records.find(tx, "ServiceRequest", request.rid) is not None:
        return
    visit = records.read(tx, "Encounter", visit_id)
    patient_id = patient_of(visit)
    measured = [held.id for held in records.of_encounter(tx, visit_id, "Observation")]
    ask = visit_form.Ask(
        patient_id,
        visit_id,
        request.specialty,
        SPECIALTIES[request.specialty].en,
        request.reason,
        doing.signed,
    )
    made = visit_form.consult_request(
        ask, rid=request.rid, triage=summary, observations=measured, now=doing.now
    )
    safety = records.of_patient(tx, patient_id, ("AllergyIntolerance", "MedicationStatement"))
    needed = [("Patient", patient_id), ("Encounter", visit_id), *(("Observation", rid) for rid in measured)]
    outbox.promote(tx, [*needed, *((held.rtype, held.id) for held in safety)], Lane.URGENT)
    Desk(tx, now=doing.now, by=doing.by).put(made, lane=Lane.URGENT)
    calls.asked(tx, request.rid, encounter=visit_id, patient=patient_id, now=doing.now)


def withdraw(tx: Tx, call_id: str, *, doing: Doing) -> None:
    """Take a request back: the ServiceRequest is revoked, in the lane it went. Raises UnknownRecord."""
    held = records.read(tx, "ServiceRequest", call_id)
    Desk(tx, now=doing.now, by=doing.by).put({**held.resource, "status": "revoked"}, lane=Lane.URGENT)
    calls.withdrawn(tx, call_id)


def newest_of_each(tx: Tx, visit_id: str) -> dict[str, Resource]:
    """Return the newest Observation of each kind in a visit."""
    held = records.of_encounter(tx, visit_id, "Observation")
    return {reading.kind_of(item.resource): item.resource for item in reversed(held)}


def note_allergy(tx: Tx, patient_id: str, text: str, *, doing: Doing) -> None:
    """Add an allergy to a known patient. Raises UnknownRecord."""
    records.read(tx, "Patient", patient_id)
    made = patient_form.allergy(text, patient_id=patient_id, by=doing.signed, now=doing.now)
    if records.find(tx, "AllergyIntolerance", str(made["id"])) is None:
        Desk(tx, now=doing.now, by=doing.by).put(made, lane=Lane.CARE)


def resolve_conflict(tx: Tx, op: int, *, keep_ours: bool, doing: Doing) -> None:
    """Settle a clash as a person decided: ours becomes a change of the hub's version, or the hub's is taken.

    Raises:
        UnknownRecord: no such clash, or the hub's version has not come down yet.
    """
    waiting = outbox.get(tx, op)
    if waiting is None or waiting.leg != "conflict":
        raise UnknownRecord("no such clash")
    copy = records.hub_copy(tx, waiting.rtype, waiting.id)
    if copy is None:
        raise UnknownRecord("the hub's version has not arrived yet")
    version, _ = copy
    outbox.settle(tx, op)
    if keep_ours:
        held = records.read(tx, waiting.rtype, waiting.id)
        records.rebase(tx, waiting.rtype, waiting.id, version)
        Desk(tx, now=doing.now, by=doing.by).put_again(held.resource, lane=Lane(waiting.lane))


def triage_summary(tx: Tx, visit_id: str) -> tuple[Resource, str] | None:
    """Return the newest triage Observation of a visit and its time, or None."""
    for held in records.of_encounter(tx, visit_id, "Observation"):
        if is_triage(held.resource):
            return held.resource, held.at
    return None
