"""What is kept of a caller whose request is carried out later, and who that is by then.

Nothing that is kept opens anything: a client's name and what its token allowed, the name of what a person allowed a
program, or the digest of a session.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import scopes, store
from clinic_net.access.errors import CredentialRevoked, NotSignedIn, RoleNotAllowed
from clinic_net.access.oauth.acting import acting
from clinic_net.access.principals import ClientPrincipal, Principal, UserPrincipal
from clinic_net.access.sessions import principal_of


def standing_of(principal: Principal) -> dict[str, str]:
    """Return what to keep of a person or a system client.

    Raises:
        RoleNotAllowed: a station asks for nothing that is done later.
    """
    match principal:
        case ClientPrincipal(client_id=client_id, scopes=granted):
            return {"client": client_id, "scope": scopes.render(granted)}
        case UserPrincipal(grant=UUID() as grant, scopes=granted):
            return {"grant": str(grant), "scope": scopes.render(granted or ())}
        case UserPrincipal(session=session):
            return {"session": session}
        case _:
            raise RoleNotAllowed


async def recalled(session: AsyncSession, standing: Mapping[str, str], *, now: datetime) -> Principal:
    """Return who that is now: with today's role and facility, or with what the client is still registered for.

    Raises:
        CredentialRevoked: the client was disabled, or what a person allowed a program is over.
        NotSignedIn: the person's session is over or their account closed.
    """
    if "client" in standing:
        client = await store.client(session, standing["client"])
        if client is None or client.disabled_at is not None:
            raise CredentialRevoked
        held = scopes.reduce(scopes.parse(standing["scope"]), scopes.parse(client.scope))
        return ClientPrincipal(client.id, held)
    if "grant" in standing:
        return await acting(session, UUID(standing["grant"]), scopes.parse_app(standing["scope"]), now=now)
    key = bytes.fromhex(standing["session"])
    found = await store.user_of_named_session(session, key, now)
    if found is None:
        raise NotSignedIn
    return principal_of(*found)
