"""BE-FAST: sudden loss of balance, sudden loss of vision, face, arm, speech, time.

Source: Aroor et al. 2017 for the BE of BE-FAST (domain §4.8). Any *new* sign is positive and RED whatever
the time; a sign that was there for years is not recorded. The window of 4.5 hours from last known well is
that of intravenous thrombolysis in common guidelines: it informs, it never lowers the colour.
"""

from clinic_net.clinical.triage.result import NOT_TRIAGEABLE, Colour, Reason, TriageResult
from clinic_net.clinical.triage.signs import BE_FAST, SIGNS, banded
from clinic_net.clinical.triage.vitals import Vitals

NAME = "be_fast"
VERSION = "BE-FAST (Aroor 2017)"

POSITIVE = banded(BE_FAST, "positive")
FAST = frozenset({"face_droop", "arm_drift", "speech_abnormal"})
WINDOW_MINUTES = 270

_FAST = Reason(code="fast-positive", text="FAST is positive as well", text_vi="FAST cũng dương tính")
_OPEN = Reason(
    code="stroke-window-open",
    text="Last known well within 4.5 hours: the treatment window is open",
    text_vi="Lần cuối còn bình thường trong vòng 4,5 giờ: còn cửa sổ điều trị",
)
_LATE = Reason(
    code="stroke-window-late",
    text="Last known well more than 4.5 hours ago: window late or unknown, call all the same",
    text_vi="Lần cuối còn bình thường đã quá 4,5 giờ: cửa sổ muộn hoặc chưa rõ, vẫn phải gọi",
)
_UNKNOWN = Reason(
    code="stroke-window-unknown",
    text="Time last known well is not known: ask, and call all the same",
    text_vi="Chưa rõ lần cuối còn bình thường: hãy hỏi, và vẫn phải gọi",
)


def assess(vitals: Vitals) -> TriageResult:
    """Look for a stroke. Bands: ``positive``, ``negative``, ``not_triageable``. The score counts the signs."""
    found = [code for code in SIGNS if code in POSITIVE and code in vitals.recorded]
    missing = ["signs"] if vitals.signs is None else []
    if not found:
        return TriageResult(
            chart=NAME,
            version=VERSION,
            score=None if missing else 0,
            band=NOT_TRIAGEABLE if missing else "negative",
            colour=Colour.NONE,
            complete=not missing,
            missing=missing,
        )
    reasons = [
        Reason(code=f"be-fast-{code}".replace("_", "-"), text=SIGNS[code].en, text_vi=SIGNS[code].vi)
        for code in found
    ]
    if FAST.intersection(found):
        reasons.append(_FAST)
    return TriageResult(
        chart=NAME,
        version=VERSION,
        score=len(found),
        band="positive",
        colour=Colour.RED,
        complete=True,
        reasons=[*reasons, _window(vitals.last_known_well_minutes)],
    )


def _window(minutes: float | None) -> Reason:
    if minutes is None:
        return _UNKNOWN
    return _OPEN if minutes <= WINDOW_MINUTES else _LATE
