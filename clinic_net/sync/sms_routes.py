"""``/sync/v1/sms``: what a gateway received; ``/sync/v1/sms/key``: a device's key for it, told over TLS."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from clinic_net.access.http import CurrentClient, CurrentStation
from clinic_net.access.limits import charge
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork
from clinic_net.protocol.sync.sms import Received, Reply, SmsKey
from clinic_net.sync import sms
from clinic_net.sync.bodies import body as read_body
from clinic_net.sync.bodies import read
from clinic_net.sync.files_errors import NotAnSmsGateway

router = APIRouter()


@router.get("/sms/key")
async def key(request: Request, station: CurrentStation, hub: CurrentHub) -> SmsKey:
    """Tell a device its key for SMS and the number to send to."""
    await charge(request, hub, station)
    return sms.key_for(station, hub.settings)


@router.post("/sms")
async def received(
    body: Annotated[bytes, Depends(read_body)],
    client: CurrentClient,
    session: UnitOfWork,
    hub: CurrentHub,
    now: Now,
) -> Reply:
    """Take an SMS that a gateway received; the answer goes back to where it came from."""
    if not any(scope.allows("Communication", "c") for scope in client.scopes):
        raise NotAnSmsGateway
    said = read(Received, body)
    return Reply(text=await sms.take(session, said.text, settings=hub.settings, by=client.address, now=now))
