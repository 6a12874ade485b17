"""The specialties that a station asks for and a roster offers.

A short list on purpose: a nurse picks from it in seconds and every province can staff it. The codes are
ours and never change their meaning; ``general`` takes what fits nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Specialty:
    """One specialty: a stable code, its English and its Vietnamese name."""

    code: str
    en: str
    vi: str


SPECIALTIES: Mapping[str, Specialty] = MappingProxyType(
    {
        item.code: item
        for item in (
            Specialty("general", "General practice", "Đa khoa"),
            Specialty("emergency", "Emergency medicine", "Cấp cứu"),
            Specialty("critical-care", "Intensive care", "Hồi sức tích cực"),
            Specialty("internal", "Internal medicine", "Nội khoa"),
            Specialty("cardiology", "Cardiology", "Tim mạch"),
            Specialty("neurology", "Neurology and stroke", "Thần kinh – đột quỵ"),
            Specialty("respiratory", "Respiratory medicine", "Hô hấp"),
            Specialty("infectious", "Infectious diseases", "Truyền nhiễm"),
            Specialty("endocrinology", "Endocrinology and diabetes", "Nội tiết – đái tháo đường"),
            Specialty("nephrology", "Nephrology", "Thận – tiết niệu"),
            Specialty("paediatrics", "Paediatrics", "Nhi khoa"),
            Specialty("neonatology", "Neonatology", "Sơ sinh"),
            Specialty("obstetrics", "Obstetrics and gynaecology", "Sản phụ khoa"),
            Specialty("surgery", "General surgery", "Ngoại khoa"),
            Specialty("trauma", "Trauma and orthopaedics", "Chấn thương chỉnh hình"),
            Specialty("burns", "Burns", "Bỏng"),
            Specialty("toxicology", "Poisoning and bites", "Chống độc"),
            Specialty("mental", "Mental health", "Sức khoẻ tâm thần"),
            Specialty("dermatology", "Dermatology", "Da liễu"),
            Specialty("ophthalmology", "Ophthalmology", "Mắt"),
            Specialty("ent", "Ear, nose and throat", "Tai mũi họng"),
            Specialty("dental", "Dental and maxillofacial", "Răng hàm mặt"),
            Specialty("oncology", "Oncology", "Ung bướu"),
            Specialty("traditional", "Traditional medicine", "Y học cổ truyền"),
            Specialty("rehabilitation", "Rehabilitation", "Phục hồi chức năng"),
        )
    }
)
"""Every specialty by its code, in the order a form shows them."""
