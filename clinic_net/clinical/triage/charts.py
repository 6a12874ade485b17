"""The charts by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from clinic_net.clinical.triage import (
    auto,
    be_fast,
    etat,
    gcs,
    iitt,
    meows,
    news2,
    pews,
    qsofa,
    shock_index,
    tews,
)
from clinic_net.clinical.triage.result import TriageResult
from clinic_net.clinical.triage.vitals import InvalidVitals, Vitals, VitalsIssue


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: its name on the command line and in records, its titles, the version of its tables."""

    name: str
    en: str
    vi: str
    version: str
    assess: Callable[[Vitals], TriageResult]


CHARTS: Mapping[str, Chart] = MappingProxyType(
    {
        chart.name: chart
        for chart in (
            Chart(
                "news2",
                "Early warning score, adults",
                "Điểm cảnh báo sớm NEWS2, người lớn",
                news2.VERSION,
                news2.assess,
            ),
            Chart(
                "iitt", "Integrated triage tool", "Công cụ phân loại tích hợp IITT", iitt.VERSION, iitt.assess
            ),
            Chart("tews", "Triage score without oximeter", "Điểm phân loại TEWS", tews.VERSION, tews.assess),
            Chart(
                "meows", "Obstetric early warning", "Cảnh báo sớm sản khoa MEOWS", meows.VERSION, meows.assess
            ),
            Chart("shock_index", "Shock index", "Chỉ số sốc", shock_index.VERSION, shock_index.assess),
            Chart("qsofa", "Sepsis flag", "Cờ nhiễm khuẩn huyết qSOFA", qsofa.VERSION, qsofa.assess),
            Chart("gcs", "Glasgow coma scale", "Thang điểm hôn mê Glasgow", gcs.VERSION, gcs.assess),
            Chart("be_fast", "Stroke signs", "Dấu hiệu đột quỵ BE-FAST", be_fast.VERSION, be_fast.assess),
            Chart(
                "etat",
                "Emergency triage, children",
                "Phân loại cấp cứu trẻ em ETAT",
                etat.VERSION,
                etat.assess,
            ),
            Chart(
                "pews",
                "Early warning score, children",
                "Điểm cảnh báo sớm trẻ em PEWS",
                pews.VERSION,
                pews.assess,
            ),
            Chart(
                "auto",
                "Charts that fit the patient",
                "Bảng phù hợp với người bệnh",
                auto.VERSION,
                auto.assess,
            ),
        )
    }
)
"""Every chart by its name."""


def assess(chart: str, vitals: Vitals) -> TriageResult:
    """Apply one chart. Raises InvalidVitals: ``chart-unknown``, or ``age-required`` where the chart asks the age."""
    if chart not in CHARTS:
        raise InvalidVitals(VitalsIssue("chart-unknown", "chart"))
    return CHARTS[chart].assess(vitals)
