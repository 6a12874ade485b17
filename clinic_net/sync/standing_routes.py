"""``/sync/v1/standing`` and ``/receipts``: what a device may ask and hand in with its key alone; what is still owed."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from clinic_net.access import service as access
from clinic_net.access.http import issuer_of, require
from clinic_net.access.oauth.signing import state
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.directory import service as directory
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork
from clinic_net.protocol.sync.standing import STANDING, Receipts, StandingAsk, Taken
from clinic_net.sync import erasures
from clinic_net.sync.bodies import read
from clinic_net.sync.encodings import said

router = APIRouter()

Operator = Annotated[UserPrincipal, Depends(require(Role.OPERATOR, Role.NATIONAL))]


@router.post("/sync/v1/standing")
async def standing(request: Request, session: UnitOfWork, hub: CurrentHub, now: Now) -> Response:
    """Tell a device how it stands, signed by a key of ``/oauth/jwks``."""
    told = await erasures.standing(session, read(StandingAsk, await said(request)), now=now)
    keys = issuer_of(hub.settings).signing_keys
    return Response(
        state(told.model_dump_json().encode(), keys, kind=STANDING), media_type="application/jose"
    )


@router.post("/sync/v1/receipts")
async def receipts(request: Request, session: UnitOfWork, now: Now) -> Taken:
    """Take the receipts that a device has signed, be it active or revoked."""
    given = read(Receipts, await said(request))
    return Taken(taken=await erasures.take(session, given.receipts, device=given.device, now=now))


@router.get("/fleet/v1/erasures")
async def owed(operator: Operator, session: UnitOfWork) -> list[erasures.Owed]:
    """List the devices of the operator's province that owe a receipt, the longest first."""
    own = await access.province_of(session, operator)
    sites = None if own is None else await directory.places(session, own)
    return list(await erasures.owed(session, sites=sites))
