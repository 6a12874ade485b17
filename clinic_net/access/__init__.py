"""Who may do what: people and their sessions, stations' devices, system clients, scopes, tenants, care relations.

The effective right is scope or role, and tenant or care relation. It is a value (:class:`RecordScope`) that every
query of records demands, minted only here and compiled into SQL (:func:`policy.predicate`). Passwords, codes and
tokens are stored as digests; whoever tries to guess one is slowed down in PostgreSQL. Somebody whose credential
ends is announced as ``credential.revoked``, and :func:`service.still_valid` finds them even when that is lost.
"""

from clinic_net.access.policy import RecordScope, demand, hub_scope, may, scope_of, station_scope
from clinic_net.access.principals import ClientPrincipal, Principal, Role, StationPrincipal, UserPrincipal

__all__ = [
    "ClientPrincipal",
    "Principal",
    "RecordScope",
    "Role",
    "StationPrincipal",
    "UserPrincipal",
    "demand",
    "hub_scope",
    "may",
    "scope_of",
    "station_scope",
]
