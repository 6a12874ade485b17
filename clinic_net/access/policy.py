"""What a caller may see: one rule, compiled to SQL for every query and evaluated in Python on every answer.

The effective right is interaction (role or SMART scope) and reach (tenant or care relation). A scope is
minted only here; an empty one means nothing, never everything.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, and_, exists, false, or_, true
from sqlmodel import col

from clinic_net.access.errors import InsufficientScope, RoleNotAllowed
from clinic_net.access.model import CareRelation, Restriction
from clinic_net.access.principals import ClientPrincipal, Principal, Role, StationPrincipal, UserPrincipal


@dataclass(frozen=True)
class RecordScope:
    """Whose records a query may reach.

    ``tenants`` None means every tenant (the hub's own work and system clients). ``grantee`` is the address
    whose care relations add patients. ``writable`` says whether anything may be written.
    """

    tenants: frozenset[str] | None
    grantee: str | None
    writable: bool


@dataclass(frozen=True)
class Relation:
    """A care relation as a value; ``until`` is exclusive, None means no end."""

    grantee: str
    patient: str
    since: datetime
    until: datetime | None = None
    basis: str = ""

    def holds(self, now: datetime) -> bool:
        return self.since <= now and (self.until is None or now < self.until)


NOTHING = RecordScope(tenants=frozenset(), grantee=None, writable=False)

EMERGENCY = "emergency"
"""How the basis of a relation begins that also holds for a record whose processing is restricted."""

EVERYWHERE = RecordScope(tenants=None, grantee=None, writable=False)
"""Reads of callers each of whom reaches every tenant, asked for together."""

_CLINICAL_ROLES = frozenset({Role.DOCTOR, Role.NURSE, Role.COORDINATOR})
_COORDINATOR_WRITES = frozenset({"Task", "ServiceRequest", "Communication", "Appointment"})
_STATION_ACTIONS = "cru"
"""A device pushes and pulls; it never searches or deletes."""


def scope_of(principal: Principal) -> RecordScope:
    """Return what this caller's queries may reach."""
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
    match principal:
        case ClientPrincipal(scopes=scopes):
            return any(scope.allows(rtype, action) for scope in scopes)
        case StationPrincipal():
            return action in _STATION_ACTIONS
        case UserPrincipal(role=Role.DOCTOR | Role.NURSE):
            return action in "crus"
        case UserPrincipal(role=Role.COORDINATOR):
            return action in "rs" or (action in "cu" and rtype in _COORDINATOR_WRITES)
        case _:
            return False


def demand(principal: Principal, rtype: str, action: str) -> None:
    """Refuse what this kind of caller may never do.

    Raises:
        InsufficientScope: the client's scopes do not include it.
        RoleNotAllowed: the person's role, or a station, does not include it.
    """
    if may(principal, rtype, action):
        return
    raise InsufficientScope if isinstance(principal, ClientPrincipal) else RoleNotAllowed


def predicate(
    scope: RecordScope, *, tenant: SQLColumnExpression[Any], patient: SQLColumnExpression[Any], now: datetime
) -> ColumnElement[bool]:
    """Return the condition that keeps a query within ``scope``.

    ``tenant`` and ``patient`` are the columns of the row at hand: its tenant, and the FHIR id of the Patient
    that it is about (null when it is about none). Put it on every table of the query, joined ones too.
    """
    if scope.tenants is None:
        return true()
    allowed: list[ColumnElement[bool]] = []
    if scope.tenants:
        allowed.append(tenant.in_(sorted(scope.tenants)))
    emergency: ColumnElement[bool] = false()
    if scope.grantee is not None:
        cares = (
            col(CareRelation.grantee) == scope.grantee,
            col(CareRelation.patient) == patient,
            col(CareRelation.since) <= now,
            or_(col(CareRelation.until).is_(None), col(CareRelation.until) > now),
        )
        allowed.append(exists().where(and_(*cares)))
        emergency = exists().where(and_(*cares, col(CareRelation.basis).startswith(EMERGENCY)))
    restricted = exists().where(col(Restriction.patient) == patient)
    return and_(or_(false(), *allowed), or_(~restricted, emergency))


def permits(
    scope: RecordScope,
    *,
    tenant: str | None,
    patient: str | None,
    relations: Iterable[Relation],
    now: datetime,
    restricted: bool = False,
) -> bool:
    """Whether a record is within ``scope``: the same rule as :func:`predicate`, for an answer about to leave."""
    if scope.tenants is None:
        return True
    if not restricted and tenant is not None and tenant in scope.tenants:
        return True
    return (
        scope.grantee is not None
        and patient is not None
        and any(
            relation.grantee == scope.grantee and relation.patient == patient and relation.holds(now)
            for relation in relations
            if not restricted or relation.basis.startswith(EMERGENCY)
        )
    )


def refuse_watchers(principal: Principal) -> None:
    """Refuse whoever only watches to change anything.

    Raises:
        RoleNotAllowed: an operator sees the province's cases and referrals and changes none.
    """
    if isinstance(principal, UserPrincipal) and principal.role is Role.OPERATOR:
        raise RoleNotAllowed
