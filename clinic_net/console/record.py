"""A patient's record as a doctor reads it: pure functions from FHIR resources to what the page shows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any

from clinic_net.clinical.dates import InvalidDate, PartialDate, age_range
from clinic_net.console.pictures import Picture, pictures
from clinic_net.consultations.documents import SECTIONS
from clinic_net.protocol.sync.reviews import Review, open_among

Resource = Mapping[str, Any]

_LOINC = "http://loinc.org"
_INSURANCE = ("bhyt", "bhxh")


@dataclass(frozen=True)
class Reading:
    """A number that was measured."""

    at: datetime
    value: float


@dataclass(frozen=True)
class Series:
    """Readings of one vital sign, oldest first. ``low`` and ``high`` bound what NEWS2 (RCP 2017) scores 0 in adults."""

    key: str
    unit: str
    readings: tuple[Reading, ...]
    low: float | None = None
    high: float | None = None

    @property
    def last(self) -> Reading:
        return self.readings[-1]

    @property
    def written(self) -> str:
        """The newest value as people write it, without its unit."""
        return f"{self.last.value:.{self.decimals}f}"

    @property
    def outside(self) -> str:
        """Where the newest value lies: ``low`` or ``high`` of the band, else empty."""
        if self.low is not None and self.last.value < self.low:
            return "low"
        return "high" if self.high is not None and self.last.value > self.high else ""

    @property
    def decimals(self) -> int:
        return 1 if self.key in ("temperature", "weight", "glucose", "capillary_refill") else 0


_VITALS: Mapping[str, tuple[str, str, float | None, float | None]] = {
    "9279-1": ("respiratory_rate", "/min", 12, 20),
    "59408-5": ("spo2", "%", 96, 100),
    "2708-6": ("spo2", "%", 96, 100),
    "8480-6": ("systolic", "mmHg", 111, 219),
    "8462-4": ("diastolic", "mmHg", None, None),
    "8867-4": ("pulse", "/min", 51, 90),
    "8310-5": ("temperature", "°C", 36.1, 38.0),
    "44963-7": ("capillary_refill", "s", None, None),
    "29463-7": ("weight", "kg", None, None),
    "8302-2": ("height_cm", "cm", None, None),
    "14743-9": ("glucose", "mmol/L", None, None),
}
"""LOINC codes of vital signs: key, unit, and the band that scores 0 on NEWS2 scale 1."""

_ORDER = (
    "respiratory_rate", "spo2", "systolic", "diastolic", "pulse", "temperature", "capillary_refill", "glucose",
    "weight", "height_cm",
)  # fmt: skip

_ADULT_MONTHS = 16 * 12
"""NEWS2 is for people of 16 years and over; its bands say nothing about a child, nor about a pregnancy."""

_SECTIONS = {code: key for key, (code, _) in SECTIONS.items()}


@dataclass(frozen=True)
class Visit:
    """An encounter: when, why."""

    at: datetime | None
    reason: str
    station: str


@dataclass(frozen=True)
class Medicine:
    """A prescribed medicine, or one that the patient says they take. ``days`` is None where nobody wrote it."""

    name: str
    dose: str
    at: datetime | None
    status: str
    quantity: str = ""
    days: int | None = None
    prescribed: bool = False

    @property
    def taken(self) -> bool:
        """Whether it may still be taken: a status that says the contrary is missing."""
        return self.status not in ("stopped", "completed", "cancelled", "not-taken")


@dataclass(frozen=True)
class Document:
    """A note. Sections are (key of ``consultations.documents.SECTIONS``, else the title; text)."""

    title: str
    author: str
    at: datetime | None
    sections: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Record:
    """What a doctor sees of a patient. Lists are newest first.

    ``months`` is the least age. ``signs`` None means that nobody looked. ``consciousness`` is A, C, V, P or U.
    """

    name: str = ""
    sex: str = ""
    birth_date: str = ""
    age: str = ""
    months: int | None = None
    insurance: str = ""
    address: str = ""
    phone: str = ""
    allergies: tuple[str, ...] = ()
    medicines: tuple[Medicine, ...] = ()
    series: tuple[Series, ...] = ()
    signs: tuple[str, ...] | None = None
    triage_colour: str = ""
    triage_score: int | None = None
    triage_complete: bool | None = None
    visits: tuple[Visit, ...] = ()
    documents: tuple[Document, ...] = ()
    consciousness: str = ""
    on_oxygen: bool | None = None
    pregnant: bool | None = None
    reviews: tuple[Review, ...] = ()
    pictures: tuple[Picture, ...] = ()

    @property
    def medicines_now(self) -> tuple[Medicine, ...]:
        return tuple(each for each in self.medicines if each.taken)

    @property
    def measured_at(self) -> datetime | None:
        """When the newest vital sign was measured."""
        return max((each.last.at for each in self.series), default=None)

    @property
    def diastolic(self) -> str:
        """The diastolic value that belongs to the newest systolic one, as written; else empty."""
        pair = self.series_of("systolic", "diastolic")
        return pair[1].written if len(pair) == 2 and pair[0].last.at == pair[1].last.at else ""

    def series_of(self, *keys: str) -> tuple[Series, ...]:
        """The vital signs of these keys that were measured, in this order."""
        found = {each.key: each for each in self.series}
        return tuple(found[key] for key in keys if key in found)


def read(resources: Iterable[Resource], *, on: date) -> Record:
    """Read a patient's resources (any order) into a record as of a day."""
    by_type: dict[str, list[Resource]] = {}
    for resource in resources:
        by_type.setdefault(str(resource.get("resourceType")), []).append(resource)
    patient: Resource = next(iter(by_type.get("Patient", [])), {})
    observations = sorted(
        by_type.get("Observation", []), key=lambda each: _sortable(each, "effectiveDateTime")
    )
    years, months = _age(str(patient.get("birthDate", "")), on)
    latest = _latest(observations)
    triage = latest.get("triage", {})
    pregnant = latest.get("pregnant", {}).get("valueBoolean")
    banded = months is not None and months >= _ADULT_MONTHS and not pregnant
    allergies = by_type.get("AllergyIntolerance", [])
    return Record(
        name=name_of(patient),
        sex=str(patient.get("gender", "")),
        birth_date=_written_date(str(patient.get("birthDate", ""))),
        age=years,
        months=months,
        insurance=_insurance(patient),
        address=next((str(each.get("text", "")) for each in patient.get("address", [])), ""),
        phone=next((str(each.get("value", "")) for each in patient.get("telecom", [])), ""),
        allergies=tuple(dict.fromkeys(_text(each.get("code")) for each in allergies if _counts(each))),
        medicines=_medicines(by_type),
        series=_series(observations, banded=banded),
        signs=_signs(latest.get("danger-signs")),
        triage_colour=_code(triage.get("valueCodeableConcept")),
        triage_score=_part(triage, "triage-score", "valueInteger"),
        triage_complete=_part(triage, "triage-complete", "valueBoolean"),
        visits=_visits(by_type.get("Encounter", [])),
        documents=_documents(by_type.get("Composition", [])),
        consciousness=_code(latest.get("67775-7", {}).get("valueCodeableConcept")),
        on_oxygen=latest.get("oxygen", {}).get("valueBoolean"),
        pregnant=pregnant,
        reviews=open_among(by_type.get("Task", [])),
        pictures=pictures(by_type.get("DocumentReference", [])),
    )


