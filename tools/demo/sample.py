"""Invented patients with a past, entered as a nurse would have entered them, so that pages have something to show."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from station_agent import service
from station_agent.forms.patient import read_patient
from station_agent.forms.vitals import age_fields, read_vitals_form
from station_agent.ids import part_of
from station_agent.service import Doing
from station_agent.store import Database
from station_agent.store.database import FILE_NAME


def _measured(pressure: str, pulse: str, temperature: str, breaths: str, spo2: str) -> dict[str, str]:
    systolic, diastolic = pressure.split("/")
    return {
        "systolic": systolic, "diastolic": diastolic, "pulse": pulse, "temperature": temperature,
        "respiratory_rate": breaths, "spo2": spo2,
    }  # fmt: skip


_PEOPLE: tuple[tuple[dict[str, str], tuple[dict[str, str], ...]], ...] = (
    (
        {
            "name": "Lò Thị Hoà", "sex": "female", "birth_day": "15", "birth_month": "03", "birth_year": "1968",
            "cccd": "011168004321", "phone": "0912345678", "address": "Bản Che Căn", "allergies": "Penicillin",
            "medicines": "Amlodipine 5 mg, mỗi sáng một viên",
        },
        (
            _measured("158/96", "84", "36.7", "18", "97"),
            _measured("149/92", "80", "36.5", "17", "98"),
            _measured("152/94", "88", "36.8", "18", "97"),
        ),
    ),
    (
        {
            "name": "Quàng Văn Dũng", "sex": "male", "birth_year": "1956", "address": "Bản Phăng",
            "medicines": "Salbutamol xịt khi khó thở",
        },
        (
            _measured("134/80", "92", "37.0", "22", "93"),
            _measured("130/78", "90", "36.9", "20", "94"),
        ),
    ),
    (
        {"name": "Giàng Thị Mỷ", "sex": "female", "birth_day": "02", "birth_month": "09", "birth_year": "1999"},
        (_measured("112/70", "82", "36.6", "16", "99"),),
    ),
    (
        {"name": "Vàng A Sùng", "sex": "male", "birth_day": "20", "birth_month": "01", "birth_year": "2023"},
        ({"pulse": "124", "temperature": "38.4", "respiratory_rate": "34", "spo2": "97", "weight": "12.5"},),
    ),
)  # fmt: skip

_NURSE = "nurse:mau"


def enter(station: Path, now: datetime) -> int:
    """Enter the people into a station that is not running. The same call again changes nothing. Returns how many."""
    database = Database(station / FILE_NAME, now)
    try:
        for number, (form, visits) in enumerate(_PEOPLE):
            patient_id = part_of(f"sample of {station.name}", f"patient {number}")
            first = now - timedelta(days=40 * len(visits) + number)
            entry, _ = read_patient(form, today=first.date())
            with database.transaction() as tx:
                service.register(tx, entry, rid=patient_id, doing=Doing(_NURSE, first))
            for visit_number, measured in enumerate(visits):
                at = first + timedelta(days=37 * visit_number, hours=1)
                visit_id = part_of(patient_id, f"visit {visit_number}")
                birth = str(entry.birth) if entry.birth else None
                vitals, _ = read_vitals_form(
                    {**measured, "consciousness": "A", "oxygen": "no", "mobility": "walking", "trauma": "no",
                     "signs_looked": "yes"},
                    [], age=age_fields(birth, at.date()), sex=form["sex"],
                )  # fmt: skip
                with database.transaction() as tx:
                    doing = Doing(_NURSE, at)
                    service.open_visit(tx, patient_id, rid=visit_id, reason="Khám định kỳ", doing=doing)
                    service.save_vitals(
                        tx,
                        visit_id,
                        vitals,
                        set_id=part_of(visit_id, "vitals"),
                        doing=Doing(_NURSE, at + timedelta(minutes=5)),
                    )
                    service.close_visit(tx, visit_id, doing=Doing(_NURSE, at + timedelta(minutes=20)))
    finally:
        database.close()
    return len(_PEOPLE)


def enter_now(station: Path) -> int:
    """Enter the people as of today."""
    return enter(station, datetime.now(UTC))
