"""``/sync/v1/files``: attachments by tus 1.0, on tuspyserver's router with a storage and an entrance of our own.

The library stores a chunk before it asks ``auth``; takes what storing raised for success; offers concatenation and
lengths that are told later; and lets a request choose its method by a header. So the entrance (:func:`_admit`) stands
before all of its routes, ``auth`` is where what storing found is told, and what is not offered is refused at the
entrance (ADR 28).
"""

import logging
from base64 import b64decode
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from tuspyserver import create_tus_router

from clinic_net.access.errors import RoleNotAllowed
from clinic_net.access.http import CurrentStation, principal_of
from clinic_net.access.limits import charge
from clinic_net.access.principals import StationPrincipal
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork
from clinic_net.protocol.sync.files import DIGEST, MAX_CHUNK_BYTES, MAX_FILE_BYTES, FileAnswer, FileAsk
from clinic_net.sync import files
from clinic_net.sync.bodies import body as read_body
from clinic_net.sync.bodies import read
from clinic_net.sync.files_errors import FileTooLarge, MalformedUpload, UnknownFile
from clinic_net.sync.files_parts import CHECKSUMS, DOING, Doing, Parts

logging.getLogger("tuspyserver").setLevel(logging.CRITICAL)  # it would log what an upload's metadata says

VERSION = "1.0.0"
EXTENSIONS = "creation,expiration,checksum,termination"

_NOT_OFFERED = ("x-http-method-override", "upload-concat", "upload-defer-length")

router = APIRouter()


async def _admit(request: Request, hub: CurrentHub, now: Now) -> None:
    """Let a station in to its own uploads, before anything of a body is read.

    Who it is is asked in a transaction that ends here: a chunk comes as slowly as its link, and must not hold a
    connection to the database meanwhile.
    """
    async with hub.requests() as session, session.begin():
        caller = await principal_of(request, session, hub.settings, now=now)
        if not isinstance(caller, StationPrincipal):
            raise RoleNotAllowed
        if (upload := request.path_params.get("uuid")) is not None:
            request.state.upload = await files.own(session, upload, station=caller, now=now)
    await charge(request, hub, caller)
    _demand_offered(request)
    directory = files.directory_of(hub.settings)
    request.state.station = caller
    DOING.set(Doing(directory, _checksum(request.headers.get("upload-checksum"))))


def _demand_offered(request: Request) -> None:
    for name in _NOT_OFFERED:
        if name in request.headers:
            raise MalformedUpload("this extension is not offered")
    length = request.headers.get("content-length", "")
    if request.method == "POST" and length not in ("", "0"):
        raise MalformedUpload("bytes follow by PATCH")
    if length.isdecimal() and int(length) > MAX_CHUNK_BYTES:
        raise FileTooLarge("a chunk may have 1 MiB")


def _checksum(header: str | None) -> tuple[str, bytes] | None:
    """Read ``Upload-Checksum`` (tus 1.0, checksum): an algorithm and a digest in base64."""
    if header is None:
        return None
    name, _, encoded = header.partition(" ")
    try:
        digest = b64decode(encoded, validate=True)
    except ValueError:
        digest = b""
    if name not in CHECKSUMS or len(digest) != CHECKSUMS[name](b"").digest_size:
        raise MalformedUpload("the checksum cannot be read, or its algorithm is not known")
    return name, digest


async def _told() -> None:
    """Say what storing a chunk found; the library asks its ``auth`` after it."""
    if (failure := DOING.get().failure) is not None:
        raise failure


Hook = Callable[[dict[str, str], dict[str, Any]], Awaitable[None]]


async def _beginning(request: Request, hub: CurrentHub, now: Now) -> Hook:
    async def begin(metadata: dict[str, str], said: dict[str, Any]) -> None:
        wanted = files.read_wanted(metadata, said["size"])
        async with hub.requests() as session, session.begin():
            upload = await files.begin(session, wanted, station=request.state.station, now=now)
        DOING.get().uid = upload.id.hex

    return begin


async def _place() -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda metadata: {"uid": DOING.get().uid}


async def _finishing(
    request: Request, hub: CurrentHub, now: Now
) -> Callable[[str, dict[str, str]], Awaitable[None]]:
    async def finish(path: str, metadata: dict[str, str]) -> None:
        await files.finish(hub, request.state.upload, station=request.state.station, now=now)

    return finish


@router.options("/files", include_in_schema=False)
@router.options("/files/", include_in_schema=False)
async def offered() -> Response:
    """Tell what of tus is here. Needs no credentials (tus 1.0, OPTIONS)."""
    return Response(
        status_code=204,
        headers={
            "Tus-Resumable": VERSION,
            "Tus-Version": VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(MAX_FILE_BYTES),
            "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
        },
    )


@router.delete("/files/{uuid}", status_code=204, dependencies=[Depends(_admit)], include_in_schema=False)
async def end(request: Request, hub: CurrentHub) -> Response:
    """Give an upload up (tus 1.0, termination)."""
    await files.give_up(hub, request.state.upload)
    return Response(status_code=204, headers={"Tus-Resumable": VERSION})


_HOOKS: dict[str, Any] = {
    "auth": _told,
    "pre_create_dep": _beginning,
    "file_dep": _place,
    "upload_complete_dep": _finishing,
}
"""The library awaits what its types say is not awaitable."""

router.include_router(
    create_tus_router(
        prefix="files",
        max_size=MAX_FILE_BYTES,
        days_to_keep=files.KEPT_FOR.days,
        storage=Parts(),
        **_HOOKS,
    ),
    dependencies=[Depends(_admit)],
    include_in_schema=False,
)


@router.post("/stored")
async def stored(
    request: Request,
    body: Annotated[bytes, Depends(read_body)],
    station: CurrentStation,
    session: UnitOfWork,
    hub: CurrentHub,
    now: Now,
) -> FileAnswer:
    """Say whether a station's bytes are here already, and note the document that points to them."""
    ask = read(FileAsk, body)
    await charge(request, hub, station)
    return FileAnswer(stored=await files.known(session, ask, station=station, now=now))


@router.get("/stored/{digest}")
async def fetch(
    digest: str, request: Request, station: CurrentStation, session: UnitOfWork, hub: CurrentHub, now: Now
) -> Response:
    """Hand a station the bytes that a document of its patients points to."""
    await charge(request, hub, station)
    if not DIGEST.fullmatch(digest):
        raise UnknownFile
    found = await files.read(session, digest, scope=files.scope_of(station), by=station.address, now=now)
    return Response(found.content, media_type=found.content_type, headers=as_attachment(digest))


def as_attachment(digest: str) -> dict[str, str]:
    """Return the headers with which bytes leave: a browser saves them or shows them in a page's own frame of a
    picture, and never takes them for a page."""
    return {
        "Content-Disposition": f'attachment; filename="{digest[:12]}"',
        "X-Content-Type-Options": "nosniff",
    }
