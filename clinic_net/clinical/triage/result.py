"""What a chart says: score, band, colour, what was missing and why, with the chart and its version.

GREEN is a positive claim: everything the chart requires was assessed and nothing was found. Anything less
is ``not_triageable``, unless what was assessed already calls for a higher colour; then ``complete`` is
false and the score is a lower bound (domain §4, safety rules 1, 2 and 5).
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Colour(StrEnum):
    """The triage colour. NONE: the chart makes no claim about urgency."""

    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    GREEN = "green"
    NONE = "none"

    @property
    def severity(self) -> int:
        """RED 4, ORANGE 3, YELLOW 2, GREEN 1, NONE 0."""
        return _SEVERITY[self]

    @property
    def raises(self) -> bool:
        """Whether the colour calls for more than routine care."""
        return self.severity >= 2


_SEVERITY = {Colour.RED: 4, Colour.ORANGE: 3, Colour.YELLOW: 2, Colour.GREEN: 1, Colour.NONE: 0}

NOT_TRIAGEABLE = "not_triageable"
"""Band: too little was assessed to say anything."""
NOT_APPLICABLE = "not_applicable"
"""Band: the chart was not made for this patient."""


class Reason(BaseModel):
    """Why: a stable code and what to show, in English and Vietnamese. Never holds a measured value."""

    model_config = ConfigDict(frozen=True)

    code: str
    text: str
    text_vi: str


class Applied(BaseModel):
    """One of the charts that ``auto`` applied, and what it said."""

    model_config = ConfigDict(frozen=True)

    chart: str
    version: str
    score: int | float | None
    band: str
    colour: Colour
    complete: bool


class TriageResult(BaseModel):
    """What to store and show. ``score`` is None on charts without one and where it cannot be known.

    ``missing`` names the fields of Vitals that the chart requires and nobody assessed. ``within_minutes``
    is the time to assessment that the chart's publication sets, if any. ``applied`` is filled by ``auto``
    only.
    """

    model_config = ConfigDict(frozen=True)

    chart: str
    version: str
    score: int | float | None = None
    band: str
    colour: Colour
    complete: bool
    missing: list[str] = []
    reasons: list[Reason] = []
    within_minutes: int | None = None
    applied: list[Applied] = []

    def as_applied(self) -> Applied:
        """The short form for ``applied``."""
        return Applied(
            chart=self.chart,
            version=self.version,
            score=self.score,
            band=self.band,
            colour=self.colour,
            complete=self.complete,
        )


LOWER_BOUND = Reason(
    code="lower-bound",
    text="Not everything was assessed: the score may be higher",
    text_vi="Chưa đánh giá đủ: điểm thực có thể cao hơn",
)
INCOMPLETE = Reason(
    code="incomplete",
    text="Not everything was assessed: the patient may be more urgent",
    text_vi="Chưa đánh giá đủ: người bệnh có thể khẩn cấp hơn",
)
AGE_NOT_GIVEN = Reason(
    code="age-not-given",
    text="No age was given: make sure that this chart is for this patient",
    text_vi="Chưa có tuổi: hãy chắc chắn bảng này phù hợp với người bệnh",
)


def not_applicable(chart: str, version: str, why: Reason) -> TriageResult:
    """The chart was asked for a patient it was not made for: no score, no colour."""
    return TriageResult(
        chart=chart, version=version, band=NOT_APPLICABLE, colour=Colour.NONE, complete=False, reasons=[why]
    )


def worst(colours: Iterable[Colour]) -> Colour:
    """The most severe colour; NONE of none."""
    return max(colours, key=lambda colour: colour.severity, default=Colour.NONE)


def distinct(reasons: Sequence[Reason]) -> list[Reason]:
    """The reasons in order, each once."""
    return list({reason.code: reason for reason in reasons}.values())
