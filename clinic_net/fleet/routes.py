"""``/fleet/v1``: a station enrols; an administrator issues codes, looks and revokes, an operator in their province."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel
from starlette.requests import Request

from clinic_net.access import service as access
from clinic_net.access.http import issuer_of, remote_address, require
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.fleet import service
from clinic_net.fleet.service import StationState
from clinic_net.fleet.settings import NATIONAL
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork
from clinic_net.protocol.sync import Enrol, Enrolled

router = APIRouter(prefix="/fleet/v1")

SiteCode = Annotated[str, Path(pattern=r"^[0-9A-Za-z-]{1,20}$")]
PlaceCode = Annotated[str | None, Query(pattern=r"^[0-9A-Za-z]{1,5}$")]
Operator = Annotated[UserPrincipal, Depends(require(Role.OPERATOR, Role.NATIONAL))]


class IssuedCode(BaseModel):
    """A code, told once, and until when it can be used."""

    code: str
    expires: datetime


class Revoked(BaseModel):
    """The device that may no longer speak."""

    device: UUID
    site: str


@router.post("/enrol")
async def enrol(body: Enrol, request: Request, hub: CurrentHub, now: Now) -> Enrolled:
    """Exchange a one-time code for a registered key."""
    return await service.enrol(
        hub.sessions, body, remote=remote_address(request), issuer=issuer_of(hub.settings), now=now
    )


@router.post("/stations/{site}/codes", status_code=201)
async def issue_code(
    site: str, operator: Operator, session: UnitOfWork, hub: CurrentHub, now: Now
) -> IssuedCode:
    """Issue a code that enrols one device of this site."""
    await service.demand_in_reach(session, site, by=operator, now=now)
    code, expires = await access.issue_code(
        session, site, by=operator.address, now=now, key=hub.settings.token_key
    )
    return IssuedCode(code=code, expires=expires)


@router.post("/stations/{site}/revoke")
async def revoke(site: SiteCode, operator: Operator, session: UnitOfWork, now: Now) -> Revoked:
    """Revoke a site's device: its tokens stop at once, its sockets within seconds."""
    await service.demand_in_reach(session, site, by=operator, now=now)
    device = await access.revoke_device(session, site=site, by=operator.address, now=now)
    return Revoked(device=device.id, site=device.site)


@router.get("/stations")
async def stations(
    operator: Operator, session: UnitOfWork, province: PlaceCode = None, facility: PlaceCode = None
) -> list[StationState]:
    """List the stations that were ever in contact, the longest silent first; of an operator's province only."""
    own = await access.province_of(session, operator)
    if own is not None and province not in (None, own):
        return []
    return list(await service.stations(session, province=own or province, facility=facility))


@router.get("/stations/{site}/settings")
async def settings_of(site: SiteCode, operator: Operator, session: UnitOfWork, now: Now) -> dict[str, Any]:
    """Return the settings by which a site's station is to work, with their version."""
    await service.demand_in_reach(session, site, by=operator, now=now)
    await service.demand_known(session, site, now)
    version, whole = await service.desired(session, site, now)
    return {**whole, "version": version}


@router.put("/stations/{site}/settings")
async def configure(
    site: SiteCode, body: dict[str, Any], operator: Operator, session: UnitOfWork, now: Now
) -> dict[str, Any]:
    """Set what one site's station works by, over what its province and the nation say."""
    await service.demand_in_reach(session, site, by=operator, now=now)
    await service.demand_known(session, site, now)
    return await service.configure(session, f"site:{site}", body, by=operator.address, now=now)


@router.put("/settings")
async def configure_many(
    body: dict[str, Any], operator: Operator, session: UnitOfWork, now: Now
) -> dict[str, Any]:
    """Set what all stations of the operator's province work by; a national administrator sets it for the nation."""
    own = await access.province_of(session, operator)
    layer = NATIONAL if own is None else f"province:{own}"
    return await service.configure(session, layer, body, by=operator.address, now=now)
