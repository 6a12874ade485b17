"""``/sync/v1``: push and pull. Bodies are read whole, bounded, and gunzipped by a counted read."""

import zlib
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ValidationError

from clinic_net.access.http import CurrentStation
from clinic_net.access.limits import charge
from clinic_net.kernel.errors import Place
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork
from clinic_net.protocol.sync import MAX_PUSH_BYTES, Lane, Page, Pull, Push, PushAnswer
from clinic_net.sync import service
from clinic_net.sync.errors import MalformedPush, PushTooLarge

router = APIRouter(prefix="/sync/v1")

_M = TypeVar("_M", bound=BaseModel)


async def _body(request: Request) -> bytes:
    raw = await request.body()
    if request.headers.get("content-encoding", "").lower() != "gzip":
        if len(raw) > MAX_PUSH_BYTES:
            raise PushTooLarge
        return raw
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(raw, MAX_PUSH_BYTES + 1)
    except zlib.error:
        raise MalformedPush("the body is not gzip") from None
    if len(plain) > MAX_PUSH_BYTES:
        raise PushTooLarge
    return plain


def _read(model: type[_M], body: bytes) -> _M:
    try:
        return model.model_validate_json(body)
    except ValidationError as invalid:
        places = [
            Place(
                ".".join(str(part) for part in error["loc"]),
                str(error["type"]).replace("_", "-"),
                error["type"],
            )
            for error in invalid.errors(include_input=False, include_context=False, include_url=False)
        ]
        raise MalformedPush("the envelope cannot be read", places=places[:20]) from None


@router.post("/push")
async def push(
    request: Request,
    body: Annotated[bytes, Depends(_body)],
    station: CurrentStation,
    session: UnitOfWork,
    hub: CurrentHub,
    now: Now,
) -> PushAnswer:
    """Store a station's operations; what is answered is committed. The urgent lane has a reserve of its own."""
    pushed = _read(Push, body)
    await charge(request, hub, station, urgent=pushed.lane is Lane.URGENT)
    return await service.push(session, pushed, station=station, now=now)


@router.post("/pull")
async def pull(
    request: Request,
    body: Annotated[bytes, Depends(_body)],
    station: CurrentStation,
    session: UnitOfWork,
    hub: CurrentHub,
    now: Now,
) -> Page:
    """Hand a station what is new for it."""
    await charge(request, hub, station)
    return await service.pull(session, _read(Pull, body), station=station, now=now)
