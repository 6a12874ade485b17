"""The second line: a request's transaction tells the database whose it is, and row-level security keeps it to that.

The rule itself (``reach``) is finer; this line knows places, names and one's own record, and holds even where a query
forgot the rule (ADR 20). What is set ends with the transaction.
"""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.principals import Principal, UserPrincipal
from clinic_net.access.reach import RecordScope
from clinic_net.kernel.hub import Hub

GUARDED = (
    "records_resource", "records_version", "consultation", "consultation_event", "referral_case", "referral_event",
    "privacy_request", "privacy_hold", "access_emergency",
)  # fmt: skip
"""Tables that tell of patients. The index tables beside the records hold hashes of numbers; relations of care, refusals
and restrictions are what the rule and the policies themselves read."""

_NARROW = (
    "select set_config('app.scope', %(scope)s, true), set_config('app.tenants', %(tenants)s, true),"
    " set_config('app.names', %(names)s, true), set_config('app.own', %(own)s, true),"
    " set_config('app.at', %(at)s, true), set_config('app.user', %(user)s, true),"
    " set_config('app.facility', %(facility)s, true), set_config('app.role', %(role)s, true)"
)
_ROLE = text(
    "select current_user, rolsuper or rolbypassrls,"
    " exists (select from pg_class where relowner = r.oid and relkind in ('r', 'p'))"
    " from pg_roles r where rolname = current_user"
)
_TABLES = text(
    "select relname from pg_class where relname = any(:names) and relrowsecurity and relforcerowsecurity"
)


class UnsafeDatabase(Exception):
    """The database would not keep requests to what is theirs; the message says what to change."""


async def narrow(
    session: AsyncSession, scope: RecordScope, *, now: datetime, caller: Principal | None = None
) -> None:
    """Keep the rest of this transaction to what a caller can reach at most.

    A person's cases and referrals are found by who they are and where they work, not by the records' scope.
    """
    person = caller if isinstance(caller, UserPrincipal) else None
    values = {
        "scope": "*" if scope.tenants is None else "narrow",
        "tenants": ",".join(sorted(scope.tenants or ())),
        "names": ",".join(sorted(scope.known_as)),
        "own": scope.own or "",
        "at": now.isoformat(),
        "user": "" if person is None else str(person.id),
        "facility": "" if person is None else person.facility,
        "role": "" if person is None else person.role.value,
    }
    await (await session.connection()).exec_driver_sql(_NARROW, values)


async def demand_second_line(hub: Hub) -> None:
    """Refuse to serve from a database that row-level security does not guard.

    Raises:
        UnsafeDatabase: requests would work as a role that row-level security does not bind, or a table is unguarded.
    """
    async with hub.requests() as session:
        connection = await session.connection()
        role, unbound, owns = (await connection.execute(_ROLE)).one()
        guarded = await _guarded(connection)
    if unbound:
        raise UnsafeDatabase(
            f"the role {role} passes by row-level security: alter role {role} nosuperuser nobypassrls"
        )
    if owns:
        raise UnsafeDatabase(f"the role {role} owns tables; requests need a role that owns nothing")
    if missing := sorted(set(GUARDED) - guarded):
        raise UnsafeDatabase(
            f"row-level security is not forced on {', '.join(missing)}: run clinic-net migrate"
        )


async def _guarded(connection: AsyncConnection) -> set[str]:
    return set((await connection.execute(_TABLES, {"names": list(GUARDED)})).scalars())
