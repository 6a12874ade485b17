"""How far a caller reaches: the scope, and the one rule about it, in SQL for queries and in Python for answers.

What changes from hour to hour (relations, refusals) is not in the scope but in the tables that the rule joins, so that
nothing of it is ever out of date. ``policy`` mints scopes; nobody else does.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, and_, exists, false, or_, true
from sqlmodel import col

from clinic_net.access.labels import PROTECTED
from clinic_net.access.model import CareRelation, ConsentRow, Restriction

POLICY = 1
"""Raise it with every change of the rule: a page's cursor holds for the rule under which it was made."""

EMERGENCY = "emergency_btg"
"""The basis of a relation by breaking the glass; consent does not stop it (Law 91/2025/QH15 on emergencies)."""
SAVING = "ETREAT"
"""The purpose of breaking the glass to treat an emergency: it opens what the law protects most, too."""
TREATING = frozenset(
    {"open_consult", "consult_followup", "home_station", "referral_accepted", "guardian", "self"}
)
"""Bases of relations that open every label and every type: treatment, and a child's guardian."""
LOOK_ONLY = frozenset({EMERGENCY, "guardian", "consent", "self"})
"""Bases of relations that let nobody write."""


@dataclass(frozen=True)
class RecordScope:
    """Whose records a query may reach.

    ``tenants`` None means every tenant (the hub's own work and system clients). ``grantee`` is the address whose care
    relations add patients. ``writable`` says whether anything may be written; ``writing`` that it is about to be, for
    which some relations are not enough. ``withheld`` are the labels that a tenant's records are withheld with,
    ``never`` those that no relation opens. ``types`` are the only ones to be seen of a patient without a relation of
    treatment. ``own`` is the caller's own Patient. ``names`` are those by which a citizen may permit or refuse
    something to the caller. ``patients`` keeps all of it to these patients' records. ``purpose`` is for what the
    caller works (HL7 v3 PurposeOfUse), for the trail.
    """

    tenants: frozenset[str] | None
    grantee: str | None
    writable: bool
    withheld: int = 0
    never: int = 0
    types: frozenset[str] | None = None
    own: str | None = None
    names: frozenset[str] = frozenset()
    patients: frozenset[str] | None = None
    writing: bool = False
    purpose: str | None = None

    @property
    def everywhere(self) -> bool:
        """Whether no record is out of reach."""
        return self.tenants is None and self.patients is None

    @property
    def known_as(self) -> frozenset[str]:
        """Every name under which somebody may have a relation of care here."""
        return self.names | ({self.grantee} if self.grantee is not None else frozenset())

    @property
    def minds_labels(self) -> bool:
        """Whether a record's labels can make a difference."""
        return not self.everywhere and bool(self.withheld or self.never or self.grantee)

    @property
    def mark(self) -> str:
        """Name this reach and the rule behind it: what was made under another one is refused."""
        sets = (self.tenants, self.types, self.patients, self.names)
        plain = [None if each is None else sorted(each) for each in sets]
        whole = [POLICY, *plain, self.grantee, self.withheld, self.never, self.own]
        return blake2b(repr(whole).encode(), digest_size=9).hexdigest()

    def to_write(self) -> "RecordScope":
        """Return the part of it in which records may be changed."""
        return self._to_write

    @cached_property
    def _to_write(self) -> "RecordScope":
        return replace(self, writing=True)


@dataclass(frozen=True)
class Relation:
    """A care relation as a value; ``until`` is exclusive, None means no end; ``tenant`` None means of any place."""

    grantee: str
    patient: str
    since: datetime
    until: datetime | None = None
    basis: str = "ring"
    purpose: str = "TREAT"
    tenant: str | None = None

    def holds(self, now: datetime) -> bool:
        return self.since <= now and (self.until is None or now < self.until)


@dataclass(frozen=True)
class Refused:
    """What a citizen has refused somebody (a deny-consent), as a value."""

    grantee: str
    patient: str
    since: datetime
    until: datetime | None = None
    tenant: str | None = None

    def holds(self, now: datetime) -> bool:
        return self.since <= now and (self.until is None or now < self.until)


@dataclass(frozen=True)
class Record:
    """What the rule asks of a record: its place, whose it is, what it is, how it is labelled."""

    tenant: str | None
    patient: str | None
    rtype: str
    labels: int = 0


@dataclass(frozen=True)
class Columns:
    """The same of a row at hand, as expressions of a query; ``labels`` must not be null."""

    tenant: SQLColumnExpression[Any]
    patient: SQLColumnExpression[Any]
    rtype: SQLColumnExpression[Any]
    labels: SQLColumnExpression[Any]


