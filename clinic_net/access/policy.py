"""Who may do what: ``decide`` puts it together.

Interaction (role or SMART scope), reach (tenant, care relation, one's own record), labels, and what the citizen has
refused. A scope is minted only here; an empty one means nothing, never everything. It is compiled into every query
(``predicate``) and evaluated again on every answer (``permits``): see ``reach``.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from clinic_net.access.errors import InsufficientScope, RoleNotAllowed
from clinic_net.access.labels import EVERY, PROTECTED, VERY_RESTRICTED
from clinic_net.access.principals import (
    ClientPrincipal,
    Principal,
    Role,
    StationPrincipal,
    UserPrincipal,
    purpose_of,
)
from clinic_net.access.reach import Columns, Record, RecordScope, Refused, Relation, permits, predicate
from clinic_net.kernel.errors import Forbidden

__all__ = [
    "EVERYWHERE",
    "MINIMUM",
    "NOTHING",
    "Allow",
    "Columns",
    "Decision",
    "Deny",
    "Record",
    "RecordScope",
    "Refused",
    "Relation",
    "decide",
    "demand",
    "hub_scope",
    "may",
    "permits",
    "predicate",
    "refuse_watchers",
    "scope_of",
    "shared_scope",
    "station_scope",
]

MINIMUM = frozenset({"Patient", "ServiceRequest", "Task", "Appointment", "Communication", "Encounter"})
"""The minimum data set of who arranges care and does not give it: who it is, and what is asked for."""


NOTHING = RecordScope(tenants=frozenset(), grantee=None, writable=False)


EVERYWHERE = RecordScope(tenants=None, grantee=None, writable=False)
"""Reads of callers each of whom reaches every tenant, asked for together."""

_COORDINATOR_WRITES = frozenset({"Task", "ServiceRequest", "Communication", "Appointment"})
_STATION_ACTIONS = "cru"
"""A device pushes and pulls; it never searches or deletes."""


TOLD_BY_THE_HUB = frozenset({"AuditEvent"})
"""What people do is told by the hub, not by them. A ceiling of "all types" does not mean these to be written."""


@dataclass(frozen=True)
class Deny:
    """No caller of this kind may ever do this."""

    refusal: type[Forbidden]


@dataclass(frozen=True)
class Allow:
    """It may be done, within a reach. ``obligations``: ``audit`` (who looks is written down, with ``purpose``)."""

    scope: RecordScope
    purpose: str
    obligations: frozenset[str] = frozenset({"audit"})


Decision = Deny | Allow


def decide(principal: Principal, action: str, rtype: str, *, purpose: str | None = None) -> Decision:
    """Return whether this caller may do this to this type of resource, and within which reach.

    ``action`` is SMART's ``c``, ``r``, ``u``, ``d`` or ``s``; ``purpose`` a code of HL7 v3 PurposeOfUse, the
    principal's own where it is not given. The reach is then compiled into the query (:func:`predicate`) and evaluated
    on the answer (:func:`permits`), each with the time at hand.
    """
    if not may(principal, rtype, action):
        by_scope = isinstance(principal, ClientPrincipal) or not _below_ceiling(principal, rtype, action)
        return Deny(InsufficientScope if by_scope else RoleNotAllowed)
    scope = scope_of(principal)
    if action in "cud":
        scope = scope.to_write()
    return Allow(scope, purpose or purpose_of(principal) or "TREAT")


def scope_of(principal: Principal) -> RecordScope:
    """Return what this caller's queries may reach."""
    if not isinstance(principal, UserPrincipal):
        return _reach(principal)
    return _narrowed(replace(_reach(principal), purpose=purpose_of(principal)), principal)


def _narrowed(scope: RecordScope, principal: UserPrincipal) -> RecordScope:
    """Keep a program that acts for a person to the patient that it was launched for, or may only see (SMART)."""
    if principal.scopes is None:
        return scope
    of_one = principal.launch_patient is not None or any(s.level == "patient" for s in principal.scopes)
    if not of_one:
        return scope
    chosen = principal.launch_patient
    return replace(scope, patients=frozenset() if chosen is None else frozenset({chosen}))


def _reach(principal: Principal) -> RecordScope:
    match principal:
        case UserPrincipal(role=Role.DOCTOR, facility=facility):
            return _staff(principal, facility, withheld=VERY_RESTRICTED)
        case UserPrincipal(role=Role.NURSE, facility=facility):
            return _staff(principal, facility, withheld=PROTECTED)
        case UserPrincipal(role=Role.COORDINATOR, facility=facility):
            return replace(_staff(principal, facility, withheld=EVERY), never=EVERY, types=MINIMUM)
        case UserPrincipal(role=Role.CITIZEN, patient=patient):
            return RecordScope(frozenset(), principal.address, writable=False, own=patient)
        case StationPrincipal(site=site):
            return replace(station_scope(site), writable=True)
        case ClientPrincipal(scopes=scopes) if scopes:
            writes = any(action in scope.actions for scope in scopes for action in "cud")
            return RecordScope(None, None, writable=writes)
        case _:
            return NOTHING


def _staff(person: UserPrincipal, facility: str, *, withheld: int) -> RecordScope:
    names = frozenset({person.address, f"facility:{facility}"})
    return RecordScope(frozenset({facility}), person.address, writable=True, withheld=withheld, names=names)


def hub_scope() -> RecordScope:
    """Return the reach of the hub's own background work, which acts for no caller. Never use it in a request."""
    return RecordScope(None, None, writable=True)


def station_scope(site: str) -> RecordScope:
    """Return what a site's feed may hold: its own records, and those of patients it cares for."""
    address = f"station:{site}"
    return RecordScope(frozenset({site}), address, writable=False, names=frozenset({address}))


def shared_scope(tenants: Collection[str]) -> RecordScope:
    """Return the reach of whoever may have what these places share: only what is part of no patient's record."""
    return RecordScope(frozenset(tenants), None, writable=False, types=frozenset())


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
        case UserPrincipal() if rtype in TOLD_BY_THE_HUB and action in "cud":
            return False
        case UserPrincipal(role=Role.DOCTOR | Role.NURSE):
            return action in "crus"
        case UserPrincipal(role=Role.COORDINATOR):
            return action in "rs" or (action in "cu" and rtype in _COORDINATOR_WRITES)
        case UserPrincipal(role=Role.CITIZEN, patient=str()):
            return action in "rs"
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
    decision = decide(principal, action, rtype)
    if isinstance(decision, Deny):
        raise decision.refusal


def refuse_watchers(principal: Principal) -> None:
    """Refuse whoever only watches to change anything.

    Raises:
        RoleNotAllowed: an operator sees the province's cases and referrals and changes none.
    """
    if isinstance(principal, UserPrincipal) and principal.role is Role.OPERATOR:
        raise RoleNotAllowed
