"""When what is asked for is owed, in Vietnamese working days; what a figure may show. Pure."""

from datetime import UTC, date, datetime, timedelta
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from clinic_net.privacy import statistics
from clinic_net.privacy.calendar import VIET_NAM, after_days, after_working_days, is_working_day
from clinic_net.privacy.rules import Kind, deadlines, extended
from clinic_net.privacy.statistics import SMALLEST, Row, age_band, protect, pseudonym, safe_cell


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=VIET_NAM)


@pytest.mark.parametrize(
    ("day", "works"),
    [
        ("2026-11-24", True), ("2026-11-21", False), ("2026-11-22", False), ("2026-09-02", False),
        ("2026-09-01", False), ("2026-02-17", False), ("2026-02-16", False), ("2026-02-23", True),
        ("2027-02-06", False), ("2027-04-16", False), ("2027-01-01", False), ("2026-04-27", False),
    ],
)  # fmt: skip
def test_a_working_day(day: str, works: bool) -> None:
    assert is_working_day(date.fromisoformat(day)) is works


@pytest.mark.parametrize(
    ("received", "answered_before"),
    [
        ("2026-11-23T09:00", "2026-11-26T00:00"),  # Monday: Tuesday, Wednesday
        ("2026-11-19T23:59", "2026-11-24T00:00"),  # Thursday: Friday, Monday
        ("2026-11-21T10:00", "2026-11-25T00:00"),  # Saturday: Monday, Tuesday
        ("2026-02-13T10:00", "2026-02-25T00:00"),  # the Friday before Tết: the Monday and Tuesday after
        ("2026-08-31T10:00", "2026-09-05T00:00"),  # before National Day: Thursday, Friday
    ],
)
def test_an_answer_is_owed_in_two_working_days(received: str, answered_before: str) -> None:
    assert deadlines(Kind.COPY, at(received), processors=False).answer_by == at(answered_before)


def test_a_day_off_that_was_decided_later_moves_the_deadline() -> None:
    off = [date(2026, 11, 24)]
    assert after_working_days(at("2026-11-23T09:00"), 2, off) == at("2026-11-27T00:00")


def test_the_day_is_viet_nams_not_greenwichs() -> None:
    late = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)  # Tuesday, 01:30, in Hanoi
    assert after_working_days(late, 2) == at("2026-11-27T00:00")
    assert after_days(late, 10) == at("2026-12-05T00:00")


@pytest.mark.parametrize(
    ("kind", "days", "with_processors"),
    [
        (Kind.RESTRICTION, 15, 20), (Kind.OBJECTION, 15, 20), (Kind.WITHDRAWAL, 15, 20), (Kind.COPY, 10, 20),
        (Kind.CORRECTION, 10, 20), (Kind.ERASURE, 20, 20),
    ],
)  # fmt: skip
def test_how_long_each_right_may_take(kind: Kind, days: int, with_processors: int) -> None:
    received = at("2026-11-01T12:00")
    for processors, most in ((False, days), (True, with_processors)):
        due = deadlines(kind, received, processors=processors).due_at
        assert due == at("2026-11-02T00:00") + timedelta(days=most)
        assert extended(due) - due == timedelta(days=15)


@given(st.integers(0, 700 * 24 * 60), st.integers(0, 15))
def test_a_deadline_never_falls_before_as_many_days(minutes: int, days: int) -> None:
    since = at("2026-01-01T00:00") + timedelta(minutes=minutes)
    end = after_working_days(since, days)
    assert end - since >= timedelta(days=days)
    assert not days or is_working_day((end - timedelta(seconds=1)).astimezone(VIET_NAM).date())


@pytest.mark.parametrize("text", ["=1+1", "+84", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "\0x"])
def test_a_cell_is_no_formula(text: str) -> None:
    """Attack 45: what a spreadsheet would carry out is shown as text."""
    out = StringIO()
    statistics.write_csv([row(specialty=text)], out)
    assert safe_cell(text) == f"'{text}"
    assert "'" + text in out.getvalue()
    assert f",{text}" not in out.getvalue()
    assert f'"{text}' not in out.getvalue()


def row(person: str = "p", **changed: str) -> Row:
    facts = {
        "month": "2026-11", "province": "11", "sex": "female", "age": "45-54", "specialty": "cardiology",
        "urgency": "red", "outcome": "advice", "minutes_to_doctor": "4",
    }  # fmt: skip
    return Row(person, **(facts | changed))


def test_four_people_are_too_few_and_five_are_enough() -> None:
    alike = [row(str(n)) for n in range(SMALLEST)]
    assert protect(alike) == (alike, 0, 0)
    assert protect(alike[:4]) == ([], 0, 4)
    assert protect([row("same")] * 20) == ([], 0, 20), "one person twenty times is one person"


def test_a_small_cell_is_widened_no_further_than_it_needs() -> None:
    few = [row(str(n), province=f"{n:02}") for n in range(SMALLEST)]
    kept, widened, left_out = protect(few)
    assert (widened, left_out) == (SMALLEST, 0)
    assert {(each.province, each.age, each.sex) for each in kept} == {("*", "45-54", "female")}


people = st.lists(
    st.builds(
        row,
        st.integers(0, 30).map(str),
        month=st.sampled_from(["2026-10", "2026-11"]),
        province=st.sampled_from(["01", "11", "79"]),
        sex=st.sampled_from(["female", "male"]),
        age=st.sampled_from(["0-4", "45-54", "85+"]),
    ),
    max_size=120,
)


@given(people)
def test_no_group_that_leaves_has_fewer_than_five_people(rows: list[Row]) -> None:
    kept, _, left_out = protect(rows)
    groups: dict[tuple[str, ...], set[str]] = {}
    for each in kept:
        groups.setdefault((each.month, each.province, each.sex, each.age), set()).add(each.person)
    assert all(len(group) >= SMALLEST for group in groups.values())
    assert len(kept) + left_out == len(rows)


def test_a_pseudonym_is_the_same_within_a_project_and_another_elsewhere() -> None:
    key = SecretStr("k" * 48)
    assert pseudonym(key, "a", "p1") == pseudonym(key, "a", "p1")
    assert (
        len({pseudonym(key, "a", "p1"), pseudonym(key, "b", "p1"), pseudonym(SecretStr("j" * 48), "a", "p1")})
        == 3
    )
    assert "p1" not in pseudonym(key, "a", "p1")


@pytest.mark.parametrize(
    ("born", "band"),
    [
        ("1980-11-24", "45-54"),
        ("1981-11-25", "35-44"),
        ("2026", "0-4"),
        ("1930", "85+"),
        ("", "unknown"),
        ("1980-11", "45-54"),
    ],
)  # fmt: skip
def test_an_age_is_told_in_bands(born: str, band: str) -> None:
    assert age_band(born, date(2026, 11, 24)) == band
