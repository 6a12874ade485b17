"""Where tuspyserver keeps what has arrived of an upload: a directory that all nodes share.

The file itself says how far an upload is: what is on the disk is what the next chunk follows, also after a power cut
between bytes and note. What storing found (a wrong checksum, a full disk) is kept in :class:`Doing`, because the
library would answer an exception in here as if all were well.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import hmac
import json
import os
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from tuspyserver.storage import TusStorage

from clinic_net.kernel.errors import Refusal
from clinic_net.protocol.sync.files import MAX_CHUNK_BYTES
from clinic_net.sync.files_errors import ChunkDamaged, FileTooLarge, NoRoomForParts

_T = TypeVar("_T")

LOCK_WITHIN_S = 5.0
"""How long a second request for the same upload waits for the first."""

_LOOK_EVERY_S = 0.05

CHECKSUMS: dict[str, Callable[[bytes], Any]] = {
    "sha1": lambda data: hashlib.sha1(data, usedforsecurity=False),
    "sha256": hashlib.sha256,
}
"""``Upload-Checksum`` algorithms; tus 1.0 asks for SHA-1 at least. The whole is checked by SHA-256."""


@dataclass
class Doing:
    """One request to the uploads: its directory, the upload it begins, its checksum, and what storing found."""

    directory: Path
    checksum: tuple[str, bytes] | None = None
    uid: str = ""
    failure: Refusal | None = None
    pending: bytearray = field(default_factory=bytearray)


DOING: ContextVar[Doing] = ContextVar("clinic_net_upload")


class Parts(TusStorage):
    """tuspyserver's storage on a directory. It has no state: who asks is in :data:`DOING`."""

    def _path(self, uid: str, ending: str = "") -> Path:
        return part(DOING.get().directory, uid, ending)

    def location(self, uid: str) -> str:
        return str(self._path(uid))

    async def create(self, uid: str) -> None:
        await _off(lambda: self._path(uid).touch(mode=0o600))

    async def exists(self, uid: str) -> bool:
        return await _off(self._path(uid).exists)

    async def size(self, uid: str) -> int:
        return await _off(lambda: _size(self._path(uid)))

    async def append(self, uid: str, chunk: bytes) -> None:
        doing = DOING.get()
        doing.pending += chunk
        if len(doing.pending) > MAX_CHUNK_BYTES:
            doing.pending.clear()
            doing.failure = FileTooLarge("a chunk may have 1 MiB")

    async def flush(self, uid: str) -> None:
        """Write what came, all of it or nothing, and wait for the disk."""
        doing = DOING.get()
        data, doing.pending = bytes(doing.pending), bytearray()
        if doing.failure is not None or not data:
            return
        if doing.checksum is not None:
            name, expected = doing.checksum
            if not hmac.compare_digest(CHECKSUMS[name](data).digest(), expected):
                doing.failure = ChunkDamaged()
                return
        try:
            await _off(lambda: _append(self._path(uid), data))
        except OSError:
            doing.failure = NoRoomForParts()

    async def finalize(self, uid: str) -> None:
        """Nothing to seal: the whole is looked at before it is taken."""

    async def read(self, uid: str) -> bytes | None:
        return await _off(lambda: self._path(uid).read_bytes() if self._path(uid).exists() else None)

    async def delete(self, uid: str) -> None:
        directory = DOING.get().directory
        await _off(lambda: discard(directory, uid))

    async def read_info(self, uid: str) -> dict[str, Any] | None:
        """Return what the library noted, with the offset that the disk knows."""

        def look() -> dict[str, Any] | None:
            try:
                noted = json.loads(self._path(uid, ".info").read_bytes())
            except (OSError, ValueError):
                return None
            return {**noted, "offset": _size(self._path(uid))}

        return await _off(look)

    async def write_info(self, uid: str, data: dict[str, Any]) -> None:
        """Note what the library knows of an upload.

        Raises:
            NoRoomForParts: an upload that begins cannot be noted. Of one that goes on, the disk knows enough.
        """

        def write() -> None:
            pending = self._path(uid, ".new")
            with open(pending, "w") as file:
                json.dump(data, file)
                file.flush()
                os.fsync(file.fileno())
            pending.replace(self._path(uid, ".info"))

        try:
            await _off(write)
        except OSError:
            if not await _off(self._path(uid, ".info").exists):
                raise NoRoomForParts from None

    async def list_uids(self) -> list[str]:
        directory = DOING.get().directory
        return await _off(lambda: [path.name for path in directory.iterdir() if not path.suffix])

    @contextlib.asynccontextmanager
    async def lock(self, uid: str) -> AsyncIterator[None]:  # type: ignore[override]  # its own backends are so
        """Hold off other requests for this upload, of any process on this directory; the file itself is locked.

        Raises:
            TimeoutError: somebody else holds it; the library answers 503.
        """
        descriptor = await _off(lambda: os.open(self._path(uid), os.O_RDONLY))
        try:
            for _ in range(round(LOCK_WITHIN_S / _LOOK_EVERY_S)):
                if _locked(descriptor):
                    break
                await asyncio.sleep(_LOOK_EVERY_S)
            else:
                raise TimeoutError("another request is at this upload")
            yield
        finally:
            os.close(descriptor)


def part(directory: Path, uid: str, ending: str = "") -> Path:
    """Return the file of an upload's parts. ``uid`` is a UUID, whatever somebody wrote into an address."""
    return directory / f"{UUID(uid).hex}{ending}"


def discard(directory: Path, uid: str) -> None:
    """Delete what is kept of an upload."""
    for ending in ("", ".info", ".new"):
        part(directory, uid, ending).unlink(missing_ok=True)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _append(path: Path, data: bytes) -> None:
    with open(path, "r+b") as file:
        before = file.seek(0, os.SEEK_END)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), before)
            raise


async def _off(work: Callable[[], _T]) -> _T:
    """Do something with the disk beside the event loop: a shared directory may be slow."""
    return await asyncio.to_thread(work)
