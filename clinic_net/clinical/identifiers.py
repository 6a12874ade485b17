"""Numbers that identify people and facilities in Viet Nam: what each is made of, and what is wrong with one.

A check returns what it understood and a list of issues with stable codes; it never raises, and no issue
quotes the number. Errors mean the number cannot be one of its kind; warnings mean that a person should
look: an identity number may be re-established, so a different sex or birth year never rejects it. All are
texts: leading zeros count. Sources: domain §2.2 (identity number structure; card formats of Decision
1351/QĐ-BHXH, of 1 April 2021 and of Decree 188/2025; VN Core 0.6.0 for the systems).
"""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Generic, Literal, Never, TypeVar

from clinic_net.clinical.dates import PartialDate

_SID = "http://fhir.hl7.org.vn/core/sid/"

CCCD_SYSTEM = _SID + "cccd"
"""Citizen identity number (căn cước công dân), 12 digits."""
CMND_SYSTEM = _SID + "cmnd"
"""Retired identity card number, 9 or 12 digits: kept as a secondary identifier, never issued."""
BHYT_SYSTEM = _SID + "bhyt"
"""Health insurance card, in any of its live formats."""
BHXH_SYSTEM = _SID + "bhxh"
"""Social insurance number, 10 digits."""

Sex = Literal["male", "female"]


