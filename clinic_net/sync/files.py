"""Use cases of attachments: beginning and finishing an upload, reading what is here, forgetting it."""

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import access, audit
from clinic_net.access import StationPrincipal
from clinic_net.access.policy import RecordScope
from clinic_net.kernel import uploads
from clinic_net.kernel.errors import NotFound, Place
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.ids import new_id
from clinic_net.kernel.settings import HubSettings
from clinic_net.protocol.sync.files import DIGEST, MAX_FILE_BYTES, FileAsk, binary_url
from clinic_net.records import service as records
from clinic_net.records.errors import ResourceDeleted
from clinic_net.sync import files_store as store
from clinic_net.sync.files_errors import (
    DigestWrong,
    FileTooLarge,
    MalformedUpload,
    TooManyUploads,
    UnknownFile,
    UnknownUpload,
    UploadExpired,
    UploadsOff,
)
from clinic_net.sync.files_model import FileUse, StoredFile, Upload
from clinic_net.sync.files_parts import discard, part

KEPT_FOR = timedelta(days=7)
"""How long an upload may lie still: a station that is cut off for three days goes on where it was (72 h offline)."""

MOST_UNFINISHED = 20
"""Uploads a station may have on the way: it sends one at a time, and a few are left over by power cuts."""

_AT_ONCE = asyncio.Semaphore(4)
"""Wholes that a process holds in memory to look at them: 40 MiB at most."""


@dataclass(frozen=True)
class Wanted:
    """What an upload's metadata says it will be."""

    digest: str
    size: int
    content_type: str
    document: str
    patient: str


def directory_of(settings: HubSettings) -> Path:
    """Return where parts of uploads are kept.

    Raises:
        UploadsOff: nobody said where.
    """
    found = settings.files or (settings.data / "files" if settings.data is not None else None)
    if found is None:
        raise UploadsOff
    found.mkdir(mode=0o700, parents=True, exist_ok=True)
    return found


def read_wanted(metadata: Mapping[Any, str], size: int | None) -> Wanted:
    """Read ``Upload-Metadata`` and ``Upload-Length``: ``filename`` is the SHA-256, ``filetype`` the media type,
    ``document`` and ``patient`` FHIR ids. A name that people gave never travels here.

    Raises:
        MalformedUpload: something is missing or cannot be read.
        FileTooLarge: it is longer than 10 MiB.
    """
    if size is None or size < 1:
        raise MalformedUpload(
            "an upload has a length", places=[Place("Upload-Length", "value", "at least 1")]
        )
    if size > MAX_FILE_BYTES:
        raise FileTooLarge("an attachment may have 10 MiB")
    digest, content_type = metadata.get("filename", ""), metadata.get("filetype", "")
    document, patient = metadata.get("document", ""), metadata.get("patient", "")
    places = [
        Place(f"Upload-Metadata.{name}", "value", "missing or of another form")
        for name, good in (
            ("filename", DIGEST.fullmatch(digest) is not None),
            (
                "filetype",
                0 < len(content_type) <= 40 and content_type.isascii() and content_type.isprintable(),
            ),
            ("document", _is_id(document)),
            ("patient", _is_id(patient)),
        )
        if not good
    ]
    if places:
        raise MalformedUpload("the metadata cannot be used", places=places)
    return Wanted(digest, size, content_type, document, patient)


def _is_id(text: str) -> bool:
    return 0 < len(text) <= 64 and all(c.isascii() and (c.isalnum() or c in "-.") for c in text)


async def begin(session: AsyncSession, wanted: Wanted, *, station: StationPrincipal, now: datetime) -> Upload:
    """Open an upload.

    Raises:
        TooManyUploads: the station has as many unfinished ones as it may have.
    """
    if await store.unfinished(session, site=station.site) >= MOST_UNFINISHED:
        raise TooManyUploads
    upload = Upload(
        id=new_id(now),
        site=station.site,
        digest=wanted.digest,
        size=wanted.size,
        content_type=wanted.content_type,
        document=wanted.document,
        patient=wanted.patient,
        expires_at=now + KEPT_FOR,
    )
    session.add(upload)
    await session.flush()
    return upload


async def own(session: AsyncSession, upload: str, *, station: StationPrincipal, now: datetime) -> Upload:
    """Return a station's upload. Another's answers like none.

    Raises:
        UnknownUpload, UploadExpired
    """
    try:
        found = await store.upload_of(session, UUID(hex=upload), site=station.site)
    except ValueError:
        found = None
    if found is None:
        raise UnknownUpload
    if found.expires_at <= now:
        raise UploadExpired
    return found


