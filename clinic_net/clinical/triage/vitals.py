"""What was seen and measured, read without mercy: nothing is assumed, converted or defaulted.

A value is refused if it cannot be (a temperature in Fahrenheit, a saturation as a fraction, a pressure in
kPa) or has the wrong type; ``None`` and an absent field mean *not measured*. A zero is never a measurement:
arrest is recorded as a sign. Sources: domain §4, safety rules 1, 3, 4 and 7.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from clinic_net.clinical.triage.signs import SIGNS

DAYS_A_MONTH = 30.4375
FEVER_FROM, HYPOTHERMIA_BELOW = 38.0, 36.0
"""Degrees Celsius. The IITT prints no number for fever; this is the cautious reading of it."""


@dataclass(frozen=True, slots=True)
class VitalsIssue:
    """What is wrong (``code``) and where (``field``, as ``signs[2]`` or ``gcs.eye``); never the value.

    Codes: ``not-an-object``, ``field-unknown``, ``wrong-type``, ``impossible``, ``not-a-code``,
    ``sign-unknown``, ``too-many``, ``age-required``, ``age-inconsistent``, ``oxygen-inconsistent``,
    ``pressure-inconsistent``, ``chart-unknown``, ``invalid``.
    """

    code: str
    field: str


class InvalidVitals(Exception):
    """The input cannot be triaged. ``code`` is ``vitals-invalid``; ``issues`` say what and where."""

    code = "vitals-invalid"

    def __init__(self, *issues: VitalsIssue) -> None:
        super().__init__("; ".join(f"{issue.field}: {issue.code}" for issue in issues))
        self.issues = issues


@dataclass(frozen=True, slots=True)
class Age:
    """The ages a patient may have, in days and completed months. Charts take the end that is safer."""

    min_days: int
    max_days: int
    min_months: int
    max_months: int

    def may_be_under(self, months: int) -> bool:
        """Whether the patient may be younger than so many months."""
        return self.min_months < months

    def may_be_at_least(self, months: int) -> bool:
        """Whether the patient may be so many months old, or older."""
        return self.max_months >= months


def _part_up_to(best: int) -> BeforeValidator:
    """One part of the coma scale: a whole number from 1 to ``best``, or NT."""

    def check(value: object) -> object:
        if value is None or value == "NT":
            return value
        if isinstance(value, str):
            raise PydanticCustomError("not-a-code", "a number or NT")
        if type(value) is not int:
            raise PydanticCustomError("wrong-type", "a number or NT")
        if not 1 <= value <= best:
            raise PydanticCustomError("impossible", "out of range")
        return value

    return BeforeValidator(check)


class GlasgowComa(BaseModel):
    """The three parts of the Glasgow Coma Scale; ``NT`` is not testable (intubated, swollen eyes)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    eye: Annotated[int | Literal["NT"] | None, _part_up_to(4)] = None
    verbal: Annotated[int | Literal["NT"] | None, _part_up_to(5)] = None
    motor: Annotated[int | Literal["NT"] | None, _part_up_to(6)] = None

    @property
    def total(self) -> int | None:
        """The sum; None as soon as one part is not testable or not assessed."""
        parts = [part for part in (self.eye, self.verbal, self.motor) if isinstance(part, int)]
        return sum(parts) if len(parts) == 3 else None

    @property
    def impaired(self) -> bool | None:
        """Whether any tested part is below its best; None if all tested parts are best but one is missing."""
        pairs = ((self.eye, 4), (self.verbal, 5), (self.motor, 6))
        if any(isinstance(part, int) and part < best for part, best in pairs):
            return True
        return None if self.total is None else False


def _kind_of_gcs(value: object) -> str:
    return "parts" if isinstance(value, dict | GlasgowComa) else "total"


Gcs = Annotated[
    Annotated[Annotated[int, Field(ge=3, le=15)], Tag("total")] | Annotated[GlasgowComa, Tag("parts")],
    Discriminator(_kind_of_gcs),
]


def _known_sign(code: str) -> str:
    plain = re.sub(r"[\s-]+", "_", code.strip().lower())
    if plain not in SIGNS:
        raise PydanticCustomError("sign-unknown", "no such danger sign")
    return plain


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


_SEXES = {"m": "male", "f": "female"}
_MOBILITIES = {"walk": "walking", "help": "with_help", "immobile": "stretcher"}


def _word(aliases: dict[str, str]) -> BeforeValidator:
    """Takes case, spaces, hyphens and the short forms that charts print."""

    def plain(value: object) -> object:
        if not isinstance(value, str):
            return value
        word = re.sub(r"[\s-]+", "_", value.strip().lower())
        return aliases.get(word, word)

    return BeforeValidator(plain)


