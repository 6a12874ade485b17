"""Birth dates known in part, and the ages they allow (domain §2.3)."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.clinical.dates import InvalidDate, PartialDate, age_range


@pytest.mark.parametrize("text", ["1956", "1956-03", "1956-03-15"])
def test_a_partial_date_reads_and_writes_as_fhir_does(text: str) -> None:
    assert str(PartialDate.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("56", "date-format"),
        ("1956-3", "date-format"),
        ("15/03/1956", "date-format"),
        ("1956-13", "date-impossible"),
        ("1957-02-29", "date-impossible"),
        ("0000", "date-impossible"),
    ],
)
def test_what_is_no_date_is_refused(text: str, code: str) -> None:
    with pytest.raises(InvalidDate) as refusal:
        PartialDate.parse(text)
    assert refusal.value.code == code


def test_a_day_without_its_month_is_refused() -> None:
    with pytest.raises(InvalidDate):
        PartialDate(1956, None, 3)


def test_a_claim_writes_zeros_for_what_is_unknown() -> None:
    assert PartialDate(1956).claim_text() == "195600000000"
    assert PartialDate(1956, 3, 15).claim_text() == "195603150000"


def test_a_month_ends_on_its_last_day() -> None:
    assert PartialDate(2024, 2).latest() == date(2024, 2, 29)
    assert PartialDate(2024, 12).latest() == date(2024, 12, 31)


def test_a_year_only_gives_a_range_of_ages() -> None:
    age = age_range(PartialDate(1956), date(2026, 6, 1))
    assert (age.min_years, age.max_years, age.certain) == (69, 70, False)


def test_a_full_date_gives_one_age() -> None:
    age = age_range(date(2026, 5, 27), date(2026, 6, 1))
    assert (age.min_days, age.max_days, age.min_months, age.certain) == (5, 5, 0, True)


def test_a_leap_day_birthday_falls_on_the_first_of_march() -> None:
    born = date(2024, 2, 29)
    assert age_range(born, date(2025, 2, 28)).max_years == 0
    assert age_range(born, date(2025, 3, 1)).min_years == 1


def test_a_child_of_this_year_is_not_born_later_than_today() -> None:
    age = age_range(PartialDate(2026), date(2026, 6, 1))
    assert (age.min_days, age.max_months) == (0, 5)


def test_a_birth_to_come_is_refused() -> None:
    with pytest.raises(InvalidDate) as refusal:
        age_range(PartialDate(2027), date(2026, 6, 1))
    assert refusal.value.code == "birth-in-future"


@given(st.dates(), st.dates())
def test_knowing_less_never_narrows_the_range(born: date, on: date) -> None:
    if born > on:
        return
    known = age_range(born, on)
    for vaguer in (PartialDate(born.year, born.month), PartialDate(born.year)):
        wide = age_range(vaguer, on)
        assert wide.min_months <= known.min_months <= known.max_months <= wide.max_months
        assert wide.min_days <= known.min_days <= known.max_days <= wide.max_days
