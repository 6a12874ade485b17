"""Who may read the audit trail: auditors that of their province, citizens their own, systems that were told to."""

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import store
from clinic_net.access.errors import InsufficientScope, RoleNotAllowed
from clinic_net.access.principals import ClientPrincipal, Principal, Role, UserPrincipal
from clinic_net.audit.reading import AuditScope
from clinic_net.directory import service as directory

TYPE = "AuditEvent"


def reads_trail(principal: Principal) -> bool:
    """Whether AuditEvents mean the hub's own trail to this caller.

    A system must have been given ``system/AuditEvent`` by name: who may read every record need not watch everybody.
    To all others AuditEvents are what other systems have stored here, records like any.
    """
    match principal:
        case UserPrincipal(role=role):
            return role is Role.AUDITOR or getattr(principal, "patient", None) is not None
        case ClientPrincipal(scopes=scopes):
            return any(scope.type == TYPE for scope in scopes)
        case _:
            return False


async def address_of_login(session: AsyncSession, login: str) -> str | None:
    """Return the address by which the trail names whoever signs in as ``login``, or None."""
    found = await store.user_of_login(session, login.lower())
    return None if found is None else f"user:{found.id}"


async def audit_scope_of(session: AsyncSession, principal: Principal, action: str) -> AuditScope:
    """Return which events a caller may read. ``action`` is SMART's ``r`` or ``s``.

    Raises:
        RoleNotAllowed, InsufficientScope: none.
    """
    match principal:
        case UserPrincipal(role=Role.AUDITOR, facility=facility):
            province = (await directory.facility(session, facility)).province_code
            return AuditScope(await directory.places(session, province))
        case UserPrincipal():
            own = getattr(principal, "patient", None)
            if own is None:
                raise RoleNotAllowed
            return AuditScope(None, str(own))
        case ClientPrincipal(scopes=scopes):
            if not any(scope.type == TYPE and scope.allows(TYPE, action) for scope in scopes):
                raise InsufficientScope
            return AuditScope(None)
        case _:
            raise RoleNotAllowed
