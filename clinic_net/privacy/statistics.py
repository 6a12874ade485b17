"""Figures that leave the hub: pseudonyms instead of people, no group of fewer than five, no cell that is a formula.

A pseudonym is an HMAC under a key of the export's project: two projects' files cannot be joined, and nobody without the
hub's key can try names. What could point at a person together with other knowledge (month, province, sex, age) is
widened step by step until at least five people share it, and left out where that is not enough.
"""

import csv
import hmac
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from datetime import date, datetime
from typing import TextIO

from pydantic import SecretStr
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import care
from clinic_net.access.keys import Use, derive
from clinic_net.access.policy import hub_scope
from clinic_net.consultations import service as consultations
from clinic_net.fhir import parse
from clinic_net.kernel.errors import NotFound
from clinic_net.privacy.calendar import VIET_NAM
from clinic_net.records import service as records

SMALLEST = 5
"""People that share each combination at least: below five is a small cell (security reference §1.3)."""
WIDENED = "*"
_AGES = (5, 15, 25, 35, 45, 55, 65, 75, 85)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
"""With what a cell begins that a spreadsheet would carry out (ASVS 5, 1.2.10)."""


@dataclass(frozen=True)
class Row:
    """One consultation as it leaves. The first four after the pseudonym are what could point at a person."""

    person: str
    month: str
    province: str
    sex: str
    age: str
    specialty: str
    urgency: str
    outcome: str
    minutes_to_doctor: str


@dataclass(frozen=True)
class Made:
    """What an export holds and what it leaves out."""

    rows: int
    people: int
    left_out: int
    widened: int


def pseudonym(key: SecretStr, project: str, patient: str) -> str:
    """Return a person's name within one project: 64 bits, the same each time."""
    of_project = hmac.digest(derive(key, Use.PSEUDONYM), project.encode(), "sha256")
    return hmac.digest(of_project, patient.encode(), "sha256").hex()[:16]


def age_band(born: str, at: date) -> str:
    """Return the band of years that somebody born then (``1980``, ``1980-02``, ``1980-02-03``) is in."""
    parts = [int(part) for part in born.split("-")] if born else []
    if not parts:
        return "unknown"
    birthday = [*parts, 1, 1][1:3]
    years = at.year - parts[0] - ((at.month, at.day) < tuple(birthday))
    low = max(limit for limit in (0, *_AGES) if limit <= max(0, years))
    high = next((limit - 1 for limit in _AGES if limit > low), None)
    return f"{low}-{high}" if high is not None else f"{low}+"


_STEPS = (("province",), ("province", "age"), ("province", "age", "sex"), ("province", "age", "sex", "month"))
"""What is widened, in this order, until a group is large enough."""


def protect(rows: Sequence[Row], smallest: int = SMALLEST) -> tuple[list[Row], int, int]:
    """Widen rows until each combination is shared by ``smallest`` people. Returns rows, how many widened, left out."""
    kept: list[Row] = []
    waiting, widened = list(rows), 0
    for step in ((), *_STEPS):
        wide = [replace(row, **dict.fromkeys(step, WIDENED)) for row in waiting]
        people: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for row in wide:
            people[_pointing(row)].add(row.person)
        still = []
        for row, narrow in zip(wide, waiting, strict=True):
            if len(people[_pointing(row)]) >= smallest:
                kept.append(row)
                widened += bool(step)
            else:
                still.append(narrow)
        waiting = still
    return kept, widened, len(waiting)


def _pointing(row: Row) -> tuple[str, ...]:
    return row.month, row.province, row.sex, row.age


def safe_cell(text: str) -> str:
    """Return a cell that a spreadsheet shows and does not carry out."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_csv(rows: Iterable[Row], out: TextIO) -> None:
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([field.name for field in fields(Row)])
    for row in rows:
        writer.writerow([safe_cell(str(cell)) for cell in astuple(row)])


@dataclass(frozen=True)
class Wanted:
    """Consultations asked for from ``since`` to before ``until``, for one project."""

    project: str
    since: datetime
    until: datetime


async def export(
    s: AsyncSession, out: TextIO, wanted: Wanted, *, key: SecretStr, by: str, now: datetime
) -> Made:
    """Write consultations as CSV, without those whose processing is restricted or whose record is erased."""
    made: list[Row] = []
    known: dict[str, tuple[str, str] | None] = {}
    excluded = 0
    for fact in await consultations.facts(s, wanted.since, wanted.until):
        if fact.patient not in known:
            known[fact.patient] = await _person(s, fact.patient, now=now)
        person = known[fact.patient]
        if person is None:
            excluded += 1
            continue
        sex, born = person
        waited = None if fact.accepted_at is None else fact.accepted_at - fact.received_at
        day = fact.received_at.astimezone(VIET_NAM).date()
        made.append(
            Row(
                pseudonym(key, wanted.project, fact.patient), f"{day:%Y-%m}", fact.province, sex, age_band(born, day),
                fact.specialty, fact.urgency, fact.outcome,
                "" if waited is None else f"{waited.total_seconds() / 60:.0f}",
            )
        )  # fmt: skip
    rows, widened, small = protect(made)
    rows.sort(key=astuple)  # the order in which they happened would point back
    write_csv(rows, out)
    subject = f"project:{wanted.project}"[:160]
    await audit.record(s, actor=by, action="statistics.export", subject=subject, at=now, purpose="HOPERAT")
    return Made(len(rows), len({row.person for row in rows}), small + excluded, widened)


async def _person(s: AsyncSession, patient: str, *, now: datetime) -> tuple[str, str] | None:
    """Return sex and birth date; None for whom no figure may be made."""
    if await care.is_restricted(s, patient):
        return None
    try:
        stored = await records.read(s, "Patient", patient, scope=hub_scope(), now=now)
    except NotFound:
        return None
    content = parse(stored.text)
    return str(content.get("gender", "unknown")), str(content.get("birthDate", ""))


def lines(text: str) -> Iterator[list[str]]:
    """Read an export back."""
    yield from csv.reader(text.splitlines())
