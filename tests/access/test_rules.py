"""Codes that people read out, logins that people type, times that clocks disagree about."""

from datetime import UTC, datetime, timedelta
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.access import rules

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@given(st.text(alphabet=rules.CROCKFORD, min_size=10, max_size=10))
def test_a_code_is_understood_however_it_is_typed(code: str) -> None:
    shown = rules.shown_code(code)

    assert rules.normal_code(shown) == code
    assert rules.normal_code(f"  {shown.lower()} ") == code
    assert rules.normal_code(code.replace("0", "o").replace("1", "l")) == code


def test_codes_and_passwords_take_every_character_from_the_secure_source() -> None:
    letters = cycle("ABC")
    assert rules.random_code(lambda _: next(letters)) == "ABCABCABCA"
    assert rules.random_password(lambda _: "Z") == "zzzz-zzzz-zzzz-zzzz-zzzz"


@pytest.mark.parametrize(
    ("typed", "login"),
    [
        (" BS.Lan ", "bs.lan"),
        ("a1", "a1"),
        ("a", None),
        (".lan", None),
        ("lan lan", None),
        ("lán", None),
        ("x" * 65, None),
    ],
)
def test_a_login_is_plain_letters(typed: str, login: str | None) -> None:
    assert rules.normal_login(typed) == login


@pytest.mark.parametrize(
    ("seconds", "in_time"),
    [(60, True), (300, True), (330, True), (331, False), (86400, False), (-29, True), (-30, False)],
)
def test_an_assertion_lasts_at_most_five_minutes_give_or_take_a_clock(seconds: int, in_time: bool) -> None:
    assert rules.assertion_in_time(NOW + timedelta(seconds=seconds), NOW) is in_time
