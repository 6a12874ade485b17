"""NEWS2, qSOFA, TEWS, MEOWS, shock index, GCS and BE-FAST: the worked cases and edges of domain §4."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.clinical.triage import CHARTS, Colour, InvalidVitals, TriageResult, assess, read_vitals


def _assess(chart: str, **fields: Any) -> TriageResult:
    return assess(chart, read_vitals(fields))


NEWS2_FIELDS = (
    "respiratory_rate",
    "spo2",
    "oxygen",
    "systolic",
    "pulse",
    "consciousness",
    "temperature",
    "spo2_scale",
)
WELL = dict(zip(NEWS2_FIELDS, (16, 98, False, 124, 72, "A", 36.8, 1), strict=True))


@pytest.mark.parametrize(
    ("case", "score", "band"),
    [
        ((16, 98, False, 124, 72, "A", 36.8, 1), 0, "low"),
        ((22, 95, False, 108, 96, "A", 38.4, 1), 6, "medium"),
        ((26, 90, True, 88, 132, "V", 39.4, 1), 19, "high"),
        ((18, 97, False, 85, 80, "A", 36.9, 1), 3, "low_medium"),
        ((22, 96, False, 118, 95, "A", 37.2, 2), 3, "low"),
        ((22, 96, True, 118, 95, "A", 37.2, 2), 7, "high"),
        ((20, 89, False, 130, 88, "A", 37.0, 1), 3, "low_medium"),
        ((20, 89, False, 130, 88, "A", 37.0, 2), 0, "low"),
        ((8, 83, True, 90, 40, "C", 35.0, 2), 20, "high"),
        ((21, 94, False, 101, 91, "A", 38.1, 1), 6, "medium"),
    ],
)
def test_news2_worked_cases(case: tuple[Any, ...], score: int, band: str) -> None:
    result = _assess("news2", age_years=50, **dict(zip(NEWS2_FIELDS, case, strict=True)))
    assert (result.score, result.band, result.complete, result.missing) == (score, band, True, [])
    assert result.version == "RCP NEWS2 2017"


@pytest.mark.parametrize(
    ("field", "edges"),
    [
        ("respiratory_rate", {8: 3, 9: 1, 11: 1, 12: 0, 20: 0, 21: 2, 24: 2, 25: 3}),
        ("spo2", {91: 3, 92: 2, 93: 2, 94: 1, 95: 1, 96: 0, 100: 0}),
        ("systolic", {90: 3, 91: 2, 100: 2, 101: 1, 110: 1, 111: 0, 219: 0, 220: 3}),
        ("pulse", {40: 3, 41: 1, 50: 1, 51: 0, 90: 0, 91: 1, 110: 1, 111: 2, 130: 2, 131: 3}),
        ("consciousness", {"A": 0, "C": 3, "V": 3, "P": 3, "U": 3}),
        ("temperature", {35.0: 3, 35.1: 1, 36.0: 1, 36.1: 0, 38.0: 0, 38.1: 1, 39.0: 1, 39.1: 2}),
        ("oxygen", {False: 0, True: 2}),
    ],
)
def test_news2_edges_of_every_band(field: str, edges: dict[Any, int]) -> None:
    for value, points in edges.items():
        assert _assess("news2", **{**WELL, field: value}).score == points, value


@pytest.mark.parametrize(
    ("oxygen", "edges"),
    [
        (False, {83: 3, 84: 2, 85: 2, 86: 1, 87: 1, 88: 0, 92: 0, 93: 0, 97: 0, 100: 0}),
        (True, {83: 3, 84: 2, 85: 2, 86: 1, 87: 1, 88: 0, 92: 0, 93: 1, 94: 1, 95: 2, 96: 2, 97: 3}),
    ],
)
def test_news2_scale_2_depends_on_air_or_oxygen(oxygen: bool, edges: dict[int, int]) -> None:
    for spo2, points in edges.items():
        result = _assess("news2", **{**WELL, "spo2_scale": 2, "oxygen": oxygen, "spo2": spo2})
        assert result.score == points + 2 * oxygen, spo2


@pytest.mark.parametrize(
    ("field", "value", "points"), [("respiratory_rate", 20.5, 2), ("temperature", 35.04, 3)]
)
def test_between_two_bands_the_more_severe_counts(field: str, value: float, points: int) -> None:
    assert _assess("news2", **{**WELL, field: value}).score == points


def test_news2_single_three_is_any_one_parameter_not_a_total_of_three() -> None:
    total_of_three = _assess("news2", **{**WELL, "respiratory_rate": 22, "pulse": 95})
    assert (total_of_three.score, total_of_three.band) == (3, "low")
    single_three = _assess("news2", **{**WELL, "consciousness": "C"})
    assert (single_three.band, single_three.colour) == ("low_medium", Colour.YELLOW)
    assert "news2-single-3" in [reason.code for reason in single_three.reasons]


@pytest.mark.parametrize("field", [name for name in NEWS2_FIELDS if name != "spo2_scale"])
def test_news2_without_one_parameter_is_incomplete_and_not_low(field: str) -> None:
    result = _assess("news2", **{**WELL, field: None})
    assert (result.band, result.colour, result.complete, result.missing) == (
        "not_triageable", Colour.NONE, False, [field],
    )  # fmt: skip
    assert result.score == 0
    assert "lower-bound" in [reason.code for reason in result.reasons]


def test_news2_incomplete_keeps_what_is_already_certain() -> None:
    result = _assess("news2", respiratory_rate=26, spo2=90, consciousness="V")
    assert (result.score, result.band, result.complete, result.within_minutes) == (9, "high", False, 30)


@pytest.mark.parametrize(
    "fields", [{"age_years": 15}, {"age_years": 15, "age_years_max": 16}, {"pregnant": True}]
)
def test_news2_is_not_for_children_or_pregnancy(fields: dict[str, Any]) -> None:
    result = _assess("news2", **WELL, **fields)
    assert (result.band, result.score, result.colour) == ("not_applicable", None, Colour.NONE)


WORSE = {
    "respiratory_rate": (range(16, 61), range(16, 0, -1)),
    "spo2": (range(100, 59, -1),),
    "systolic": (range(120, 301), range(120, 29, -1)),
    "pulse": (range(72, 251), range(72, 19, -1)),
    "temperature": ([36.8 + step / 10 for step in range(60)], [36.8 - step / 10 for step in range(100)]),
    "consciousness": (["A", "C"], ["A", "V"], ["A", "P"], ["A", "U"]),
    "oxygen": ([False, True],),
}

some_adult = st.fixed_dictionaries(
    {},
    optional={
        "respiratory_rate": st.integers(1, 60),
        "spo2": st.integers(60, 100),
        "systolic": st.integers(60, 260),
        "pulse": st.integers(20, 220),
        "temperature": st.floats(30, 43).map(lambda value: round(value, 1)),
        "consciousness": st.sampled_from("ACVPU"),
        "oxygen": st.booleans(),
    },
)


@given(some_adult, st.sampled_from(sorted(WORSE)), st.data())
def test_worsening_one_vital_never_lowers_news2(
    vitals: dict[str, Any], field: str, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(WORSE[field]))
    first = data.draw(st.integers(0, len(path) - 2))
    second = data.draw(st.integers(first + 1, len(path) - 1))
    better = _assess("news2", **{**vitals, field: path[first]})
    worse = _assess("news2", **{**vitals, field: path[second]})
    assert better.score is not None
    assert worse.score is not None
    assert worse.score >= better.score
    assert worse.colour.severity >= better.colour.severity


@pytest.mark.parametrize(
    ("rate", "altered", "systolic", "score"),
    [(20, False, 118, 0), (22, False, 100, 2), (21, True, 101, 1), (28, True, 84, 3)],
)
def test_qsofa_worked_cases(rate: int, altered: bool, systolic: int, score: int) -> None:
    result = _assess("qsofa", respiratory_rate=rate, systolic=systolic, gcs=13 if altered else 15)
    assert result.score == score
    assert result.band == ("positive" if score >= 2 else "negative")


def test_qsofa_without_a_pressure_is_positive_or_unknown_never_negative() -> None:
    assert _assess("qsofa", respiratory_rate=24, consciousness="C").band == "positive"
    unknown = _assess("qsofa", respiratory_rate=24, consciousness="A")
    assert (unknown.band, unknown.missing) == ("not_triageable", ["systolic"])


TEWS_FIELDS = ("mobility", "respiratory_rate", "pulse", "systolic", "temperature", "consciousness", "trauma")


@pytest.mark.parametrize(
    ("case", "score", "colour"),
    [
        (("walking", 14, 80, 124, 36.8, "A", False), 0, "green"),
        (("walking", 16, 102, 130, 37.0, "A", True), 3, "yellow"),
        (("with_help", 18, 104, 118, 38.6, "A", False), 5, "orange"),
        (("stretcher", 24, 118, 92, 36.5, "A", True), 8, "red"),
        (("stretcher", 32, 135, 68, 34.5, "U", True), 17, "red"),
        (("with_help", 22, 112, 105, 38.5, "C", False), 9, "red"),
    ],
)
def test_tews_worked_cases(case: tuple[Any, ...], score: int, colour: str) -> None:
    result = _assess("tews", age_years=40, **dict(zip(TEWS_FIELDS, case, strict=True)))
    assert (result.score, result.band, result.colour, result.complete) == (score, colour, colour, True)


@pytest.mark.parametrize(
    ("field", "edges"),
    [
        ("respiratory_rate", {8: 2, 9: 0, 14: 0, 15: 1, 20: 1, 21: 2, 29: 2, 30: 3}),
        ("pulse", {40: 2, 41: 1, 50: 1, 51: 0, 100: 0, 101: 1, 110: 1, 111: 2, 129: 2, 130: 3}),
        ("systolic", {70: 3, 71: 2, 80: 2, 81: 1, 100: 1, 101: 0, 199: 0, 200: 2}),
        ("temperature", {34.9: 2, 35.0: 0, 38.4: 0, 38.5: 2}),
        ("consciousness", {"A": 0, "V": 1, "C": 2, "P": 2, "U": 3}),
        ("mobility", {"walking": 0, "with_help": 1, "stretcher": 2}),
        ("trauma", {False: 0, True: 1}),
    ],
)
def test_tews_edges_of_every_band(field: str, edges: dict[Any, int]) -> None:
    well = dict(zip(TEWS_FIELDS, ("walking", 12, 80, 124, 36.8, "A", False), strict=True))
    for value, points in edges.items():
        assert _assess("tews", **{**well, field: value}).score == points, value


@pytest.mark.parametrize(
    ("sign", "colour"),
    [("active_convulsions", "red"), ("chest_pain", "orange"), ("snake_bite", "yellow")],
)
def test_tews_signs_raise_a_low_score(sign: str, colour: str) -> None:
    well = dict(zip(TEWS_FIELDS, ("walking", 12, 80, 124, 36.8, "A", False), strict=True))
    result = _assess("tews", **well, signs=[sign])
    assert (result.band, result.score) == (colour, 0)


def test_tews_is_for_people_over_12_years_or_150_cm() -> None:
    assert _assess("tews", age_years=12).band == "not_applicable"
    assert _assess("tews", age_years=12, height_cm=155).band == "not_triageable"
    assert _assess("tews", age_years=13).band == "not_triageable"


MEOWS_FIELDS = ("temperature", "systolic", "diastolic", "pulse", "respiratory_rate", "spo2", "consciousness")
MEOWS_WELL = dict(zip(MEOWS_FIELDS, (36.8, 118, 74, 88, 16, 98, "A"), strict=True))


@pytest.mark.parametrize(
    ("case", "band", "colour"),
    [
        ((36.8, 118, 74, 88, 16, 98, "A"), "no_trigger", "green"),
        ((36.4, 104, 70, 112, 18, 98, "A"), "no_trigger", "yellow"),
        ((36.4, 98, 60, 112, 18, 98, "A"), "trigger", "orange"),
        ((37.2, 152, 94, 92, 18, 98, "A"), "trigger", "orange"),
        ((37.0, 168, 112, 92, 18, 98, "A"), "trigger", "red"),
        ((38.2, 118, 74, 88, 16, 98, "A"), "trigger", "red"),
    ],
)
def test_meows_worked_cases(case: tuple[Any, ...], band: str, colour: str) -> None:
    result = _assess("meows", pregnant=True, **dict(zip(MEOWS_FIELDS, case, strict=True)))
    assert (result.band, result.colour, result.complete) == (band, colour, True)


@pytest.mark.parametrize(
    ("field", "edges"),
    [
        (
            "temperature",
            {34.9: "red", 35.0: "yellow", 36.0: "yellow", 36.1: "green", 38.0: "green", 38.1: "red"},
        ),
        (
            "systolic",
            {89: "red", 90: "yellow", 100: "yellow", 101: "green", 149: "green", 150: "yellow", 161: "red"},
        ),
        ("diastolic", {89: "green", 90: "yellow", 100: "yellow", 101: "red"}),
        (
            "pulse",
            {39: "red", 40: "yellow", 50: "yellow", 51: "green", 99: "green", 100: "yellow", 121: "red"},
        ),
        ("respiratory_rate", {9: "red", 10: "green", 20: "green", 21: "yellow", 30: "yellow", 31: "red"}),
        ("spo2", {94: "red", 95: "green"}),
        ("consciousness", {"A": "green", "C": "yellow", "V": "yellow", "P": "red", "U": "red"}),
        ("pain", {0: "green", 1: "green", 2: "yellow", 3: "yellow"}),
    ],
)
def test_meows_edges_of_every_band(field: str, edges: dict[Any, str]) -> None:
    for value, colour in edges.items():
        fields = {**MEOWS_WELL, field: value}
        if fields["diastolic"] >= fields["systolic"]:
            fields["systolic"] = 140
        assert _assess("meows", **fields).colour == colour, value


@pytest.mark.parametrize("field", MEOWS_FIELDS)
def test_meows_without_one_parameter_claims_nothing(field: str) -> None:
    result = _assess("meows", **{**MEOWS_WELL, field: None})
    assert (result.band, result.colour, result.missing) == ("not_triageable", Colour.NONE, [field])


@pytest.mark.parametrize(
    ("pulse", "systolic", "score", "band"),
    [
        (80, 120, 0.67, "green"),
        (107, 119, 0.90, "green"),
        (108, 120, 0.90, "amber"),
        (120, 100, 1.20, "amber"),
        (140, 82, 1.71, "red"),
        (170, 100, 1.70, "red"),
        (161, 95, 1.69, "amber"),
        (129, 76, 1.70, "amber"),
    ],
)
def test_shock_index_compares_before_rounding(pulse: int, systolic: int, score: float, band: str) -> None:
    result = _assess("shock_index", pulse=pulse, systolic=systolic)
    assert (result.score, result.band) == (score, band)


@pytest.mark.parametrize(
    ("systolic", "diastolic", "band"),
    [(139, 89, "green"), (140, 80, "amber"), (130, 90, "amber"), (160, 100, "red"), (150, 110, "red")],
)
def test_shock_index_lights_the_pressure_in_pregnancy(systolic: int, diastolic: int, band: str) -> None:
    assert (
        _assess("shock_index", pregnant=True, pulse=80, systolic=systolic, diastolic=diastolic).band == band
    )
    assert (
        _assess("shock_index", pregnant=False, pulse=80, systolic=systolic, diastolic=diastolic).band
        == "green"
    )


def test_shock_index_without_a_pressure_is_not_green() -> None:
    result = _assess("shock_index", pulse=80)
    assert (result.band, result.score, result.missing) == ("not_triageable", None, ["systolic"])


@pytest.mark.parametrize(
    ("gcs", "score", "band"),
    [
        ({"eye": 4, "verbal": 5, "motor": 6}, 15, "mild"),
        ({"eye": 3, "verbal": 4, "motor": 5}, 12, "moderate"),
        ({"eye": 2, "verbal": 2, "motor": 4}, 8, "severe"),
        ({"eye": 1, "verbal": "NT", "motor": 1}, None, "not_triageable"),
        (13, 13, "mild"),
        (9, 9, "moderate"),
        (3, 3, "severe"),
        (None, None, "not_triageable"),
    ],
)
def test_gcs_worked_cases(gcs: object, score: int | None, band: str) -> None:
    result = _assess("gcs", gcs=gcs)
    assert (result.score, result.band, result.complete) == (score, band, score is not None)


@pytest.mark.parametrize(
    ("signs", "minutes", "band", "reason", "fast"),
    [
        (["arm_drift"], 50, "positive", "stroke-window-open", True),
        (["sudden_vision_loss", "sudden_balance_loss"], 60, "positive", "stroke-window-open", False),
        (["face_droop"], 480, "positive", "stroke-window-late", True),
        (["speech_abnormal"], None, "positive", "stroke-window-unknown", True),
        (["headache"], None, "negative", None, False),
        ([], None, "negative", None, False),
    ],
)
def test_be_fast_worked_cases(
    signs: list[str], minutes: int | None, band: str, reason: str | None, fast: bool
) -> None:
    result = _assess("be_fast", signs=signs, last_known_well_minutes=minutes)
    codes = [found.code for found in result.reasons]
    assert (result.band, result.colour) == (band, Colour.RED if band == "positive" else Colour.NONE)
    assert reason is None or reason in codes
    assert ("fast-positive" in codes) is fast


def test_be_fast_is_not_negative_if_nobody_looked() -> None:
    assert _assess("be_fast").band == "not_triageable"


def test_an_unknown_chart_is_refused() -> None:
    with pytest.raises(InvalidVitals, match="chart: chart-unknown"):
        _assess("news3")


def test_the_charts_are_those_of_the_surface() -> None:
    surface = "news2 iitt tews meows shock_index qsofa gcs be_fast etat pews auto"
    assert list(CHARTS) == surface.split()
    assert all(chart.version and chart.en and chart.vi for chart in CHARTS.values())
