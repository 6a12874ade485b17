"""Pictures and documents of a visit: adding one, seeing one, fetching one that another computer has."""

from dataclasses import dataclass
from typing import Any

import httpx
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from station_agent import service
from station_agent.errors import FileNotThere, LinkError, UnknownRecord
from station_agent.forms import picture as forms
from station_agent.forms.common import text_of
from station_agent.forms.picture import Picture, Shown
from station_agent.store import Tx, files, records
from station_agent.store.files import File
from station_agent.web.pages.common import agent_of, doing, id_in_form, id_in_path, now
from station_agent.web.render import page

LISTED = 60
"""Documents of a patient that a page looks through, newest first."""


@dataclass(frozen=True)
class Row:
    """A document on a page. ``file`` is None when nothing of its bytes was ever here."""

    shown: Shown
    file: File | None


def rows(tx: Tx, patient_id: str, *, visit_id: str | None = None) -> list[Row]:
    """Gather a patient's documents, newest first; of one visit only if it is given."""
    here = files.of_patient(tx, patient_id)
    found = []
    for held in records.of_patient(tx, patient_id, ("DocumentReference",), limit=LISTED):
        shown = forms.shown(held.resource)
        if shown is not None and (visit_id is None or forms.is_of(held.resource, visit_id)):
            found.append(Row(shown, here.get(held.id)))
    return found


async def listing(request: Request) -> Response:
    """The visit's pictures with how far each is on its way."""
    return await _listing(request, "")


async def _listing(request: Request, problem: str, status: int = 200) -> Response:
    visit_id = id_in_path(request)

    def gather(tx: Tx) -> dict[str, Any]:
        patient = service.patient_of(records.read(tx, "Encounter", visit_id))
        return {"pictures": rows(tx, patient, visit_id=visit_id), "visit_id": visit_id}

    found = await agent_of(request).database.run(gather)
    return page(request, "partials/pictures.html", status=status, picture_problem=problem, **found)


async def add(request: Request) -> Response:
    """Keep what the page sends: the bytes and the document in one transaction."""
    visit_id, at = id_in_path(request), now()
    try:
        async with request.form(max_files=2, max_fields=5, max_part_size=64 * 1024) as form:
            fields = {key: value for key, value in form.items() if isinstance(value, str)}
            content = await _bytes_of(form.get("picture"), forms.MOST_BYTES)
            small = await _bytes_of(form.get("thumbnail"), forms.MOST_THUMBNAIL)
    except HTTPException:
        return await _listing(request, "too-large", status=413)
    if content is None or small is None:
        return await _listing(request, "too-large", status=413)
    kind = forms.type_of(content)
    if kind is None or (small and forms.type_of(small) != "image/jpeg"):
        return await _listing(request, "not-taken", status=422)
    rid = id_in_form(fields)
    added = Picture(content, kind, small, text_of(fields, "words", longest=200))
    await agent_of(request).database.run(
        lambda tx: service.add_picture(tx, visit_id, added, rid=rid, doing=doing(request, at))
    )
    agent_of(request).saved()
    return await _listing(request, "")


async def _bytes_of(part: object, most: int) -> bytes | None:
    """Return a part of a form, empty if it is not there; None if it is too large."""
    if not isinstance(part, UploadFile):
        return b""
    content = await part.read(most + 1)
    return None if len(content) > most else content


async def show(request: Request) -> Response:
    """The bytes of a document; what is not here is fetched from the hub first."""
    agent, document = agent_of(request), id_in_path(request)

    def look(tx: Tx) -> tuple[Shown | None, bytes | None]:
        return forms.shown(records.read(tx, "DocumentReference", document).resource), files.content(
            tx, document
        )

    shown, content = await agent.database.run(look)
    if shown is None:
        raise UnknownRecord("no such picture on this computer")
    if content is None:
        wanted = File(
            document, shown.patient, shown.digest, shown.type, shown.size, "fetched", None, 0, None, False
        )
        try:
            await agent.fetch_file(wanted)
        except (FileNotThere, LinkError, httpx.HTTPError):
            return page(request, "picture_missing.html", status=503, shown=shown)
        content = await agent.database.run(lambda tx: files.content(tx, document)) or b""
    kind = forms.type_of(content)
    if kind is None:  # it came from elsewhere, and is none of what a page may show
        return PlainTextResponse("unknown kind of file", 415)
    headers = {"Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "private, no-store"}
    if kind == "application/pdf":
        headers["Content-Disposition"] = f'attachment; filename="{document}.pdf"'
        headers["Content-Security-Policy"] = "default-src 'none'"
    return Response(content, media_type=kind, headers=headers)


routes: list[BaseRoute] = [
    Route("/visits/{id}/pictures", listing),
    Route("/visits/{id}/pictures", add, methods=["POST"]),
    Route("/pictures/{id}", show),
]