def _between(low: float, high: float) -> Any:
    return Field(default=None, ge=low, le=high, allow_inf_nan=False)


class Vitals(BaseModel):
    """One assessment of one patient. Every field may be absent: then it was not assessed.

    Ages are in completed units. ``age_months`` beside ``age_years`` is the months beyond the years, or the
    whole age in months where it is 12 or more. ``age_years_max`` is the other end where only a year of
    birth is known.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    age_years: float | None = _between(0, 130)
    age_months: float | None = _between(0, 1560)
    age_days: float | None = _between(0, 47_500)
    age_years_max: float | None = _between(0, 130)
    sex: Annotated[Literal["male", "female", "other", "unknown"], _word(_SEXES)] | None = None
    height_cm: float | None = _between(20, 260)
    pregnant: bool | None = None
    postpartum_days: float | None = _between(0, 400)
    """Days since the end of a pregnancy."""

    respiratory_rate: float | None = _between(1, 150)
    """Breaths a minute."""
    respiratory_effort: (
        Annotated[Literal["normal", "mild", "moderate", "severe", "apnoea"], _word({"apnea": "apnoea"})]
        | None
    ) = None
    """Work of breathing; mild, moderate and severe are degrees of increase."""
    spo2: float | None = _between(20, 100)
    """Peripheral oxygen saturation in per cent."""
    spo2_scale: Annotated[int, Field(ge=1, le=2)] | None = None
    """NEWS2 scale; 2 only where a clinician has confirmed hypercapnic failure. Absent means 1."""
    oxygen: bool | None = None
    oxygen_flow: float | None = _between(0, 80)
    """Litres a minute."""
    oxygen_percent: float | None = _between(21, 100)
    """Inspired oxygen in per cent."""
    systolic: float | None = _between(30, 300)
    diastolic: float | None = _between(20, 200)
    """Blood pressures in mmHg."""
    pulse: float | None = _between(10, 350)
    """Beats a minute."""
    capillary_refill: float | None = _between(0, 30)
    """Seconds."""
    temperature: float | None = _between(20, 45)
    """Degrees Celsius."""
    consciousness: Literal["A", "C", "V", "P", "U"] | None = None
    """Alert, new Confusion, responds to Voice, to Pain, Unresponsive."""
    gcs: Gcs | None = None
    mobility: Annotated[Literal["walking", "with_help", "stretcher"], _word(_MOBILITIES)] | None = None
    trauma: bool | None = None
    pain: float | None = _between(0, 3)
    """0 none to 3 severe, as MEOWS scores it."""
    last_known_well_minutes: float | None = _between(0, 1_000_000)
    """Minutes since the patient was last known to be well."""
    signs: (
        Annotated[
            tuple[Annotated[str, AfterValidator(_known_sign)], ...],
            Field(max_length=200),
            BeforeValidator(_listed),
        ]
        | None
    ) = None
    """Danger signs present, by code. An empty list says: looked for, none found."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.systolic is not None and self.diastolic is not None and self.diastolic >= self.systolic:
            raise PydanticCustomError("pressure-inconsistent", "diastolic is not below systolic")
        if self.oxygen is False and ((self.oxygen_flow or 0) > 0 or (self.oxygen_percent or 21) > 21):
            raise PydanticCustomError("oxygen-inconsistent", "oxygen flows to a patient on air")
        if not _ages_agree(self):
            raise PydanticCustomError("age-inconsistent", "the ages given differ")
        return self

    @cached_property
    def age(self) -> Age | None:
        """The ages this patient may have; None if no age is given."""
        return _age(self)

    def required_age(self) -> Age:
        """The age; raises InvalidVitals ``age-required`` where none is given."""
        if self.age is None:
            raise InvalidVitals(VitalsIssue("age-required", "age_years"))
        return self.age

    @cached_property
    def recorded(self) -> frozenset[str]:
        """The codes of the signs recorded; empty also where nobody looked: ask ``signs is None``."""
        return frozenset(self.signs or ())

    @property
    def on_oxygen(self) -> bool | None:
        """Whether oxygen is given; a flow says so too."""
        if self.oxygen is None and ((self.oxygen_flow or 0) > 0 or (self.oxygen_percent or 21) > 21):
            return True
        return self.oxygen

    @property
    def with_child(self) -> bool:
        """Whether pregnant, as stated or as a sign says."""
        return self.pregnant is True or bool(self.recorded & {"active_labour", "pregnancy_complication"})

    @property
    def feverish_or_cold(self) -> bool:
        """Fever or hypothermia, measured (38.0 °C and over, below 36.0 °C) or recorded as a sign."""
        warm = self.temperature is not None and not HYPOTHERMIA_BELOW <= self.temperature < FEVER_FROM
        return warm or bool(self.recorded & {"fever", "hypothermia"})

    @property
    def gcs_total(self) -> int | None:
        """The Glasgow total, given or summed; None if one part is not testable."""
        return self.gcs.total if isinstance(self.gcs, GlasgowComa) else self.gcs

    @property
    def altered(self) -> bool | None:
        """Whether mental status is altered. The worse of what is recorded counts; None if nobody assessed it."""
        impaired = self.gcs.impaired if isinstance(self.gcs, GlasgowComa) else None
        if isinstance(self.gcs, int):
            impaired = self.gcs < 15
        signs = {"altered_mental_status", "unresponsive", "active_convulsions", "post_ictal"}
        if impaired or self.consciousness in ("C", "V", "P", "U") or self.recorded & signs:
            return True
        return False if self.consciousness == "A" or impaired is False else None


