"""How well a stored patient fits one that is described: pure rules of ``Patient/$match``.

The weights are this hub's own: an identifier outweighs everything else, a contradiction in name, date of birth or sex
forbids certainty, and names are compared as Vietnamese names are (``clinical.names``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from clinic_net.clinical.names import MatchRank, match_rank

_NAME = {MatchRank.EXACT: 25, MatchRank.TONE_VARIANT: 22, MatchRank.FOLDED: 15, MatchRank.NONE: -20}
_IDENTIFIER, _OTHER_IDENTIFIER = 60, -30
_BIRTH, _ALMOST_BIRTH, _OTHER_BIRTH = 20, 8, -20
_SEX, _OTHER_SEX = 5, -10
_PHONE = 10

CERTAIN, PROBABLE, POSSIBLE = 85, 45, 25
"""Points of a hundred from which a grade is given."""

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Fit:
    """``score`` from 0 to 1 and a match-grade: certain, probable, possible or certainly-not."""

    score: Decimal
    grade: str


def identifiers(patient: Content) -> set[tuple[str, str]]:
    """Return system ("" for none) and value of every identifier."""
    return {
        (item.get("system", ""), item["value"])
        for item in patient.get("identifier", ())
        if isinstance(item.get("value"), str)
    }


def phones(patient: Content) -> set[str]:
    """Return the last nine digits of every telephone number: +84 and a leading 0 mean the same."""
    found = (
        "".join(filter(str.isdigit, item.get("value") or ""))[-9:]
        for item in patient.get("telecom", ())
        if item.get("system") == "phone"
    )
    return {number for number in found if len(number) == 9}


def names(patient: Content) -> Iterator[str]:
    """Yield every name as one text, family name first."""
    for name in patient.get("name", ()):
        given = [part for part in name.get("given") or () if part]
        text = name.get("text") or " ".join([*filter(None, [name.get("family")]), *given])
        if text:
            yield text


def fit(asked: Content, stored: Content) -> Fit:
    """Return how well ``stored`` fits what was ``asked`` for."""
    points, contradicted = _identifier_points(asked, stored)
    for more, against in (
        _name_points(asked, stored),
        _birth_points(asked.get("birthDate"), stored.get("birthDate")),
        _sex_points(asked.get("gender"), stored.get("gender")),
    ):
        points += more
        contradicted = contradicted or against
    points += _PHONE if phones(asked) & phones(stored) else 0
    points = min(max(points, 0), 100)
    if points >= CERTAIN and not contradicted:
        grade = "certain"
    elif points >= PROBABLE:
        grade = "probable"
    else:
        grade = "possible" if points >= POSSIBLE else "certainly-not"
    return Fit(Decimal(points) / 100, grade)


def _identifier_points(asked: Content, stored: Content) -> tuple[int, bool]:
    ours, theirs = identifiers(asked), identifiers(stored)
    if ours & theirs:
        return _IDENTIFIER, False
    other = {system for system, _ in ours if system} & {system for system, _ in theirs}
    return (_OTHER_IDENTIFIER, True) if other else (0, False)


def _name_points(asked: Content, stored: Content) -> tuple[int, bool]:
    ranks = [
        max(match_rank(ours, theirs), match_rank(theirs, ours))
        for ours in names(asked)
        for theirs in names(stored)
    ]
    if not ranks:
        return 0, False
    best = max(ranks)
    return _NAME[best], best is MatchRank.NONE


def _birth_points(asked: str | None, stored: str | None) -> tuple[int, bool]:
    if not asked or not stored:
        return 0, False
    if asked == stored:
        return _BIRTH, False
    shorter = min(len(asked), len(stored))
    if asked[:shorter] == stored[:shorter] or sorted(asked.split("-")) == sorted(stored.split("-")):
        return _ALMOST_BIRTH, False
    return _OTHER_BIRTH, True


def _sex_points(asked: str | None, stored: str | None) -> tuple[int, bool]:
    if not {asked, stored} <= {"male", "female"}:
        return 0, False
    return (_SEX, False) if asked == stored else (_OTHER_SEX, True)
