"""The trail's public face: checkpoints for whoever watches over it. They tell how many events there are, and a hash."""

from fastapi import APIRouter, Request, Response

from clinic_net.audit import publishing
from clinic_net.audit.errors import NotACheckpoint, UnknownEvent
from clinic_net.audit.notes import LONGEST
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork

router = APIRouter(prefix="/audit/v1")


def _plain(text: str) -> Response:
    return Response(text, media_type="text/plain; charset=utf-8")


@router.get("/checkpoint")
async def checkpoint(session: UnitOfWork) -> Response:
    """Tell the newest checkpoint, in C2SP form, with the cosignatures that it has. Needs no credentials."""
    note = await publishing.newest(await session.connection())
    if note is None:
        raise UnknownEvent
    return _plain(note)


@router.get("/proof/{old}/{new}")
async def proof(old: int, new: int, session: UnitOfWork) -> Response:
    """Tell the proof that the tree of size ``new`` begins with that of size ``old``. Needs no credentials."""
    return _plain(await publishing.proof(await session.connection(), old, new))


@router.post("/checkpoint")
async def cosign(request: Request, session: UnitOfWork, hub: CurrentHub, now: Now) -> Response:
    """Take a checkpoint that a known witness has countersigned: the signature is the credential."""
    body = await request.body()
    if len(body) > LONGEST:
        raise NotACheckpoint("not a checkpoint")
    text = body.decode("utf-8", "replace")
    names = await publishing.take_cosignatures(await session.connection(), text, hub.settings, now=now)
    return _plain("".join(f"{name}\n" for name in names))