def _sortable(resource: Resource, *names: str) -> datetime:
    for name in names:
        at = _instant(resource.get(name))
        if at is not None:
            return at
    return datetime.min.replace(tzinfo=UTC)


def _instant(text: object) -> datetime | None:
    """Read a FHIR dateTime; a date alone is its first instant, what cannot be read is None."""
    if not isinstance(text, str):
        return None
    try:
        read = datetime.fromisoformat(text if len(text) >= 10 else f"{text}-01-01"[:10])
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def name_of(patient: Resource) -> str:
    """Return the first name of a Patient as it is written; empty if there is none."""
    for name in patient.get("name", []):
        return str(name.get("text") or " ".join([name.get("family", ""), *name.get("given", [])]).strip())
    return ""


def _age(birth_date: str, on: date) -> tuple[str, int | None]:
    """Return the age in whole years as written, ``"43"`` or ``"42–43"``, and the least age in months."""
    try:
        ages = age_range(PartialDate.parse(birth_date), on)
    except InvalidDate:
        return "", None
    low, high = ages.min_years, ages.max_years
    return (str(low) if low == high else f"{low}–{high}"), ages.min_months


def _written_date(text: str) -> str:
    """Return a FHIR date as people write it: ``1956``, ``03/1956`` or ``15/03/1956``."""
    return "/".join(reversed(text.split("-"))) if text else ""


def _insurance(patient: Resource) -> str:
    for identifier in patient.get("identifier", []):
        if str(identifier.get("system", "")).rsplit("/", 1)[-1].startswith(_INSURANCE):
            return str(identifier.get("value", ""))
    return ""


def _text(concept: object) -> str:
    if not isinstance(concept, Mapping):
        return ""
    if concept.get("text"):
        return str(concept["text"])
    return next((str(each.get("display") or each.get("code", "")) for each in concept.get("coding", [])), "")


