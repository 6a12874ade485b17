"""A deterministic network of the real shape, for demonstrations, training and tests.

Provinces, communes, their codes and types come from the package ``vietnam-provinces`` (data of the General
Statistics Office after the reform of 1 July 2025: 34 provinces, 3,321 communes). Facilities, sites and
people are invented, the same on every machine. Shape: every commune has one station (Circular
43/2025/TT-BYT) with satellite points, 12,000 sites in all; 45 linked clinics a province (1,530, "more than
1,500"); regional medical centres, a provincial hospital each, ten central hospitals.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Final
from uuid import UUID

from sqlmodel import SQLModel
from vietnam_provinces import Province, Ward

from clinic_net.directory.model import AdminUnit, AdminUnitEvent, Facility, Practitioner, Site, SiteParent
from clinic_net.protocol.ids import uuid7

SITES: Final = 12_000
CLINICS_PER_PROVINCE: Final = 45
AS_OF: Final = date(2026, 11, 1)

REFORM: Final = date(2025, 7, 1)
"""Two-level administration begins: 34 provinces, no districts (Decision 19/2025/QĐ-TTg)."""
STATION_REFORM: Final = date(2026, 1, 1)
"""A commune station becomes a unit of the commune's People's Committee (Circular 43/2025/TT-BYT)."""
DONG_NAI_CITY: Final = date(2026, 4, 30)
"""Đồng Nai becomes a centrally-run city (Resolution 30/2026/QH16)."""

_BEFORE: Final = date(2020, 1, 1)
_SEED: Final = 20260101

_CENTRAL: Final = (
    ("01", "Bệnh viện Bạch Mai", "internal"),
    ("01", "Bệnh viện Hữu nghị Việt Đức", "surgery"),
    ("01", "Bệnh viện Nhi Trung ương", "paediatrics"),
    ("01", "Bệnh viện Phụ sản Trung ương", "obstetrics"),
    ("01", "Viện Tim mạch Việt Nam", "cardiology"),
    ("01", "Bệnh viện Bệnh Nhiệt đới Trung ương", "infectious"),
    ("46", "Bệnh viện Trung ương Huế", "internal"),
    ("79", "Bệnh viện Chợ Rẫy", "emergency"),
    ("79", "Bệnh viện Đại học Y Dược", "neurology"),
    ("79", "Bệnh viện Nhi đồng 1", "paediatrics"),
)
_ROTA: Final = (
    "emergency", "internal", "cardiology", "obstetrics", "paediatrics", "surgery", "neurology", "respiratory",
    "infectious", "trauma", "mental", "general",
)  # fmt: skip
_FAMILY: Final = ("Nguyễn",) * 8 + (
    "Trần", "Trần", "Lê", "Lê", "Phạm", "Hoàng", "Phan", "Vũ", "Đặng", "Bùi", "Đỗ", "Hồ", "Ngô", "Dương", "Lý",
    "Lò", "Quàng", "Vàng", "Giàng", "Thào", "Cầm", "Đinh", "Hà", "Nông", "Triệu",
)  # fmt: skip
_MIDDLE: Final = ("Văn", "Thị", "Hữu", "Thanh", "Minh", "Đức", "Ngọc", "Quốc", "Thu", "Xuân", "Hoài", "Bích")
_GIVEN: Final = (
    "An", "Bình", "Chi", "Dũng", "Giang", "Hà", "Hạnh", "Hải", "Hiền", "Hoà", "Hùng", "Hương", "Khánh", "Lan", "Linh",
    "Long", "Mai", "Minh", "Nam", "Nga", "Ngân", "Nhung", "Phong", "Phương", "Quân", "Sơn", "Tâm", "Thảo", "Thuỷ",
    "Trang", "Tuấn", "Vân", "Yến",
)  # fmt: skip


@dataclass
class _Codes:
    """Gives facility codes: the province's two digits, then a serial (MÃ CSKCB)."""

    used: dict[str, int] = field(default_factory=dict)

    def next(self, province: str) -> str:
        self.used[province] = self.used.get(province, 0) + 1
        return f"{province}{self.used[province]:03d}"


