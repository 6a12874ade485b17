"""``/fleet/v1/moves``: an operator has patients go from one station to another, and sees how far that has come."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from clinic_net.access import service as access
from clinic_net.access.http import require
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.directory import service as directory
from clinic_net.fleet import service as fleet
from clinic_net.kernel.http import HubsWork, Now, UnitOfWork
from clinic_net.sync import moving
from clinic_net.sync.errors import NoSuchMove
from clinic_net.sync.moving import Progress

router = APIRouter(prefix="/fleet/v1/moves")

Operator = Annotated[UserPrincipal, Depends(require(Role.OPERATOR, Role.NATIONAL))]
Site = Annotated[str, Field(pattern=r"^[0-9A-Za-z]{1,12}-[0-9A-Za-z]{1,7}$")]
PatientId = Annotated[str, Field(pattern=r"^[A-Za-z0-9\-.]{1,64}$")]


class Ordered(BaseModel):
    """What is to move; without ``patients`` all that the site holds."""

    origin: Site
    target: Site
    patients: Annotated[tuple[PatientId, ...], Field(min_length=1, max_length=1000)] | None = None


@router.post("", status_code=202)
async def order(
    body: Ordered, operator: Operator, caller: UnitOfWork, session: HubsWork, now: Now
) -> Progress:
    """Have patients go to another site; both are in the operator's reach."""
    for site in (body.origin, body.target):
        await fleet.demand_in_reach(caller, site, by=operator, now=now)
    return await moving.order(
        session, body.origin, body.target, patients=body.patients, by=operator.address, now=now
    )


@router.get("")
async def moves(operator: Operator, session: UnitOfWork) -> list[Progress]:
    """List the newest moves of the operator's province."""
    return list(await moving.newest(session, sites=await _reach(session, operator)))


@router.get("/{move}")
async def progress(move: UUID, operator: Operator, session: UnitOfWork) -> Progress:
    """Say how far a move has come."""
    found, reach = await moving.progress(session, move), await _reach(session, operator)
    if reach is not None and not {found.origin, found.target} & reach:
        raise NoSuchMove
    return found


async def _reach(session: UnitOfWork, operator: UserPrincipal) -> frozenset[str] | None:
    own = await access.province_of(session, operator)
    return None if own is None else await directory.places(session, own)
