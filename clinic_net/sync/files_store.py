"""Every query about attachments. Their scope is a station's site; who else may read follows from a document."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, exists, func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.sync.files_model import FilePart, FileUse, StoredFile, Upload

PART_BYTES = 256 * 1024
"""Bytes in one row."""

_MOST_USES = 50
"""Documents that are tried for one digest; a station has one, rarely two, for a picture."""


async def upload_of(session: AsyncSession, upload: UUID, *, site: str) -> Upload | None:
    """Return a station's upload, or None."""
    statement = select(Upload).where(Upload.id == upload, Upload.site == site)
    return (await session.exec(statement)).one_or_none()


async def unfinished(session: AsyncSession, *, site: str) -> int:
    """Return how many uploads of a station have begun and are not complete."""
    return (
        await session.exec(select(func.count()).select_from(Upload).where(col(Upload.site) == site))
    ).one()


async def expired(session: AsyncSession, now: datetime, *, limit: int = 100) -> Sequence[Upload]:
    """Return uploads whose time is over, and hold them; what another process holds is left to it."""
    statement = (
        select(Upload).where(col(Upload.expires_at) <= now).limit(limit).with_for_update(skip_locked=True)
    )
    return (await session.exec(statement)).all()


async def forget(session: AsyncSession, uploads: Sequence[UUID]) -> None:
    await session.exec(delete(Upload).where(col(Upload.id).in_(uploads)))


async def has(session: AsyncSession, digest: str, *, site: str) -> bool:
    """Whether these bytes of a station are here."""
    statement = select(StoredFile.digest).where(StoredFile.site == site, StoredFile.digest == digest)
    return (await session.exec(statement)).first() is not None


async def put(session: AsyncSession, stored: StoredFile, content: bytes) -> None:
    """Store bytes unless they are here; of two at the same moment the second waits for the first."""
    statement = insert(StoredFile).values(stored.model_dump()).on_conflict_do_nothing()
    if (await session.exec(statement.returning(col(StoredFile.digest)))).first() is None:
        return
    for number, body in enumerate(_pieces(content)):
        session.add(FilePart(site=stored.site, digest=stored.digest, number=number, body=body))
    await session.flush()


def _pieces(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), PART_BYTES):
        yield content[start : start + PART_BYTES]


async def use(session: AsyncSession, used: FileUse) -> None:
    """Note that a document points to bytes that are here."""
    await session.exec(insert(FileUse).values(used.model_dump()).on_conflict_do_nothing())


async def uses(session: AsyncSession, digest: str) -> Sequence[tuple[FileUse, StoredFile]]:
    """Return the documents that point to bytes, at any station: the caller's right to each is asked for elsewhere."""
    statement = (
        select(FileUse, StoredFile)
        .where(col(StoredFile.site) == col(FileUse.site), col(StoredFile.digest) == col(FileUse.digest))
        .where(FileUse.digest == digest)
        .order_by(col(FileUse.document))
        .limit(_MOST_USES)
    )
    return (await session.exec(statement)).all()


async def pieces(session: AsyncSession, digest: str, *, site: str) -> AsyncIterator[bytes]:
    """Yield a station's bytes, in order."""
    number = 0
    while True:
        statement = select(FilePart.body).where(
            FilePart.site == site, FilePart.digest == digest, FilePart.number == number
        )
        body = (await session.exec(statement)).first()
        if body is None:
            return
        yield body
        number += 1


async def forget_patient(session: AsyncSession, patient: str) -> Sequence[UUID]:
    """Delete what documents of a patient point to, unless another patient's point to it too; return the uploads that
    were on their way."""
    begun = (await session.exec(select(Upload.id).where(Upload.patient == patient))).all()
    await forget(session, begun)
    gone = (
        delete(FileUse)
        .where(col(FileUse.patient) == patient)
        .returning(col(FileUse.site), col(FileUse.digest))
    )
    for site, digest in (await session.exec(gone)).all():
        still = exists().where(col(FileUse.site) == site, col(FileUse.digest) == digest)
        await session.exec(
            delete(StoredFile).where(col(StoredFile.site) == site, col(StoredFile.digest) == digest, ~still)
        )
    return begun