@dataclass
class _People:
    """Invents practitioners with licences."""

    rng: random.Random
    count: int = 0

    def one(self, facility: str, province: str, specialties: list[str]) -> Practitioner:
        self.count += 1
        name = " ".join(self.rng.choice(part) for part in (_FAMILY, _MIDDLE, _GIVEN))
        issued = date(2012 + self.rng.randrange(13), 1 + self.rng.randrange(12), 1 + self.rng.randrange(28))
        return Practitioner(
            id=uuid7(1_600_000_000_000 + self.count, self.rng.randbytes(10)),
            name=name,
            licence_number=f"{self.count:06d}/{province}-CCHN",
            licence_from=issued,
            # Law 15/2023 gives licences five years; older ones run until they are renewed.
            licence_to=date(issued.year + 5, issued.month, 28) if issued.year >= 2024 else None,
            specialties=specialties,
            facility_code=facility,
        )


def practitioner_ids(rows: list[SQLModel]) -> list[UUID]:
    """Return the identifiers of the practitioners among ``rows``, in order."""
    return [row.id for row in rows if isinstance(row, Practitioner)]


def site_codes(*, sites: int = SITES) -> list[str]:
    """Return the codes of the network's sites."""
    return [row.code for row in rows(sites=sites) if isinstance(row, Site)]


def rows(*, sites: int = SITES) -> Iterator[SQLModel]:
    """Yield every row of the directory. The same arguments give the same rows, for ever.

    ``sites`` below 3,321 keeps only the stations of the first communes by code: a small network for tests.
    """
    rng = random.Random(_SEED)  # noqa: S311 -- invented names need no secrecy, they need to repeat
    codes, people = _Codes(), _People(rng)
    provinces = sorted(Province.iter_all(), key=lambda province: int(province.code))
    wards = sorted(Ward.iter_all(), key=lambda ward: int(ward.code))
    communes: dict[str, list[str]] = {}
    for ward in wards:
        communes.setdefault(f"{int(ward.province_code):02d}", []).append(f"{int(ward.code):05d}")

    yield from _geography(provinces, wards)
    yield from _history()
    central: dict[str, str] = {}
    for province_code, name, specialty in _CENTRAL:
        code = codes.next(province_code)
        central.setdefault(province_code, code)
        seat = communes[province_code][0]
        yield _facility(code, name, "central_hospital", (province_code, seat, None))
        for rota in (specialty, specialty, "emergency", "internal"):
            yield people.one(code, province_code, [rota])
    backing: dict[str, str] = {}
    for province in provinces:
        code = f"{int(province.code):02d}"
        yield from _province_facilities(
            code, province.name, communes[code], (codes, people, backing, central)
        )
    yield from _stations(wards, sites, (codes, people, backing))


def _facility(code: str, name: str, kind: str, place: tuple[str, str, str | None]) -> Facility:
    province, commune, referral = place
    level = {
        "central_hospital": "specialised", "provincial_hospital": "specialised", "regional_centre": "basic",
    }.get(kind, "initial")  # fmt: skip
    return Facility(
        code=code,
        name=name,
        kind=kind,
        technical_level=level,
        province_code=province,
        commune_code=commune,
        referral_facility_code=referral,
        valid_from=REFORM,
    )


def _geography(provinces: list[Province], wards: list[Ward]) -> Iterator[SQLModel]:
    for province in provinces:
        code, kind = f"{int(province.code):02d}", province.division_type.value
        name = province.name.removeprefix("Thành phố ").removeprefix("Tỉnh ")
        if code == "75":
            yield AdminUnit(
                code=code, valid_from=REFORM, valid_to=DONG_NAI_CITY, level="province", name=name, kind="tỉnh"
            )
            yield AdminUnit(
                code=code, valid_from=DONG_NAI_CITY, level="province", name=name, kind="thành phố trung ương"
            )
        else:
            yield AdminUnit(code=code, valid_from=REFORM, level="province", name=name, kind=kind)
    for ward in wards:
        yield AdminUnit(
            code=f"{int(ward.code):05d}",
            valid_from=REFORM,
            level="commune",
            name=ward.name,
            kind=ward.division_type.value,
            parent_code=f"{int(ward.province_code):02d}",
        )


