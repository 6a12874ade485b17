"""Identity, insurance, facility and phone numbers (domain §2.2, §2.3)."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.clinical import identifiers
from clinic_net.clinical.dates import PartialDate
from clinic_net.clinical.identifiers import (
    BhytFormat,
    Severity,
    check_bhxh,
    check_bhyt,
    check_cccd,
    check_facility_code,
    check_phone,
)


@pytest.mark.parametrize(
    ("text", "province", "sex", "year"),
    [
        ("001085012345", "001", "male", 1985),
        ("079200000123", "079", "male", 2000),
        ("075162034567", "075", "female", 1962),
        ("001 300 012345", "001", "female", 2000),
    ],
)
def test_an_identity_number_tells_province_sex_and_year(
    text: str, province: str, sex: str, year: int
) -> None:
    number = check_cccd(text).value
    assert number is not None
    assert (number.birth_province, number.sex, number.birth_year) == (province, sex, year)


def test_another_year_or_sex_warns_and_never_rejects() -> None:
    checked = check_cccd("075162034567", sex="male", birth=PartialDate(1964, 8, 20))
    assert checked.ok
    assert checked.codes == ("cccd-sex-differs", "cccd-birth-year-differs")
    assert {issue.severity for issue in checked.issues} == {Severity.WARNING}


def test_what_agrees_or_is_unknown_raises_no_warning() -> None:
    assert check_cccd("001085012345", sex="male", birth=PartialDate.parse("1985-03-15")).issues == ()
    assert check_cccd("001085012345", sex="unknown").issues == ()


def test_a_birth_year_to_come_warns() -> None:
    assert check_cccd("001299012345", on=date(2026, 1, 1)).codes == ("cccd-birth-year-future",)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("00108501234", "cccd-length"),
        ("0010850123456", "cccd-length"),
        ("", "cccd-length"),
        ("00108501234A", "cccd-characters"),
        ("٠٠١٠٨٥٠١٢٣٤٥", "cccd-characters"),
    ],
)
def test_what_cannot_be_an_identity_number_is_refused(text: str, code: str) -> None:
    assert check_cccd(text).codes == (code,)
    assert not check_cccd(text).ok


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("DN4010123456789", BhytFormat.CARD_15),
        ("dn 4 01 0123456789", BhytFormat.CARD_15),
        ("0123456789", BhytFormat.BHXH_10),
        ("001085012345", BhytFormat.CCCD_12),
    ],
)
def test_a_card_says_which_of_three_formats_it_has(text: str, form: BhytFormat) -> None:
    card = check_bhyt(text).value
    assert card is not None
    assert card.format is form


def test_an_old_card_is_taken_apart() -> None:
    card = check_bhyt("TE1790123456789").value
    assert card is not None
    assert (card.group, card.benefit_level, card.province, card.bhxh) == ("TE", 1, "79", "0123456789")
    assert card.newborn_shape


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("DN6010123456789", "bhyt-benefit-level"),
        ("D14010123456789", "bhyt-characters"),
        ("00108501234X", "bhyt-characters"),
        ("DN401", "bhyt-length"),
    ],
)
def test_what_cannot_be_a_card_is_refused(text: str, code: str) -> None:
    assert check_bhyt(text).codes == (code,)


def test_social_insurance_numbers_have_ten_digits() -> None:
    number = check_bhxh("79 1234 5678").value
    assert number is not None
    assert number.province == "79"
    assert check_bhxh("7912345").codes == ("bhxh-length",)
    assert check_bhxh("79123456AB").codes == ("bhxh-characters",)


def test_facility_codes_have_five_characters() -> None:
    code = check_facility_code(" 01h23 ").value
    assert code is not None
    assert (code.value, code.province_at_issue) == ("01H23", "01")
    assert check_facility_code("0123").codes == ("facility-code-length",)
    assert check_facility_code("H1234").codes == ("facility-code-characters",)


@pytest.mark.parametrize(
    ("text", "e164", "kind"),
    [
        ("0912 345 678", "+84912345678", "mobile"),
        ("+84 912-345-678", "+84912345678", "mobile"),
        ("+84 (0) 912 345 678", "+84912345678", "mobile"),
        ("84912345678", "+84912345678", "mobile"),
        ("0084912345678", "+84912345678", "mobile"),
        ("024.3827.3845", "+842438273845", "landline"),
    ],
)
def test_phones_are_kept_as_e164(text: str, e164: str, kind: str) -> None:
    phone = check_phone(text).value
    assert phone is not None
    assert (phone.e164, phone.kind) == (e164, kind)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("091234567", "phone-length"),
        ("09123456789", "phone-length"),
        ("0412345678", "phone-prefix"),
        ("+1 212 555 0100", "phone-country"),
        ("gọi bố", "phone-characters"),
        ("", "phone-characters"),
    ],
)
def test_what_cannot_be_a_phone_is_refused(text: str, code: str) -> None:
    assert check_phone(text).codes == (code,)


@given(st.text(alphabet="0123456789ABCDE+- ", max_size=20))
def test_no_issue_quotes_the_number(text: str) -> None:
    for check in (check_cccd, check_bhyt, check_bhxh, check_facility_code, check_phone):
        checked = check(text)
        assert checked.ok is not any(issue.severity is Severity.ERROR for issue in checked.issues)
        assert not any(len(text.strip()) > 2 and text in issue.message for issue in checked.issues)


def test_systems_are_those_of_vn_core() -> None:
    assert identifiers.CCCD_SYSTEM == "http://fhir.hl7.org.vn/core/sid/cccd"
    assert identifiers.BHYT_SYSTEM == "http://fhir.hl7.org.vn/core/sid/bhyt"
