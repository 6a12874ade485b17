"""Glasgow Coma Scale.

Source: Teasdale and Jennett, 1974 (domain §4.7). 13–15 mild, 9–12 moderate, 8 or less severe. A part that
cannot be tested leaves no total. The scale alone never makes a patient GREEN.
"""

from clinic_net.clinical.triage.result import NOT_TRIAGEABLE, Colour, Reason, TriageResult
from clinic_net.clinical.triage.vitals import GlasgowComa, Vitals

NAME = "gcs"
VERSION = "Teasdale and Jennett 1974"

_NO_TOTAL = Reason(
    code="gcs-not-testable",
    text="A part could not be tested: there is no total",
    text_vi="Có thành phần không đánh giá được: không có tổng điểm",
)
_BANDS = {
    "severe": Reason(code="gcs-severe", text="Coma scale: severe", text_vi="Thang hôn mê: nặng"),
    "moderate": Reason(code="gcs-moderate", text="Coma scale: moderate", text_vi="Thang hôn mê: trung bình"),
    "mild": Reason(code="gcs-mild", text="Coma scale: mild", text_vi="Thang hôn mê: nhẹ"),
}


def assess(vitals: Vitals) -> TriageResult:
    """Band one coma score. Bands: ``mild``, ``moderate``, ``severe``, ``not_triageable``."""
    total = vitals.gcs_total
    if total is None:
        untestable = isinstance(vitals.gcs, GlasgowComa) and "NT" in (
            vitals.gcs.eye,
            vitals.gcs.verbal,
            vitals.gcs.motor,
        )
        return TriageResult(
            chart=NAME,
            version=VERSION,
            band=NOT_TRIAGEABLE,
            colour=Colour.NONE,
            complete=False,
            missing=_missing(vitals.gcs),
            reasons=[_NO_TOTAL] if untestable else [],
        )
    band, colour = _band(total)
    return TriageResult(
        chart=NAME,
        version=VERSION,
        score=total,
        band=band,
        colour=colour,
        complete=True,
        reasons=[_BANDS[band]] if total < 15 else [],
    )


def _missing(gcs: GlasgowComa | int | None) -> list[str]:
    if not isinstance(gcs, GlasgowComa):
        return ["gcs"]
    parts = (("gcs.eye", gcs.eye), ("gcs.verbal", gcs.verbal), ("gcs.motor", gcs.motor))
    return [name for name, part in parts if not isinstance(part, int)]


def _band(total: int) -> tuple[str, Colour]:
    if total <= 8:
        return "severe", Colour.RED
    if total <= 12:
        return "moderate", Colour.ORANGE
    return "mild", Colour.YELLOW if total < 15 else Colour.NONE
