"""The plot of a vital sign: every point inside the frame, time to the right, more upwards."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from clinic_net.console.plot import HEIGHT, SHOWN, WIDTH, plot
from clinic_net.console.record import Reading, Series

START = datetime(2026, 11, 1, 1, 0, tzinfo=UTC)


def series(*values: float, low: float | None = None, high: float | None = None) -> Series:
    readings = tuple(Reading(START + timedelta(days=day), value) for day, value in enumerate(values))
    return Series("pulse", "/min", readings, low, high)


@given(st.lists(st.floats(min_value=0, max_value=400), min_size=1, max_size=30), st.booleans())
def test_every_point_and_the_band_lie_inside_the_frame(values: list[float], banded: bool) -> None:
    drawn = plot(series(*values, low=51 if banded else None, high=90 if banded else None))
    for point in drawn.points:
        assert 0 <= point.x <= WIDTH
        assert 0 <= point.y <= HEIGHT
    if drawn.band is not None:
        top, height = drawn.band
        assert top >= 0
        assert height > 0
        assert top + height <= HEIGHT


@given(st.lists(st.floats(min_value=0, max_value=400), min_size=2, max_size=SHOWN))
def test_time_runs_to_the_right_and_more_is_higher(values: list[float]) -> None:
    points = plot(series(*values)).points
    assert [point.x for point in points] == sorted(point.x for point in points)
    by_value = [point for _, point in sorted(zip(values, points, strict=True), key=lambda pair: pair[0])]
    heights = [point.y for point in by_value]
    assert all(one >= other - 1e-9 for one, other in pairwise(heights))


def test_only_the_newest_readings_are_drawn() -> None:
    drawn = plot(series(*range(60, 60 + SHOWN + 5)))
    assert len(drawn.points) == SHOWN
    assert drawn.points[-1].label == str(60 + SHOWN + 4)


def test_one_reading_stands_in_the_middle_with_its_value() -> None:
    (point,) = plot(series(72)).points
    assert point.label == "72"
    assert 0.3 * WIDTH < point.x < 0.7 * WIDTH


def test_values_that_never_change_still_have_an_axis() -> None:
    low, middle, high = (label for _, label in plot(series(72, 72)).ticks)
    assert float(low) < float(middle) < float(high)


def test_days_are_written_as_in_viet_nam() -> None:
    drawn = plot(series(70, 80))
    assert (drawn.first, drawn.last) == ("01/11", "02/11")
    assert drawn.points[0].when == "01/11/2026 08:00"
