"""``/sync/v1/snapshots``: a prepared copy of a scope: what it consists of, signed, and its segments, by ranges too."""

import re
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from clinic_net.access.http import CurrentStation, issuer_of
from clinic_net.access.limits import charge
from clinic_net.access.oauth.signing import state
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork
from clinic_net.sync import snapshots
from clinic_net.sync.admission import admit
from clinic_net.sync.handing import reader_of

router = APIRouter(prefix="/snapshots")

MANIFEST = "clinicnet-manifest+jws"
"""``typ`` of a signed manifest."""

SegmentNumber = Annotated[int, Path(ge=0, le=100_000)]
_RANGE = re.compile(r"bytes=(\d{1,12})-(\d{0,12})", re.ASCII)


@router.get("/{snapshot}")
async def manifest(
    snapshot: UUID, request: Request, station: CurrentStation, session: UnitOfWork, hub: CurrentHub, now: Now
) -> Response:
    """Hand out a manifest: a compact JWS (ES256) by a key of ``/oauth/jwks``."""
    await charge(request, hub, station)
    await admit(request, hub, station)
    told = await snapshots.manifest(session, snapshot, reader=await reader_of(session, station, now))
    keys = issuer_of(hub.settings).signing_keys
    signed = state(told.model_dump_json().encode(), keys, kind=MANIFEST)
    return Response(signed, media_type="application/jose")


@router.get("/{snapshot}/{n}")
async def segment(
    snapshot: UUID,
    n: SegmentNumber,
    request: Request,
    station: CurrentStation,
    session: UnitOfWork,
    hub: CurrentHub,
    now: Now,
) -> Response:
    """Hand out a segment, or one range of it (RFC 9110 §14)."""
    await charge(request, hub, station)
    await admit(request, hub, station)
    reader = await reader_of(session, station, now)
    data, digest = await snapshots.segment(session, snapshot, n, reader=reader)
    etag = f'"{digest}"'
    fields = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-transform"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=fields)
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if wanted is None or request.headers.get("if-range", etag) != etag:
        return Response(data, media_type="application/octet-stream", headers=fields)
    first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
    if first > last:
        return Response(status_code=416, headers={**fields, "Content-Range": f"bytes */{len(data)}"})
    fields["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return Response(
        data[first : last + 1], status_code=206, media_type="application/octet-stream", headers=fields
    )
