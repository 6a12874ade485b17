"""Which specialty to ask for first: a suggestion for the nurse, who can choose another."""

from collections.abc import Collection

from clinic_net.clinical.triage import Colour, TriageResult, Vitals

CHILD_BELOW_MONTHS = 16 * 12
"""Ours, as NEWS2: adults from 16 years."""

_BY_SIGN: tuple[tuple[str, frozenset[str]], ...] = (
    ("emergency", frozenset({"unresponsive", "not_breathing", "obstructed_breathing", "stridor"})),
    ("toxicology", frozenset({"poisoning", "snake_bite"})),
    ("burns", frozenset({"major_burn", "burn"})),
    (
        "neurology",
        frozenset(
            {
                "face_droop", "arm_drift", "speech_abnormal", "sudden_balance_loss", "sudden_vision_loss",
                "acute_focal_neuro", "active_convulsions", "post_ictal", "stiff_neck",
            }
        ),
    ),
    ("cardiology", frozenset({"chest_pain", "ecg_ischaemia", "recent_fainting"})),
    (
        "trauma",
        frozenset(
            {
                "high_risk_trauma", "stabbed_neck_or_chest", "threatened_limb", "other_trauma", "limb_deformity",
                "open_fracture", "dislocation",
            }
        ),
    ),
    (
        "respiratory",
        frozenset({"respiratory_distress", "severe_respiratory_distress", "central_cyanosis", "wheezing"}),
    ),
    ("surgery", frozenset({"urgent_surgical_diagnosis", "severe_abdominal_pain", "testicular_pain"})),
    ("mental", frozenset({"violent_aggressive"})),
    ("endocrinology", frozenset({"hypoglycaemia", "hyperglycaemia_ketones"})),
)  # fmt: skip
"""In this order. Codes of ``clinical.triage.SIGNS`` → codes of ``clinical.specialties``."""

_ANY_AGE = frozenset({"emergency", "toxicology", "burns"})


def specialty(vitals: Vitals | None, result: TriageResult | None) -> str:
    """Return the code of the specialty to preselect; ``general`` when nothing speaks for another."""
    if vitals is None:
        return "general"
    by_sign = _by_sign(vitals.recorded)
    if by_sign in _ANY_AGE:
        return by_sign
    if vitals.with_child or vitals.postpartum_days is not None:
        return "obstetrics"
    if vitals.age is not None and vitals.age.max_months < CHILD_BELOW_MONTHS:
        return "paediatrics"
    if by_sign:
        return by_sign
    if vitals.trauma:
        return "trauma"
    if vitals.spo2 is not None and vitals.spo2 < 92:
        return "respiratory"
    return "emergency" if result is not None and result.colour is Colour.RED else "general"


def _by_sign(recorded: Collection[str]) -> str:
    return next((code for code, signs in _BY_SIGN if not signs.isdisjoint(recorded)), "")
