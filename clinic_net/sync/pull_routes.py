"""``/sync/v1/pull``: what is new for a station, as JSON (form 1) or as a stream of frames (form 2); ``…/digest``."""

from fastapi import APIRouter, Request, Response

from clinic_net.access.http import CurrentStation
from clinic_net.access.limits import charge
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork
from clinic_net.protocol.sync import MEDIA_TYPE, Digest, DigestAsk, Pull, PullAsk
from clinic_net.sync import digests, feeding, pulling
from clinic_net.sync.admission import admit
from clinic_net.sync.bodies import read
from clinic_net.sync.encodings import encoded, said
from clinic_net.sync.handing import reader_of

router = APIRouter()


def is_framed(request: Request) -> bool:
    """Whether a station speaks form 2."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == MEDIA_TYPE


def streamed(request: Request, stream: bytes) -> Response:
    """Return an answer of frames."""
    body, fields = encoded(stream, request.headers)
    return Response(body, media_type=MEDIA_TYPE, headers=fields)


@router.post("/pull")
async def pull(
    request: Request, station: CurrentStation, session: UnitOfWork, hub: CurrentHub, now: Now
) -> Response:
    """Hand a station what is new for it."""
    await charge(request, hub, station)
    await admit(request, hub, station)
    body = await said(request)
    if is_framed(request):
        stream = await pulling.pull(session, read(PullAsk, body), station=station, now=now)
        return streamed(request, stream)
    page = await feeding.pull(session, read(Pull, body), station=station, now=now)
    return Response(page.model_dump_json(), media_type="application/json")


@router.post("/digest", response_model=Digest)
async def digest(
    request: Request, station: CurrentStation, session: UnitOfWork, hub: CurrentHub, now: Now
) -> Response | Digest:
    """Hand a station the sums of a scope's bins, or what is in the bins it names."""
    await charge(request, hub, station)
    await admit(request, hub, station)
    ask = read(DigestAsk, await said(request))
    reader = await reader_of(session, station, now)
    if ask.bins:
        return streamed(request, await digests.repair(session, ask, reader=reader))
    return await digests.digest(session, ask, reader=reader)