def predicate(scope: RecordScope, row: Columns, *, now: datetime) -> ColumnElement[bool]:
    """Return the condition that keeps a query within ``scope``; never null.

    ``row`` are the columns of the row at hand. Put it on every table of the query, joined ones too.
    """
    if scope.everywhere:
        return true()
    ways: list[ColumnElement[bool]] = []
    if scope.tenants is None:
        ways.append(true())
    elif scope.tenants:
        ways.append(and_(row.tenant.in_(sorted(scope.tenants)), *_of_a_place(scope, row, now)))
    if scope.own is not None and not scope.writing:
        ways.append(and_(row.patient.is_not(None), row.patient == scope.own))
    if scope.grantee is not None:
        ways.append(_cared_for(scope, row, now))
    whole = [or_(false(), *ways)]
    if scope.never:
        whole.append(row.labels.op("&")(scope.never) == 0)
    if scope.patients is not None:
        whole.append(and_(row.patient.is_not(None), row.patient.in_(sorted(scope.patients))))
    return and_(*whole)


def _of_a_place(scope: RecordScope, row: Columns, now: datetime) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [~_restricted(row)]
    if scope.withheld:
        conditions.append(row.labels.op("&")(scope.withheld) == 0)
    if scope.types is not None:
        conditions.append(or_(row.patient.is_(None), row.rtype.in_(sorted(scope.types))))
    if scope.names:
        conditions.append(~_refused(scope, row, now))
    return conditions


def _cared_for(scope: RecordScope, row: Columns, now: datetime) -> ColumnElement[bool]:
    basis, purpose, tenant = col(CareRelation.basis), col(CareRelation.purpose), col(CareRelation.tenant)
    treats = basis.in_(sorted(TREATING))
    conditions = [
        col(CareRelation.grantee).in_(sorted(scope.known_as)),
        col(CareRelation.patient) == row.patient,
        col(CareRelation.since) <= now,
        or_(col(CareRelation.until).is_(None), col(CareRelation.until) > now),
        or_(tenant.is_(None), tenant == row.tenant),
        or_(basis == EMERGENCY, ~_restricted(row)),
        or_(
            row.labels.op("&")(PROTECTED) == 0,
            treats,
            and_(basis == EMERGENCY, purpose == SAVING),
        ),
    ]
    if scope.types is not None:
        conditions.append(or_(treats, row.rtype.in_(sorted(scope.types))))
    if scope.names:
        conditions.append(or_(basis == EMERGENCY, ~_refused(scope, row, now)))
    if scope.writing:
        conditions.append(basis.not_in(sorted(LOOK_ONLY)))
    return exists().where(and_(*conditions)).correlate_except(CareRelation)


def _restricted(row: Columns) -> ColumnElement[bool]:
    """Whether the processing of the patient's record is stopped (Decree 356/2025/ND-CP): but for emergencies."""
    return exists().where(col(Restriction.patient) == row.patient).correlate_except(Restriction)


def _refused(scope: RecordScope, row: Columns, now: datetime) -> ColumnElement[bool]:
    conditions = and_(
        col(ConsentRow.patient) == row.patient,
        col(ConsentRow.decision) == "deny",
        col(ConsentRow.grantee).in_(sorted(scope.names)),
        col(ConsentRow.status) == "active",
        col(ConsentRow.since) <= now,
        or_(col(ConsentRow.until).is_(None), col(ConsentRow.until) > now),
        or_(col(ConsentRow.tenant).is_(None), col(ConsentRow.tenant) == row.tenant),
    )
    return exists().where(conditions).correlate_except(ConsentRow)


def permits(
    scope: RecordScope,
    record: Record,
    *,
    relations: Iterable[Relation],
    refusals: Iterable[Refused] = (),
    restricted: Collection[str] = (),
    now: datetime,
) -> bool:
    """Whether a record is within ``scope``: the same rule as :func:`predicate`, for an answer about to leave.

    ``restricted`` are the patients whose record is not to be processed but in an emergency.
    """
    if scope.everywhere:
        return True
    if record.labels & scope.never or (scope.patients is not None and record.patient not in scope.patients):
        return False
    if scope.tenants is None:
        return True
    if scope.own is not None and record.patient == scope.own and not scope.writing:
        return True
    stopped = record.patient is not None and record.patient in restricted
    refused = record.patient is not None and any(
        each.patient == record.patient
        and each.grantee in scope.names
        and each.tenant in (None, record.tenant)
        and each.holds(now)
        for each in refusals
    )
    shown = scope.types is None or record.patient is None or record.rtype in scope.types
    ours = record.tenant in scope.tenants and not record.labels & scope.withheld
    if ours and not refused and not stopped and shown:
        return True
    return record.patient is not None and any(
        _opens(scope, relation, record, refused=refused or stopped) and relation.holds(now)
        for relation in relations
    )


def _opens(scope: RecordScope, relation: Relation, record: Record, *, refused: bool) -> bool:
    if scope.grantee is None or relation.grantee not in scope.known_as or relation.patient != record.patient:
        return False
    treats, urgent = relation.basis in TREATING, relation.basis == EMERGENCY
    return (
        relation.tenant in (None, record.tenant)
        and (not record.labels & PROTECTED or treats or (urgent and relation.purpose == SAVING))
        and (scope.types is None or treats or record.rtype in scope.types)
        and (urgent or not refused)
        and not (scope.writing and relation.basis in LOOK_ONLY)
    )
