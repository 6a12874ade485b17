"""``/sync/v1/push``."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from clinic_net.access.http import CurrentStation
from clinic_net.access.limits import charge
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork
from clinic_net.protocol.sync import Lane, Push, PushAnswer
from clinic_net.sync import pushing
from clinic_net.sync.admission import admit
from clinic_net.sync.bodies import body as read_body
from clinic_net.sync.bodies import read

router = APIRouter()


@router.post("/push")
async def push(
    request: Request,
    body: Annotated[bytes, Depends(read_body)],
    station: CurrentStation,
    session: UnitOfWork,
    hub: CurrentHub,
    now: Now,
) -> PushAnswer:
    """Store a station's operations; what is answered is committed. The urgent lane has a reserve of its own."""
    pushed = read(Push, body)
    await charge(request, hub, station, urgent=pushed.lane is Lane.URGENT)
    await admit(request, hub, station, urgent=pushed.lane is Lane.URGENT)
    return await pushing.push(session, pushed, station=station, now=now)
