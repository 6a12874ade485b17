"""Passwords that others would try first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.access.proof.rules import browser_called, guessable

ABOUT = ("lo.thi.anh", "BS. Lò Thị Ánh", "Bệnh viện Đa khoa tỉnh Điện Biên", "11007")


@pytest.mark.parametrize(
    "password",
    [
        "123456789012",
        "aaaaaaaaaaaaaaaa",
        "abababababababab",
        "Password@2026",
        "p4ssw0rd123456",
        "mậtkhẩu123456",
        "MatKhau@123456",
        "iloveyou20262026",
        "1qaz2wsx3edc",
        "LoThiAnh19850101",
        "lo.thi.anh.2026",
        "dienbien11007",
        "benhviendienbien",
        "Bệnh viện Điện Biên 1",
        "zxcvbnmasdfghjkl",
    ],
)
def test_what_others_try_first_is_guessable(password: str) -> None:
    assert guessable(password, about=ABOUT)


@pytest.mark.parametrize(
    "password",
    ["correct horse battery", "mưa rơi trên mái lá cọ", "xkq7-m2vd-9wtr-h4ns", "Bốn từ chẳng liên quan"],
)
def test_words_that_do_not_belong_together_are_not(password: str) -> None:
    assert not guessable(password, about=ABOUT)


@given(st.text(max_size=256), st.lists(st.text(max_size=40), max_size=4))
def test_any_text_can_be_judged(password: str, about: list[str]) -> None:
    assert guessable(password, about=about) in (True, False)


@pytest.mark.parametrize(
    ("agent", "called"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36",
            "Chrome, Windows",
        ),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge, Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Linux"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1",
            "Safari, iPhone",
        ),
        ("curl/8.0", ""),
        ("", ""),
    ],
)
def test_a_browser_is_called_by_its_kind(agent: str, called: str) -> None:
    assert browser_called(agent) == called
