"""What a caller may see: one rule, compiled to SQL for every query and evaluated in Python on every answer.

The effective right is interaction (role or SMART scope) and reach (tenant or care relation). A scope is
minted only here; an empty one means nothing, never everything.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, and_, exists, false, or_, true
from sqlmodel import col

from clinic_net.access.errors import InsufficientScope, RoleNotAllowed
from clinic_net.access.model import CareRelation
from clinic_net.access.principals import ClientPrincipal, Principal, Role, StationPrincipal, UserPrincipal


@dataclass(frozen=True)
class RecordScope:
    """Whose records a query may reach.

    ``tenants`` None means every tenant (the hub's own work and system clients). ``grantee`` is the address
    whose care relations add patients. ``writable`` says whether anything may be written. ``patients`` narrows all
    of it to what is about these patients (FHIR ids of Patients); None narrows nothing, an empty set leaves nothing.
    """

    tenants: frozenset[str] | None
    grantee: str | None
    writable: bool
    patients: frozenset[str] | None = None


@dataclass(frozen=True)
class Relation:
    """A care relation as a value; ``until`` is exclusive, None means no end."""

    grantee: str
    patient: str
    since: datetime
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        return self.since <= now and (self.until is None or now < self.until)


NOTHING = RecordScope(tenants=frozenset(), grantee=None, writable=False)

EVERYWHERE = RecordScope(tenants=None, grantee=None, writable=False)
"""Reads of callers each of whom reaches every tenant, asked for together."""

_CLINICAL_ROLES = frozenset({Role.DOCTOR, Role.NURSE, Role.COORDINATOR})
_COORDINATOR_WRITES = frozenset({"Task", "ServiceRequest", "Communication", "Appointment"})
_STATION_ACTIONS = "cru"
"""A device pushes and pulls; it never searches or deletes."""


def scope_of(principal: Principal) -> RecordScope:
    """Return what this caller's queries may reach."""
    return _narrowed(_reach_of(principal), principal)


def _narrowed(scope: RecordScope, principal: Principal) -> RecordScope:
    """Keep a program that acts for a person to the patient that it was launched for, or may only see (SMART)."""
    if not isinstance(principal, UserPrincipal) or principal.scopes is None:
        return scope
    of_one = principal.launch_patient is not None or any(s.level == "patient" for s in principal.scopes)
    if not of_one:
        return scope
    chosen = principal.launch_patient
    return replace(scope, patients=frozenset() if chosen is None else frozenset({chosen}))


def _reach_of(principal: Principal) -> RecordScope:
    match principal:
        case UserPrincipal(role=role, facility=facility) if role in _CLINICAL_ROLES:
            return RecordScope(frozenset({facility}), principal.address, writable=True)
        case StationPrincipal(site=site):
            return RecordScope(frozenset({site}), principal.address, writable=True)
        case ClientPrincipal(scopes=scopes) if scopes:
            writes = any(action in scope.actions for scope in scopes for action in "cud")
            return RecordScope(None, None, writable=writes)
        case _:
            return NOTHING


def hub_scope() -> RecordScope:
    """Return the reach of the hub's own background work, which acts for no caller. Never use it in a request."""
    return RecordScope(None, None, writable=True)


def station_scope(site: str) -> RecordScope:
    """Return what a site's feed may hold: its own records, and those of patients it cares for."""
    return RecordScope(frozenset({site}), f"station:{site}", writable=False)


def may(principal: Principal, rtype: str, action: str) -> bool:
    """Whether this kind of caller may ever do this to this type of resource.

    ``action`` is SMART's ``c``, ``r``, ``u``, ``d`` or ``s``; a history is read with ``r`` (instance) or ``s``.
    """
    if not _below_ceiling(principal, rtype, action):
        return False
    match principal:
        case ClientPrincipal(scopes=scopes):
            return any(scope.allows(rtype, action) for scope in scopes)
        case StationPrincipal():
            return action in _STATION_ACTIONS
        case UserPrincipal() if rtype == "AuditEvent" and action in "cud":
            return False  # what people do is told by the hub, not by them
        case UserPrincipal(role=Role.DOCTOR | Role.NURSE):
            return action in "crus"
        case UserPrincipal(role=Role.COORDINATOR):
            return action in "rs" or (action in "cu" and rtype in _COORDINATOR_WRITES)
        case _:
            return False


def _below_ceiling(principal: Principal, rtype: str, action: str) -> bool:
    """Whether the scopes of a program that acts for a person include this; the person's own pages have none."""
    scopes = principal.scopes if isinstance(principal, UserPrincipal) else None
    return scopes is None or any(scope.allows(rtype, action) for scope in scopes)


def demand(principal: Principal, rtype: str, action: str) -> None:
    """Refuse what this kind of caller may never do.

    Raises:
        InsufficientScope: the scopes of the client, or of the program that acts for a person, do not include it.
        RoleNotAllowed: the person's role, or a station, does not include it.
    """
    if may(principal, rtype, action):
        return
    by_scope = isinstance(principal, ClientPrincipal) or not _below_ceiling(principal, rtype, action)
    raise InsufficientScope if by_scope else RoleNotAllowed


def predicate(
    scope: RecordScope, *, tenant: SQLColumnExpression[Any], patient: SQLColumnExpression[Any], now: datetime
) -> ColumnElement[bool]:
    """Return the condition that keeps a query within ``scope``.

    ``tenant`` and ``patient`` are the columns of the row at hand: its tenant, and the FHIR id of the Patient
    that it is about (null when it is about none). Put it on every table of the query, joined ones too.
    """
    if scope.patients is not None:
        rest = predicate(replace(scope, patients=None), tenant=tenant, patient=patient, now=now)
        return and_(patient.is_not(None), patient.in_(sorted(scope.patients)), rest)
    if scope.tenants is None:
        return true()
    allowed: list[ColumnElement[bool]] = []
    if scope.tenants:
        allowed.append(tenant.in_(sorted(scope.tenants)))
    if scope.grantee is not None:
        allowed.append(
            exists().where(
                and_(
                    col(CareRelation.grantee) == scope.grantee,
                    col(CareRelation.patient) == patient,
                    col(CareRelation.since) <= now,
                    or_(col(CareRelation.until).is_(None), col(CareRelation.until) > now),
                )
            )
        )
    return or_(false(), *allowed)


def permits(
    scope: RecordScope,
    *,
    tenant: str | None,
    patient: str | None,
    relations: Iterable[Relation],
    now: datetime,
) -> bool:
    """Whether a record is within ``scope``: the same rule as :func:`predicate`, for an answer about to leave."""
    if scope.patients is not None and patient not in scope.patients:
        return False
    if scope.tenants is None:
        return True
    if tenant is not None and tenant in scope.tenants:
        return True
    return (
        scope.grantee is not None
        and patient is not None
        and any(
            relation.grantee == scope.grantee and relation.patient == patient and relation.holds(now)
            for relation in relations
        )
    )


def refuse_watchers(principal: Principal) -> None:
    """Refuse whoever only watches to change anything.

    Raises:
        RoleNotAllowed: an operator sees the province's cases and referrals and changes none.
    """
    if isinstance(principal, UserPrincipal) and principal.role is Role.OPERATOR:
        raise RoleNotAllowed