def _total_months(vitals: Vitals) -> tuple[float, float] | None:
    """The age in months from years and months, as (youngest, oldest), fractions kept; None if neither is given."""
    years, months = vitals.age_years, vitals.age_months
    if months is not None:
        whole = months + 12 * years if years is not None and months < 12 else months
        return whole, whole
    if years is None:
        return None
    return 12 * years, 12 * years + (11 if years.is_integer() else 0)


def _ages_agree(vitals: Vitals) -> bool:
    years, months, most = vitals.age_years, vitals.age_months, vitals.age_years_max
    whole_years = months // 12 if months is not None and months >= 12 else years
    if years is not None and months is not None and not (years.is_integer() and years == whole_years):
        return False
    if most is not None and (years is None or most < years):
        return False
    if vitals.age_days is not None and (total := _total_months(vitals)) is not None:
        months_lived = vitals.age_days / DAYS_A_MONTH
        return total[0] - 1 <= months_lived <= total[1] + 2
    return True


def _age(vitals: Vitals) -> Age | None:
    if vitals.age_days is not None:
        days = int(vitals.age_days)
        months = int(days / DAYS_A_MONTH)
        return Age(days, days, months, months)
    total = _total_months(vitals)
    if total is None:
        return None
    low, high = total
    if vitals.age_years_max is not None:
        high = max(high, 12 * vitals.age_years_max + 11)
    exact = low == high and not low.is_integer()
    return Age(
        min_days=int(low * DAYS_A_MONTH),
        max_days=int((high if exact else high + 1) * DAYS_A_MONTH),
        min_months=int(low),
        max_months=int(high),
    )


_CODES = {
    "extra_forbidden": "field-unknown",
    "literal_error": "not-a-code",
    "too_long": "too-many",
    "greater_than_equal": "impossible",
    "less_than_equal": "impossible",
    "finite_number": "impossible",
}
_OWN_CODES = frozenset({"sign-unknown", "not-a-code", "wrong-type", "impossible"})
_DECLARED = frozenset({*Vitals.model_fields, *GlasgowComa.model_fields})
_INCONSISTENT_FIELD = {
    "age-inconsistent": "age_years",
    "oxygen-inconsistent": "oxygen",
    "pressure-inconsistent": "diastolic",
}


def read_vitals(obj: object) -> Vitals:
    """Read what a form or a file gives (parsed JSON). Raises InvalidVitals, and nothing else, for what is wrong."""
    if not isinstance(obj, dict):
        raise InvalidVitals(VitalsIssue("not-an-object", ""))
    try:
        return Vitals.model_validate(obj)
    except ValidationError as error:
        issues = [_issue(detail) for detail in error.errors(include_url=False, include_input=False)]
    raise InvalidVitals(*dict.fromkeys(issues))


def _issue(detail: ErrorDetails) -> VitalsIssue:
    kind = detail["type"]
    if kind in _INCONSISTENT_FIELD:
        return VitalsIssue(kind, _INCONSISTENT_FIELD[kind])
    if kind in _CODES:
        code = _CODES[kind]
    elif kind in _OWN_CODES:
        code = kind
    else:
        code = "wrong-type" if kind.endswith("_type") or kind == "int_from_float" else "invalid"
    return VitalsIssue(code, _place(detail["loc"]))


def _place(location: tuple[int | str, ...]) -> str:
    """The place as a path. A name nobody declared is shown only if it is a plain word: it may hold anything."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step not in ("total", "parts"):
            word = step if step in _DECLARED or re.fullmatch(r"[a-z][a-z_]{0,39}", step) else "?"
            path += f".{word}" if path else word
    return path