async def finish(hub: Hub, upload: Upload, *, station: StationPrincipal, now: datetime) -> None:
    """Look at the whole and make it durable; when this returns it is committed, and the parts are gone.

    It takes a transaction of its own, after the bytes have been looked at. What is not what was announced is thrown
    away with its upload.

    Raises:
        DigestWrong, and the refusals of ``kernel.uploads.check``.
    """
    directory = directory_of(hub.settings)
    async with _AT_ONCE:
        content = await asyncio.to_thread(part(directory, upload.id.hex).read_bytes)
        try:
            await asyncio.to_thread(_look, content, upload)
        except Exception:
            await _throw_away(hub, upload, directory)
            raise
        async with hub.requests() as session, session.begin():
            stored = StoredFile(
                site=upload.site,
                digest=upload.digest,
                size=len(content),
                content_type=upload.content_type,
                stored_at=now,
            )
            await store.put(session, stored, content)
            await _use(session, upload, station=station, now=now)
            await store.forget(session, [upload.id])
    await asyncio.to_thread(discard, directory, upload.id.hex)


def _look(content: bytes, upload: Upload) -> None:
    if not hmac.compare_digest(hashlib.sha256(content).hexdigest(), upload.digest):
        raise DigestWrong
    uploads.check(content, upload.content_type)


async def _throw_away(hub: Hub, upload: Upload, directory: Path) -> None:
    async with hub.requests() as session, session.begin():
        await store.forget(session, [upload.id])
    await asyncio.to_thread(discard, directory, upload.id.hex)


async def give_up(hub: Hub, upload: Upload) -> None:
    """Forget an upload and what came of it."""
    await _throw_away(hub, upload, directory_of(hub.settings))


async def _use(
    session: AsyncSession, said: Upload | FileAsk, *, station: StationPrincipal, now: datetime
) -> None:
    used = FileUse(site=station.site, digest=said.digest, document=said.document, patient=said.patient)
    await store.use(session, used)
    event = audit.Event(
        station.address,
        "file.store",
        f"DocumentReference/{said.document}",
        patient=said.patient,
        place=station.site,
    )
    await audit.record_many(session, [event], at=now)


async def known(session: AsyncSession, ask: FileAsk, *, station: StationPrincipal, now: datetime) -> bool:
    """Whether a station's bytes are here already; if so, this document of this patient points to them too."""
    if not await store.has(session, ask.digest, site=station.site):
        return False
    await _use(session, ask, station=station, now=now)
    return True


@dataclass(frozen=True)
class Readable:
    """Bytes that somebody may read. ``document`` is the FHIR id of the document that gave the right."""

    content_type: str
    content: bytes
    document: str


async def read(session: AsyncSession, digest: str, *, scope: RecordScope, by: str, now: datetime) -> Readable:
    """Return the bytes of a digest if the scope holds a document that points to them; the look is written down.

    Raises:
        UnknownFile: there are none, or none for this caller: the two look alike.
    """
    for used, stored in await store.uses(session, digest):
        try:
            document = await records.read(
                session, "DocumentReference", used.document, scope=scope, now=now, by=by
            )
        except (NotFound, ResourceDeleted):
            continue
        if document.tenant != used.site or f'"{binary_url(digest)}"'.encode() not in document.text:
            continue
        content = b"".join([piece async for piece in store.pieces(session, digest, site=used.site)])
        event = audit.Event(
            by,
            "file.read",
            f"DocumentReference/{used.document}",
            patient=document.patient,
            place=document.tenant,
        )
        await audit.record_many(session, [event], at=now)
        return Readable(stored.content_type, content, used.document)
    raise UnknownFile


def scope_of(station: StationPrincipal) -> RecordScope:
    """Return what a station may read."""
    return access.scope_of(station)


async def forget_patient(hub: Hub, patient: str) -> None:
    """Delete the bytes of a patient whose record was erased, and what was on its way."""
    async with hub.sessions() as session, session.begin():
        begun = await store.forget_patient(session, patient)
    await _discard(hub, [upload.hex for upload in begun])


async def sweep(hub: Hub, now: datetime) -> None:
    """Forget uploads that were left alone for too long, with their parts."""
    async with hub.sessions() as session, session.begin():
        gone = [upload.id for upload in await store.expired(session, now)]
        if gone:
            await store.forget(session, gone)
    await _discard(hub, [upload.hex for upload in gone])


async def _discard(hub: Hub, uploads_gone: list[str]) -> None:
    if not uploads_gone:
        return
    directory = directory_of(hub.settings)
    for upload in uploads_gone:
        await asyncio.to_thread(discard, directory, upload)
