"""The danger signs that a station may record, each with the band it has on each chart.

Recording ``signs`` (an empty list too) says that somebody looked for them. A recorded sign never leaves a
patient GREEN, also where a chart does not list it. Sources: domain §4.3 (IITT adult and child), §4.4 (SATS
very-urgent signs), §4.8 (BE-FAST), §4.9 (ETAT). Clinician sign-off in Viet Nam is still owed (domain §8.9).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

ADULT, CHILD, PREGNANT = "iitt_adult", "iitt_child", "iitt_pregnant"
TEWS, ETAT, BE_FAST = "tews", "etat", "be_fast"

PAIR = "pair"
"""RED together with another sign of its set (see the chart's module), not by itself."""
OVER_50 = "red_over_50"
"""RED in people over 50 years."""


@dataclass(frozen=True, slots=True)
class Sign:
    """A danger sign: code, what a form shows in English and Vietnamese, and its band by chart."""

    code: str
    en: str
    vi: str
    bands: Mapping[str, str]

    @property
    def charts(self) -> tuple[str, ...]:
        """The charts on which this sign counts."""
        return tuple(self.bands)


_BOTH_RED = {ADULT: "red", CHILD: "red"}
_BOTH_YELLOW = {ADULT: "yellow", CHILD: "yellow"}
_ARREST = {**_BOTH_RED, TEWS: "red", ETAT: "emergency"}
_STROKE = {ADULT: "yellow", BE_FAST: "positive"}

_AIRWAY_BREATHING = (
    Sign("unresponsive", "Unresponsive", "Không đáp ứng", _ARREST),
    Sign("not_breathing", "Not breathing or gasping", "Ngừng thở hoặc thở ngáp", _ARREST),
    Sign("obstructed_breathing", "Obstructed breathing", "Tắc nghẽn đường thở", _ARREST),
    Sign("stridor", "Stridor", "Thở rít", {**_BOTH_RED, ETAT: "emergency"}),
    Sign(
        "respiratory_distress",
        "Respiratory distress",
        "Suy hô hấp, khó thở",
        {**_BOTH_RED, TEWS: "orange", ETAT: "priority"},
    ),
    Sign(
        "severe_respiratory_distress",
        "Severe respiratory distress",
        "Suy hô hấp nặng",
        {**_BOTH_RED, TEWS: "orange", ETAT: "emergency"},
    ),
    Sign("central_cyanosis", "Central cyanosis", "Tím trung tâm", {**_BOTH_RED, ETAT: "emergency"}),
    Sign("wheezing", "Wheezing", "Thở khò khè", _BOTH_YELLOW),
    Sign(
        "mouth_throat_neck_swelling",
        "Swelling or mass of mouth, throat or neck",
        "Sưng hoặc khối u ở miệng, họng, cổ",
        _BOTH_YELLOW,
    ),
)

_CIRCULATION = (
    Sign(
        "capillary_refill_slow",
        "Capillary refill longer than 3 seconds",
        "Thời gian đổ đầy mao mạch trên 3 giây",
        {**_BOTH_RED, ETAT: PAIR},
    ),
    Sign("weak_fast_pulse", "Weak and fast pulse", "Mạch nhanh, yếu", {**_BOTH_RED, ETAT: PAIR}),
    Sign("cold_extremities", "Cold hands and feet", "Tay chân lạnh", {CHILD: "red", ETAT: PAIR}),
    Sign(
        "heavy_bleeding", "Heavy bleeding", "Chảy máu nhiều", {**_BOTH_RED, PREGNANT: "red", TEWS: "orange"}
    ),
    Sign("ongoing_bleeding", "Ongoing bleeding", "Đang chảy máu", {ADULT: "yellow"}),
    Sign("severe_pallor", "Severe pallor", "Da niêm nhợt nhiều", {**_BOTH_YELLOW, ETAT: "priority"}),
    Sign("recent_fainting", "Recent fainting", "Mới ngất", {ADULT: "yellow"}),
    Sign("chest_pain", "Acute chest pain", "Đau ngực cấp", {ADULT: OVER_50, TEWS: "orange"}),
    Sign(
        "ecg_ischaemia",
        "ECG with acute ischaemia",
        "Điện tâm đồ có thiếu máu cơ tim cấp",
        {ADULT: "red"},
    ),
    Sign("coughing_or_vomiting_blood", "Coughing or vomiting blood", "Ho hoặc nôn ra máu", {TEWS: "orange"}),
)

_MIND_NERVES = (
    Sign(
        "active_convulsions",
        "Active convulsions",
        "Đang co giật",
        {**_ARREST, PREGNANT: "red"},
    ),
    Sign("post_ictal", "Drowsy after a convulsion", "Lơ mơ sau cơn giật", {TEWS: "orange"}),
    Sign(
        "altered_mental_status",
        "Altered mental status or new confusion",
        "Rối loạn ý thức hoặc mới lú lẫn",
        {ADULT: PAIR, CHILD: PAIR, PREGNANT: "red", TEWS: "orange", ETAT: "priority"},
    ),
    Sign("lethargy", "Lethargy", "Li bì", {CHILD: PAIR, ETAT: "priority"}),
    Sign(
        "restless_irritable",
        "Restless or continuously irritable",
        "Vật vã, kích thích liên tục",
        {CHILD: "yellow", ETAT: "priority"},
    ),
    Sign("agitated", "Agitated", "Kích động", {ADULT: "yellow"}),
    Sign("violent_aggressive", "Violent or aggressive", "Hung hãn, bạo lực", {ADULT: "red", TEWS: "orange"}),
    Sign("headache", "Headache", "Đau đầu", {ADULT: PAIR, CHILD: "yellow"}),
    Sign(
        "severe_headache",
        "Severe headache",
        "Đau đầu dữ dội",
        {ADULT: PAIR, CHILD: "yellow", PREGNANT: "red"},
    ),
    Sign("stiff_neck", "Stiff neck", "Cứng gáy", {ADULT: PAIR, CHILD: PAIR}),
    Sign(
        "fever", "Fever, very hot to touch", "Sốt, sờ rất nóng", {ADULT: PAIR, CHILD: PAIR, ETAT: "priority"}
    ),
    Sign(
        "hypothermia",
        "Hypothermia, cold to touch",
        "Hạ thân nhiệt, sờ lạnh",
        {ADULT: PAIR, CHILD: PAIR, ETAT: "priority"},
    ),
    Sign(
        "acute_focal_neuro",
        "Acute focal neurological complaint",
        "Dấu thần kinh khu trú cấp",
        {ADULT: "yellow", TEWS: "orange"},
    ),
    Sign("acute_weakness", "Acute general weakness", "Yếu toàn thân cấp", {ADULT: "yellow"}),
    Sign(
        "visual_disturbance",
        "Acute visual disturbance",
        "Rối loạn thị giác cấp",
        {ADULT: "yellow", PREGNANT: "red"},
    ),
    Sign("face_droop", "New facial droop", "Mới méo miệng, liệt mặt", _STROKE),
    Sign("arm_drift", "New arm drift or weakness", "Mới yếu, rơi tay", _STROKE),
    Sign("speech_abnormal", "New abnormal speech", "Mới nói khó, nói ngọng", _STROKE),
    Sign("sudden_balance_loss", "Sudden loss of balance", "Mất thăng bằng đột ngột", _STROKE),
    Sign(
        "sudden_vision_loss",
        "Sudden loss of vision or double vision",
        "Mất thị lực hoặc nhìn đôi đột ngột",
        _STROKE,
    ),
)

_FLUIDS_METABOLIC = (
    Sign("hypoglycaemia", "Hypoglycaemia", "Hạ đường huyết", {**_BOTH_RED, TEWS: "red"}),
    Sign(
        "hyperglycaemia_ketones",
        "Diabetic, glucose above 11 mmol/L with ketonuria",
        "Đái tháo đường, đường huyết trên 11 mmol/L kèm ceton niệu",
        {TEWS: "orange"},
    ),
    Sign("diarrhoea", "Ongoing diarrhoea", "Đang tiêu chảy", {**_BOTH_YELLOW, ETAT: PAIR}),
    Sign("vomits_everything", "Vomits everything", "Nôn tất cả mọi thứ", _BOTH_YELLOW),
    Sign(
        "unable_to_drink", "Unable to feed or drink", "Không thể bú hoặc uống", {**_BOTH_YELLOW, ETAT: PAIR}
    ),
    Sign("drinks_poorly", "Drinks poorly", "Uống kém", {CHILD: PAIR, ETAT: PAIR}),
    Sign("sunken_eyes", "Sunken eyes", "Mắt trũng", {CHILD: PAIR, ETAT: PAIR}),
    Sign(
        "very_slow_skin_pinch",
        "Very slow skin pinch",
        "Nếp véo da mất rất chậm",
        {CHILD: PAIR, ETAT: PAIR},
    ),
    Sign("dehydration", "Dehydration", "Mất nước", {CHILD: "yellow"}),
    Sign(
        "severe_wasting",
        "Visible severe wasting",
        "Gầy mòn nặng rõ rệt",
        {CHILD: "yellow", ETAT: "priority"},
    ),
    Sign("oedema_both_feet", "Oedema of both feet", "Phù hai bàn chân", {CHILD: "yellow", ETAT: "priority"}),
)

_INJURY = (
    Sign(
        "high_risk_trauma",
        "High-risk trauma",
        "Chấn thương nguy cơ cao",
        {**_BOTH_RED, PREGNANT: "red", TEWS: "orange", ETAT: "priority"},
    ),
    Sign(
        "stabbed_neck_or_chest",
        "Stab wound of neck or chest",
        "Vết thương thấu cổ hoặc ngực",
        {**_BOTH_RED, PREGNANT: "red", TEWS: "orange", ETAT: "priority"},
    ),
    Sign("threatened_limb", "Threatened limb", "Chi bị đe doạ", {**_BOTH_RED, TEWS: "orange"}),
    Sign(
        "major_burn",
        "Major burn: over 20 %, face, inhalation, circumferential, electrical or chemical",
        "Bỏng nặng: trên 20 %, mặt, đường thở, vòng quanh chi, do điện hoặc hoá chất",
        {**_BOTH_RED, PREGNANT: "red", TEWS: "orange", ETAT: "priority"},
    ),
    Sign("burn", "Other burn", "Bỏng khác", {**_BOTH_YELLOW, PREGNANT: "red", ETAT: "priority"}),
    Sign(
        "other_trauma",
        "Other trauma",
        "Chấn thương khác",
        {**_BOTH_YELLOW, PREGNANT: "red", ETAT: "priority"},
    ),
    Sign("limb_deformity", "Limb deformity", "Biến dạng chi", {ADULT: "yellow", PREGNANT: "red"}),
    Sign(
        "open_fracture",
        "Open fracture",
        "Gãy xương hở",
        {ADULT: "yellow", PREGNANT: "red", TEWS: "orange"},
    ),
    Sign(
        "dislocation",
        "Suspected dislocation",
        "Nghi trật khớp",
        {ADULT: "yellow", PREGNANT: "red", TEWS: "orange"},
    ),
    Sign(
        "poisoning",
        "Poisoning, ingestion or chemical exposure",
        "Ngộ độc, nuốt phải hoặc tiếp xúc hoá chất",
        {**_BOTH_RED, TEWS: "orange", ETAT: "priority"},
    ),
    Sign("snake_bite", "Snake bite", "Rắn cắn", _BOTH_RED),
    Sign(
        "exposure_prophylaxis",
        "Animal bite, needlestick or other exposure needing timely prophylaxis",
        "Động vật cắn, kim đâm hoặc phơi nhiễm cần dự phòng kịp thời",
        _BOTH_YELLOW,
    ),
    Sign("sexual_assault", "Sexual assault", "Bị xâm hại tình dục", _BOTH_YELLOW),
)

_PAIN_AND_OTHER = (
    Sign("severe_pain", "Severe pain", "Đau dữ dội", {**_BOTH_YELLOW, TEWS: "orange", ETAT: "priority"}),
    Sign("abdominal_pain", "Acute abdominal pain", "Đau bụng cấp", {ADULT: OVER_50}),
    Sign(
        "severe_abdominal_pain",
        "Severe abdominal pain",
        "Đau bụng dữ dội",
        {**_BOTH_YELLOW, PREGNANT: "red", TEWS: "orange", ETAT: "priority"},
    ),
    Sign(
        "testicular_pain",
        "Acute testicular or scrotal pain, or priapism",
        "Đau tinh hoàn, bìu cấp hoặc cương đau kéo dài",
        {ADULT: "yellow", CHILD: "red"},
    ),
    Sign("cannot_pass_urine", "Cannot pass urine", "Bí tiểu", {ADULT: "yellow"}),
    Sign(
        "urgent_surgical_diagnosis",
        "Known urgent surgical diagnosis",
        "Đã chẩn đoán bệnh ngoại khoa khẩn",
        {**_BOTH_YELLOW, ETAT: "priority"},
    ),
    Sign("new_rash", "New rash, worsening or peeling", "Ban mới, lan nhanh hoặc bong da", _BOTH_YELLOW),
    Sign("urgent_referral", "Urgent referral letter", "Giấy chuyển khẩn", {ETAT: "priority"}),
    Sign("active_labour", "Active labour", "Đang chuyển dạ", {PREGNANT: "red"}),
    Sign(
        "pregnancy_complication",
        "Pregnancy referred for complications",
        "Thai kỳ được chuyển vì biến chứng",
        {ADULT: "yellow", CHILD: "yellow"},
    ),
)

SIGNS: Mapping[str, Sign] = MappingProxyType(
    {
        sign.code: sign
        for group in (
            _AIRWAY_BREATHING,
            _CIRCULATION,
            _MIND_NERVES,
            _FLUIDS_METABOLIC,
            _INJURY,
            _PAIN_AND_OTHER,
        )
        for sign in group
    }
)
"""Every danger sign by its code, in the order in which a form asks for them."""

TRAUMA_SIGNS = frozenset(
    {
        "high_risk_trauma",
        "stabbed_neck_or_chest",
        "other_trauma",
        "burn",
        "major_burn",
        "limb_deformity",
        "open_fracture",
        "dislocation",
    }
)
"""Signs that say that there was trauma."""


def banded(chart: str, band: str) -> frozenset[str]:
    """The codes of the signs that have this band on this chart."""
    return frozenset(code for code, sign in SIGNS.items() if sign.bands.get(chart) == band)
