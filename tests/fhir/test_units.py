"""Units in base units: what is the same amount, what is another thing, and what nobody understands."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.fhir import parse_search
from clinic_net.fhir.criteria import NumberCriterion, QuantityCriterion
from clinic_net.fhir.units import (
    EVERYDAY,
    UCUM,
    CanonicalUnit,
    canonical_unit,
    convert,
    read_unit,
    same,
    units_of,
)


def known(code: str) -> CanonicalUnit:
    unit = canonical_unit(UCUM, code)
    assert unit is not None
    return unit


def converted(amount: str, code: str, other: str) -> Decimal:
    return convert(Decimal(amount), known(code), known(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("5.4", "mg"), ("5400", "ug")),
        (("37", "Cel"), ("98.6", "[degF]")),
        (("37", "Cel"), ("310.15", "K")),
        (("120", "mm[Hg]"), ("15.9986864898", "kPa")),
        (("60", "/min"), ("1", "Hz")),
        (("72", "/min"), ("72", "{beats}/min")),
        (("5.5", "mmol/L"), ("5500", "umol/L")),
        (("1", "g/dL"), ("10", "g/L")),
        (("70", "kg"), ("154.323583529", "[lb_av]")),
        (("97", "%"), ("0.97", "1")),
        (("2", "wk"), ("14", "d")),
        (("5", "m[iU]/mL"), ("5", "[iU]/L")),
        (("2", "[Cal]"), ("2", "kcal")),
    ],
)
def test_the_same_amount_in_two_units(one: tuple[str, str], other: tuple[str, str]) -> None:
    (amount, code), (expected, other_code) = one, other
    assert known(code).dimension == known(other_code).dimension
    found = converted(amount, code, other_code)
    assert abs(found - Decimal(expected)) <= abs(found) * Decimal("1E-8")


def test_what_is_equal_on_paper_is_equal_after_conversion() -> None:
    assert converted("5.4", "mg", "ug") == 5400
    assert converted("0.0054", "g", "mg") == Decimal("5.4")
    assert converted("98.6", "[degF]", "Cel") == 37
    assert converted("37", "Cel", "[degF]") == Decimal("98.6")


def test_an_international_unit_is_no_plain_number() -> None:
    assert known("[iU]/L").dimension != known("10*3/L").dimension


def test_what_is_measured_keeps_units_apart() -> None:
    assert len({known(code).dimension for code in ("mg", "mL", "mm[Hg]", "mmol/L", "Cel", "/min")}) == 6


def test_an_amount_is_asked_in_another_unit_with_its_prefix_and_precision() -> None:
    (clause,) = parse_search("Observation", [("value-quantity", f"gt5.4|{UCUM}|mg")]).clauses
    (asked,) = clause.values
    assert isinstance(asked, QuantityCriterion)
    found = same(asked, known("mg"), "ug")
    assert found is not None
    assert found.number == NumberCriterion("gt", Decimal(5400), Decimal(5350), Decimal(5450))
    assert (found.system, found.code) == (UCUM, "ug")
    assert same(asked, known("mg"), "mL") is None
    assert same(asked, known("mg"), "foo") is None


def test_the_units_of_a_resource_are_found_wherever_they_stand() -> None:
    amount = {"value": 1, "system": UCUM, "code": "mg"}
    dose = {"doseAndRate": [{"doseQuantity": amount, "rateRatio": {"denominator": {**amount, "code": "h"}}}]}
    assert list(units_of({"dosage": [dose], "other": {"system": "x", "code": "kg"}})) == ["mg", "h"]


@pytest.mark.parametrize(
    "code", ["foo", "", "mg/", "dB", "[pH]", "10*9999999", "m" * 60, "mm9999", "🙂", "(("]
)
def test_a_unit_that_is_not_understood_has_no_base(code: str) -> None:
    assert canonical_unit(UCUM, code) is None


def test_units_of_other_systems_are_left_as_they_are() -> None:
    assert canonical_unit("http://x.example/units", "mg") is None
    assert canonical_unit(None, "mg") is None
    assert canonical_unit(UCUM, None) is None


@pytest.mark.parametrize("code", sorted(EVERYDAY))
def test_the_units_known_by_heart_are_those_of_the_tables(code: str) -> None:
    assert read_unit(code) == EVERYDAY[code]


@given(st.text(st.sampled_from(list("mgkLdcu/.*^[]{}()'%10-+sHzPa iU")), max_size=14))
def test_no_code_fails(code: str) -> None:
    canonical_unit(UCUM, code)


@given(
    st.decimals(min_value=-1000, max_value=1_000_000, places=3),
    st.sampled_from([("mg", "ug"), ("L", "mL"), ("Cel", "[degF]"), ("K", "Cel")]),
)
def test_a_unit_there_and_back_is_the_same_amount(amount: Decimal, pair: tuple[str, str]) -> None:
    one, other = pair
    there = convert(amount, known(one), known(other))
    assert abs(convert(there, known(other), known(one)) - amount) <= (abs(amount) + 300) * Decimal("1E-7")
