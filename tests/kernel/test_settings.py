"""Settings as an operator writes them into the environment."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from clinic_net.kernel.settings import HubSettings


def read(monkeypatch: pytest.MonkeyPatch, value: str) -> timedelta:
    monkeypatch.setenv("CLINIC_NET_RING_TIER_AFTER", value)
    settings = HubSettings(
        database="postgresql+psycopg://hub@db/hub",
        redis="redis://r",
        token_key="t" * 32,
        identifier_key="i" * 32,
        turn_secret="t" * 16,
    )
    return settings.ring_tier_after


@pytest.mark.parametrize(
    ("value", "seconds"), [("30", 30), ("0.5", 0.5), ("PT30S", 30), ("PT2M", 120), ("00:01:00", 60)]
)
def test_a_duration_is_a_number_of_seconds_or_iso_8601(
    monkeypatch: pytest.MonkeyPatch, value: str, seconds: float
) -> None:
    assert read(monkeypatch, value) == timedelta(seconds=seconds)


@pytest.mark.parametrize("value", ["", "soon", "nan", "inf"])
def test_what_is_no_duration_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    with pytest.raises(ValidationError):
        read(monkeypatch, value)
