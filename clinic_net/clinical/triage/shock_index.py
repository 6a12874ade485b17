"""Shock index (pulse / systolic pressure) with the blood pressure lights, for pregnancy and after birth.

Sources: thresholds 0.9 and 1.7, BJOG 2014 (13206) and CRADLE traffic light, with amber 140/90 and red
160/110 mmHg (domain §4.6). The unrounded ratio is compared; the score shown is rounded half up to two
decimals.
"""

from decimal import ROUND_HALF_UP, Decimal

from clinic_net.clinical.triage.result import NOT_TRIAGEABLE, Colour, Reason, TriageResult
from clinic_net.clinical.triage.scoring import unassessed
from clinic_net.clinical.triage.vitals import Vitals

NAME = "shock_index"
VERSION = "Shock index with CRADLE lights (0.9, 1.7)"

AMBER_INDEX, RED_INDEX = Decimal("0.9"), Decimal("1.7")
AMBER_PRESSURE, RED_PRESSURE = (140, 90), (160, 110)

_COLOURS = {"red": Colour.RED, "amber": Colour.YELLOW}
_REASONS = {
    ("index", "red"): ("Shock index of 1.7 or more", "Chỉ số sốc từ 1,7 trở lên"),
    ("index", "amber"): ("Shock index of 0.9 or more", "Chỉ số sốc từ 0,9 trở lên"),
    ("pressure", "red"): ("Blood pressure of 160/110 or more", "Huyết áp từ 160/110 trở lên"),
    ("pressure", "amber"): ("Blood pressure of 140/90 or more", "Huyết áp từ 140/90 trở lên"),
}


def assess(vitals: Vitals) -> TriageResult:
    """Light one patient. Bands: ``green``, ``amber``, ``red``, ``not_triageable``.

    The pressure lights do not count where a pregnancy is excluded.
    """
    index = _index(vitals)
    lights = {"index": _light(index, AMBER_INDEX, RED_INDEX), "pressure": _pressure_light(vitals)}
    missing = unassessed((("pulse", vitals.pulse), ("systolic", vitals.systolic)))
    band = next((light for light in ("red", "amber") if light in lights.values()), "green")
    if missing and band == "green":
        band = NOT_TRIAGEABLE
    colour = Colour.NONE if band == NOT_TRIAGEABLE else _COLOURS.get(band, Colour.GREEN)
    return TriageResult(
        chart=NAME,
        version=VERSION,
        score=None if index is None else float(index.quantize(Decimal("0.01"), ROUND_HALF_UP)),
        band=band,
        colour=colour,
        complete=not missing,
        missing=missing,
        reasons=[_reason(what, light) for what, light in lights.items() if light],
    )


def _index(vitals: Vitals) -> Decimal | None:
    if vitals.pulse is None or vitals.systolic is None:
        return None
    return Decimal(str(vitals.pulse)) / Decimal(str(vitals.systolic))


def _light(value: Decimal | None, amber: Decimal, red: Decimal) -> str | None:
    if value is None or value < amber:
        return None
    return "red" if value >= red else "amber"


def _pressure_light(vitals: Vitals) -> str | None:
    if vitals.pregnant is False and vitals.postpartum_days is None:
        return None
    pressures = (vitals.systolic or 0, vitals.diastolic or 0)
    for light, limits in (("red", RED_PRESSURE), ("amber", AMBER_PRESSURE)):
        if any(pressure >= limit for pressure, limit in zip(pressures, limits, strict=True)):
            return light
    return None


def _reason(what: str, light: str) -> Reason:
    en, vi = _REASONS[what, light]
    return Reason(code=f"shock-index-{what}-{light}", text=en, text_vi=vi)