def _code(concept: object) -> str:
    if not isinstance(concept, Mapping):
        return ""
    return next((str(each.get("code", "")) for each in concept.get("coding", [])), "")


def _part(observation: Resource, code: str, value: str) -> Any:
    """Return the value of an observation's component, None if it has none."""
    return next(
        (p.get(value) for p in observation.get("component", []) if _code(p.get("code")) == code), None
    )


def _counts(allergy: Resource) -> bool:
    if _code(allergy.get("clinicalStatus")) == "resolved":
        return False
    return _code(allergy.get("verificationStatus")) not in ("entered-in-error", "refuted")


def _latest(observations: list[Resource]) -> dict[str, Resource]:
    """Return the newest observation of each code; ``observations`` are oldest first."""
    return {
        _code(each.get("code")): each for each in observations if each.get("status") != "entered-in-error"
    }


def _series(observations: list[Resource], *, banded: bool) -> tuple[Series, ...]:
    found: dict[str, tuple[str, float | None, float | None, list[Reading]]] = {}
    for observation in observations:
        at = _instant(observation.get("effectiveDateTime"))
        if at is None or observation.get("status") == "entered-in-error":
            continue
        for measured in (observation, *observation.get("component", [])):
            known = _VITALS.get(_code(measured.get("code")))
            value = measured.get("valueQuantity", {}).get("value")
            if known and isinstance(value, int | float):
                key, unit, low, high = known
                found.setdefault(key, (unit, low, high, []))[3].append(Reading(at, float(value)))
    return tuple(
        Series(key, unit, tuple(readings), low if banded else None, high if banded else None)
        for key in _ORDER
        if key in found
        for unit, low, high, readings in (found[key],)
    )


def _signs(observation: Resource | None) -> tuple[str, ...] | None:
    if observation is None:
        return None
    return tuple(
        _code(each.get("code")) for each in observation.get("component", []) if each.get("valueBoolean")
    )


def _medicines(by_type: Mapping[str, list[Resource]]) -> tuple[Medicine, ...]:
    found = [
        Medicine(
            name=_text(each.get("medicationCodeableConcept")),
            dose=next(
                (str(dose.get("text", "")) for dose in each.get("dosageInstruction", each.get("dosage", []))),
                "",
            ),
            at=_instant(each.get("authoredOn") or each.get("effectiveDateTime") or each.get("dateAsserted")),
            status=str(each.get("status", "")),
            quantity=_quantity(each.get("dispenseRequest", {}).get("quantity")),
            days=each.get("dispenseRequest", {}).get("expectedSupplyDuration", {}).get("value"),
            prescribed=rtype == "MedicationRequest",
        )
        for rtype in ("MedicationRequest", "MedicationStatement")
        for each in by_type.get(rtype, [])
        if each.get("status") != "entered-in-error"
    ]
    return tuple(sorted(found, key=lambda each: each.at or datetime.min.replace(tzinfo=UTC), reverse=True))


def _quantity(quantity: object) -> str:
    if not isinstance(quantity, Mapping) or "value" not in quantity:
        return ""
    return f"{quantity['value']} {quantity.get('unit', '')}".strip()


def _visits(encounters: list[Resource]) -> tuple[Visit, ...]:
    found = [
        Visit(
            at=_instant(each.get("period", {}).get("start")),
            reason=next((_text(reason) for reason in each.get("reasonCode", [])), ""),
            station=str(each.get("serviceProvider", {}).get("display", "")),
        )
        for each in encounters
    ]
    return tuple(sorted(found, key=lambda each: each.at or datetime.min.replace(tzinfo=UTC), reverse=True))


def _documents(compositions: list[Resource]) -> tuple[Document, ...]:
    newest_first = sorted(compositions, key=lambda each: _sortable(each, "date"), reverse=True)
    return tuple(
        Document(
            title=str(each.get("title", "")),
            author=next((str(author.get("display", "")) for author in each.get("author", [])), ""),
            at=_instant(each.get("date")),
            sections=tuple(
                (
                    _SECTIONS.get(_code(section.get("code")), str(section.get("title", ""))),
                    plain_text(str(section.get("text", {}).get("div", ""))),
                )
                for section in each.get("section", [])
            ),
        )
        for each in newest_first
    )


def plain_text(div: str) -> str:
    """Return the words of a narrative's XHTML, with its line breaks; markup never reaches a page."""
    words = _Words()
    words.feed(div)
    return "".join(words.found).strip()


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("br", "p", "li") and self.found:
            self.found.append("\n")