def _history() -> Iterator[SQLModel]:
    """Two histories that regressions are held against: a merger of communes, a province that changed type."""
    for code, name in (("03317", "Xã Nà Nhạn"), ("03325", "Xã Mường Phăng"), ("03326", "Xã Pá Khoang")):
        yield AdminUnit(
            code=code,
            valid_from=_BEFORE,
            valid_to=REFORM,
            level="commune",
            name=name,
            kind="xã",
            parent_code="11",
        )
    yield AdminUnitEvent(
        id="2025-07-01-muong-phang",
        kind="merge",
        effective=REFORM,
        decree="Sắp xếp đơn vị hành chính cấp xã, hiệu lực 01/07/2025",
        from_codes=["03317", "03325", "03326"],
        to_codes=["03325"],
    )
    yield AdminUnitEvent(
        id="2026-04-30-dong-nai",
        kind="type-change",
        effective=DONG_NAI_CITY,
        decree="Nghị quyết 30/2026/QH16",
        from_codes=["75"],
        to_codes=["75"],
    )


_Builders = tuple[_Codes, _People, dict[str, str], dict[str, str]]


def _province_facilities(
    code: str, name: str, communes: list[str], builders: _Builders
) -> Iterator[SQLModel]:
    codes, people, backing, central = builders
    short = name.removeprefix("Thành phố ").removeprefix("Tỉnh ")
    above = central.get("79" if code >= "66" else "46" if code >= "44" else "01")
    hospital = codes.next(code)
    yield _facility(hospital, f"Bệnh viện Đa khoa {short}", "provincial_hospital", (code, communes[0], above))
    for specialty in _ROTA:
        yield people.one(hospital, code, [specialty])
    centres = max(3, len(communes) // 16)
    for number in range(centres):
        centre = codes.next(code)
        seat = communes[number * len(communes) // centres]
        yield _facility(
            centre, f"Trung tâm Y tế khu vực {short} {number + 1}", "regional_centre", (code, seat, hospital)
        )
        yield people.one(centre, code, ["emergency", "internal"])
        yield people.one(centre, code, [_ROTA[number % len(_ROTA)], "general"])
        # Neighbouring communes, by code, are backed by the same centre.
        for commune in communes[number * len(communes) // centres : (number + 1) * len(communes) // centres]:
            backing[commune] = centre
    for number in range(CLINICS_PER_PROVINCE):
        commune = communes[number % len(communes)]
        clinic = codes.next(code)
        yield _facility(
            clinic, f"Phòng khám đa khoa {short} {number + 1:02d}", "clinic", (code, commune, hospital)
        )
        if number % 9 == 0:
            yield people.one(clinic, code, ["general"])


def _stations(
    wards: list[Ward], sites: int, builders: tuple[_Codes, _People, dict[str, str]]
) -> Iterator[SQLModel]:
    codes, people, backing = builders
    wards = wards[: min(sites, len(wards))]
    each, more = divmod(sites, len(wards))
    for index, ward in enumerate(wards):
        province, commune = f"{int(ward.province_code):02d}", f"{int(ward.code):05d}"
        station = codes.next(province)
        place = ward.name.split(" ", 1)[1] if ward.name.startswith(("Xã ", "Phường ")) else ward.name
        place = place.removeprefix("Đặc khu ")
        yield _facility(station, f"Trạm Y tế {ward.name}", "station", (province, commune, backing[commune]))
        yield people.one(station, province, ["general"])
        for point in range(each + (1 if index < more else 0)):
            code = f"{commune}-{point + 1:02d}"
            name = f"Trạm Y tế {place}" if point == 0 else f"Điểm trạm {place} {point}"
            yield Site(code=code, name=name, commune_code=commune, valid_from=_BEFORE)
            # Before the reform of 2026 a site stood under the regional centre.
            yield SiteParent(
                site_code=code, valid_from=_BEFORE, valid_to=STATION_REFORM, facility_code=backing[commune]
            )
            yield SiteParent(site_code=code, valid_from=STATION_REFORM, facility_code=station)
