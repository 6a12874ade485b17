"""``/sync/v1/push``, of both forms.

A push waits for what becomes of it without a connection of its own: each step takes one and lets it go.
"""

import base64
import binascii

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import Counter
from pydantic import BaseModel
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import StationPrincipal
from clinic_net.access import service as access
from clinic_net.access.errors import RoleNotAllowed
from clinic_net.access.http import principal_of
from clinic_net.access.limits import charge
from clinic_net.kernel.gate import lightly
from clinic_net.kernel.http import CurrentHub
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import MEDIA_TYPE, SIGNATURE_HEADER, Behind, Fork, Lane, PushAnswer, PushReply
from clinic_net.sync import pushing
from clinic_net.sync.admission import admit
from clinic_net.sync.batches import read_batch
from clinic_net.sync.bodies import coding_of
from clinic_net.sync.errors import BatchNotSigned, BatchSignatureWrong, NotYourStation
from clinic_net.sync.pushing import Pushed
from clinic_net.sync.taking import Forked, Missing

log = structlog.get_logger()

router = APIRouter()

_WRONG = Counter("clinic_net_sync_signatures_wrong_total", "Batches whose signature was not their device's")

_SIGNATURE_LONGEST = 200


@router.post("/push", response_model=None)
async def push(request: Request, hub: CurrentHub) -> Response:
    """Keep a station's operations; what is answered is committed. The urgent lane has a reserve of its own."""
    raw, coding = await request.body(), coding_of(request)
    form = 2 if request.headers.get("content-type", "").split(";")[0].strip().lower() == MEDIA_TYPE else 1
    with lightly():
        async with hub.requests() as session, session.begin():
            station = await _station(request, session, hub)
            content = read_batch(raw, coding, form)
            await charge(request, hub, station, urgent=content.lane is Lane.URGENT)
            await admit(request, hub, station, urgent=content.lane is Lane.URGENT)
            if content.station != station.site:
                raise NotYourStation
            signature = _signature(request) if form == 2 else None
            valid = signature is None or await access.signed_by(
                session, station.device, content.signed, signature, now=hub.now()
            )
        if not valid:
            _WRONG.inc()
            log.error("batch_signature_wrong", station=station.site, device=str(station.device))
            raise BatchSignatureWrong
    return _said(
        await pushing.push(hub, Pushed(content, raw, coding, signature), station=station), content.lane
    )


async def _station(request: Request, session: AsyncSession, hub: Hub) -> StationPrincipal:
    caller = await principal_of(request, session, hub.settings, now=hub.now())
    if not isinstance(caller, StationPrincipal):
        await charge(request, hub, caller)
        raise RoleNotAllowed
    return caller


def _signature(request: Request) -> bytes:
    """Return the signature that came with a batch.

    Raises:
        BatchNotSigned: there is none, or it is not base64url.
    """
    said = request.headers.get(SIGNATURE_HEADER, "")
    if not said or len(said) > _SIGNATURE_LONGEST:
        raise BatchNotSigned
    try:
        return base64.b64decode(said + "=" * (-len(said) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BatchNotSigned from None


def _said(told: PushReply | PushAnswer | Missing | Forked, lane: Lane) -> Response:
    """Return what a push led to, in HTTP."""
    match told:
        case Missing(expected=expected):
            return _json(Behind(lane=lane, expected=expected), 409)
        case Forked(epoch=epoch):
            return _json(Fork(epoch=epoch), 409)
        case answer:
            return _json(answer, 200)


def _json(message: BaseModel, status: int) -> Response:
    return Response(message.model_dump_json(), status, media_type="application/json")
