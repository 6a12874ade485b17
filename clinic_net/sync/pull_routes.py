"""``/sync/v1/pull``."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from clinic_net.access.http import CurrentStation
from clinic_net.access.limits import charge
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork
from clinic_net.protocol.sync import Page, Pull
from clinic_net.sync import feeding
from clinic_net.sync.bodies import body as read_body
from clinic_net.sync.bodies import read

router = APIRouter()


@router.post("/pull")
async def pull(
    request: Request,
    body: Annotated[bytes, Depends(read_body)],
    station: CurrentStation,
    session: UnitOfWork,
    hub: CurrentHub,
    now: Now,
) -> Page:
    """Hand a station what is new for it."""
    await charge(request, hub, station)
    return await feeding.pull(session, read(Pull, body), station=station, now=now)