class Severity(StrEnum):
    """Whether an issue refuses the number or asks a person to look."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class IdentifierIssue:
    """What is wrong. Callers rely on ``code``; ``message`` never holds the number or a part of it."""

    code: str
    severity: Severity
    message: str


@dataclass(frozen=True, slots=True)
class Cccd:
    """A citizen identity number. ``birth_province``: three-digit code of where the birth was registered."""

    value: str
    birth_province: str
    sex: Sex
    birth_year: int


class BhytFormat(StrEnum):
    """The three formats that cards in use have today."""

    CARD_15 = "card-15"
    BHXH_10 = "bhxh-10"
    CCCD_12 = "cccd-12"


@dataclass(frozen=True, slots=True)
class BhytCard:
    """An insurance card number. ``group``, ``benefit_level`` and ``province`` are only on the old format.

    ``province`` is where the card was issued, which says nothing about where its holder lives now.
    ``newborn_shape`` is true of TE1 cards, the shape that temporary cards of newborns also have.
    """

    value: str
    format: BhytFormat
    group: str | None = None
    benefit_level: int | None = None
    province: str | None = None
    bhxh: str | None = None
    newborn_shape: bool = False


@dataclass(frozen=True, slots=True)
class BhxhNumber:
    """A social insurance number; ``province`` is the code of the issuing province."""

    value: str
    province: str


@dataclass(frozen=True, slots=True)
class FacilityCode:
    """A facility code (mã cơ sở khám chữa bệnh). ``province_at_issue`` may no longer be its province."""

    value: str
    province_at_issue: str


@dataclass(frozen=True, slots=True)
class Phone:
    """A Vietnamese phone number. Families share phones: never identify a person by one."""

    e164: str
    kind: Literal["mobile", "landline"]


T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Checked(Generic[T_co]):
    """What a check understood: ``value`` is None exactly if an issue is an error."""

    value: T_co | None
    issues: tuple[IdentifierIssue, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the number may be used, with or without warnings."""
        return self.value is not None

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of all issues, in order."""
        return tuple(issue.code for issue in self.issues)


def _refused(code: str, message: str) -> Checked[Never]:
    return Checked(None, (IdentifierIssue(code, Severity.ERROR, message),))


def _bare(text: str) -> str:
    """Without the spaces, dots and hyphens that people group digits with."""
    return re.sub(r"[\s.\-\u2010-\u2015]+", "", text)


def check_cccd(
    text: str, *, sex: str | None = None, birth: PartialDate | None = None, on: date | None = None
) -> Checked[Cccd]:
    """Check a citizen identity number against its form and against what else is known of the person.

    Errors: ``cccd-characters``, ``cccd-length``. Warnings: ``cccd-sex-differs``,
    ``cccd-birth-year-differs`` and, when the day ``on`` is given, ``cccd-birth-year-future``.
    """
    value = _bare(text)
    if not re.fullmatch(r"[0-9]*", value):
        return _refused("cccd-characters", "An identity number has digits only.")
    if len(value) != 12:
        return _refused("cccd-length", "An identity number has 12 digits.")
    century_and_sex = int(value[3])
    number = Cccd(
        value=value,
        birth_province=value[:3],
        sex="female" if century_and_sex % 2 else "male",
        birth_year=1900 + 100 * (century_and_sex // 2) + int(value[4:6]),
    )
    issues: list[IdentifierIssue] = []
    if sex in ("male", "female") and sex != number.sex:
        issues.append(_warning("cccd-sex-differs", "The identity number was issued for the other sex."))
    if birth is not None and birth.year != number.birth_year:
        issues.append(_warning("cccd-birth-year-differs", "The identity number holds another year of birth."))
    if on is not None and number.birth_year > on.year:
        issues.append(
            _warning("cccd-birth-year-future", "The identity number holds a year of birth to come.")
        )
    return Checked(number, tuple(issues))


def _warning(code: str, message: str) -> IdentifierIssue:
    return IdentifierIssue(code, Severity.WARNING, message)


_CARD_15 = re.compile(r"([A-Z]{2})([1-5])([0-9]{2})([0-9]{10})")


def check_bhyt(text: str) -> Checked[BhytCard]:
    """Check an insurance card number and say which of the three live formats it has.

    Errors: ``bhyt-length`` (not 10, 12 or 15 characters), ``bhyt-characters``, ``bhyt-benefit-level``.
    """
    value = _bare(text).upper()
    if len(value) not in (10, 12, 15):
        return _refused("bhyt-length", "A card number has 10, 12 or 15 characters.")
    if len(value) == 15:
        return _check_card_15(value)
    if not re.fullmatch(r"[0-9]+", value):
        return _refused("bhyt-characters", "A card number of 10 or 12 characters has digits only.")
    if len(value) == 12:
        return Checked(BhytCard(value, BhytFormat.CCCD_12))
    return Checked(BhytCard(value, BhytFormat.BHXH_10, bhxh=value))


def _check_card_15(value: str) -> Checked[BhytCard]:
    match = _CARD_15.fullmatch(value)
    if match is None:
        if re.fullmatch(r"[A-Z]{2}[0-9]{13}", value):
            return _refused("bhyt-benefit-level", "The benefit level of a card is 1 to 5.")
        return _refused("bhyt-characters", "A card number of 15 characters is two letters and 13 digits.")
    group, level, province, bhxh = match.groups()
    newborn = group == "TE" and level == "1"
    return Checked(BhytCard(value, BhytFormat.CARD_15, group, int(level), province, bhxh, newborn))


def check_bhxh(text: str) -> Checked[BhxhNumber]:
    """Check a social insurance number. Errors: ``bhxh-characters``, ``bhxh-length``."""
    value = _bare(text)
    if not re.fullmatch(r"[0-9]*", value):
        return _refused("bhxh-characters", "A social insurance number has digits only.")
    if len(value) != 10:
        return _refused("bhxh-length", "A social insurance number has 10 digits.")
    return Checked(BhxhNumber(value, value[:2]))


def check_facility_code(text: str) -> Checked[FacilityCode]:
    """Check a facility code: two digits and three digits or letters.

    Errors: ``facility-code-length``, ``facility-code-characters``.
    """
    value = text.strip().upper()
    if len(value) != 5:
        return _refused("facility-code-length", "A facility code has 5 characters.")
    if not re.fullmatch(r"[0-9]{2}[0-9A-Z]{3}", value):
        return _refused("facility-code-characters", "A facility code begins with two digits.")
    return Checked(FacilityCode(value, value[:2]))


def check_phone(text: str) -> Checked[Phone]:
    """Check a phone number in any common writing and give it as E.164, ``+84…``.

    Errors: ``phone-characters``, ``phone-country`` (not +84), ``phone-prefix`` (neither mobile nor landline),
    ``phone-length`` (mobile: 9 digits after +84; landline: 10).
    """
    value = re.sub(r"[()/]", "", _bare(text))
    if not re.fullmatch(r"\+?[0-9]+", value):
        return _refused("phone-characters", "A phone number has digits, perhaps after a plus sign.")
    national = _national(value)
    if national is None:
        return _refused("phone-country", "Only Vietnamese phone numbers are kept here.")
    if national[:1] in ("3", "5", "7", "8", "9"):
        kind: Literal["mobile", "landline"] = "mobile"
    elif national[:1] == "2":
        kind = "landline"
    else:
        return _refused("phone-prefix", "A phone number begins with 02, 03, 05, 07, 08 or 09.")
    if len(national) != (9 if kind == "mobile" else 10):
        return _refused("phone-length", "The phone number has too many or too few digits.")
    return Checked(Phone("+84" + national, kind))


def _national(value: str) -> str | None:
    """The digits after the trunk zero or the country code; None for another country."""
    if value.startswith("+"):
        return value[3:].removeprefix("0") if value.startswith("+84") else None
    if value.startswith("00"):
        return value[4:].removeprefix("0") if value.startswith("0084") else None
    if value.startswith("0"):
        return value[1:]
    if value.startswith("84") and len(value) in (11, 12):
        return value[2:]
    return value
