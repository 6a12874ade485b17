"""Modified Early Obstetric Warning System, for pregnancy and six weeks after birth.

Source: CEMACH 2003–05, the table as published by Singh et al. 2012 (domain §4.5). One red or two yellow
parameters at the same time are a trigger. Published charts disagree with each other, so the table is data
and the ministry may replace it. New confusion, which the table predates, counts like a response to voice
only.
"""

from clinic_net.clinical.triage.result import INCOMPLETE, NOT_TRIAGEABLE, Colour, Reason, TriageResult
from clinic_net.clinical.triage.scoring import PARAMETERS, Band, bands, points_for
from clinic_net.clinical.triage.vitals import Vitals

NAME = "meows"
VERSION = "CEMACH MEOWS (Singh 2012)"

YELLOW, RED = 1, 2
TABLE: dict[str, tuple[Band, ...]] = {
    "temperature": bands((None, 34.9, RED), (35, 36, YELLOW), (36.1, 38, 0), (38.1, None, RED)),
    "systolic": bands(
        (None, 89, RED), (90, 100, YELLOW), (101, 149, 0), (150, 160, YELLOW), (161, None, RED)
    ),
    "diastolic": bands((None, 89, 0), (90, 100, YELLOW), (101, None, RED)),
    "pulse": bands((None, 39, RED), (40, 50, YELLOW), (51, 99, 0), (100, 120, YELLOW), (121, None, RED)),
    "respiratory_rate": bands((None, 9, RED), (10, 20, 0), (21, 30, YELLOW), (31, None, RED)),
    "spo2": bands((None, 94, RED), (95, None, 0)),
    "pain": bands((None, 1, 0), (2, None, YELLOW)),
}
CONSCIOUSNESS = {"A": 0, "C": YELLOW, "V": YELLOW, "P": RED, "U": RED}
OPTIONAL = frozenset({"pain"})

_WEIGHTS = {YELLOW: ("yellow", "vàng"), RED: ("red", "đỏ")}
_TRIGGER = Reason(
    code="meows-trigger",
    text="MEOWS trigger: obstetric review now",
    text_vi="MEOWS báo động: cần khám sản khoa ngay",
)


def assess(vitals: Vitals) -> TriageResult:
    """Warn for one woman. Bands: ``trigger``, ``no_trigger``, ``not_triageable``. There is no sum.

    Colour: RED for one red, ORANGE for two yellow, YELLOW for one yellow (no trigger, measure again).
    """
    weights = {name: _weight(vitals, name) for name in (*TABLE, "consciousness")}
    missing = [name for name, weight in weights.items() if weight is None and name not in OPTIONAL]
    found = {name: weight for name, weight in weights.items() if weight}
    colour = _colour(list(found.values()))
    band = "trigger" if colour in (Colour.RED, Colour.ORANGE) else "no_trigger"
    if missing and band == "no_trigger":
        band = NOT_TRIAGEABLE
        colour = Colour.NONE if colour is Colour.GREEN else colour
    reasons = [_reason(name, weight) for name, weight in found.items()]
    if band == "trigger":
        reasons.append(_TRIGGER)
    return TriageResult(
        chart=NAME,
        version=VERSION,
        band=band,
        colour=colour,
        complete=not missing,
        missing=missing,
        reasons=[*reasons, *([INCOMPLETE] if missing else [])],
    )


def _weight(vitals: Vitals, name: str) -> int | None:
    if name == "consciousness":
        if vitals.consciousness is None:
            return None if vitals.altered is None else YELLOW * vitals.altered
        return max(CONSCIOUSNESS[vitals.consciousness], YELLOW * bool(vitals.altered))
    value: float | None = getattr(vitals, name)
    return None if value is None else points_for(TABLE[name], value)


def _colour(weights: list[int]) -> Colour:
    if RED in weights:
        return Colour.RED
    if len(weights) >= 2:
        return Colour.ORANGE
    return Colour.YELLOW if weights else Colour.GREEN


def _reason(name: str, weight: int) -> Reason:
    en, vi = PARAMETERS[name]
    colour, mau = _WEIGHTS[weight]
    return Reason(
        code=f"meows-{name}-{colour}".replace("_", "-"), text=f"{en}: {colour}", text_vi=f"{vi}: {mau}"
    )
