"""The bytes of attachments, up by tus and down on demand, in the slowest lane.

tuspy knows the protocol (headers, metadata, checksums, where a chunk begins and ends); its own transports open a
connection for each chunk, outside of our time limits and byte counting, so the requests go through the link's client.
"""

import asyncio
import io
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import structlog

from clinic_net.protocol.sync import Lane
from clinic_net.protocol.sync.files import (
    FILES_PATH,
    FIRST_CHUNK,
    STORED_PATH,
    FileAnswer,
    FileAsk,
    next_chunk,
)
from station_agent.errors import FileNotThere, LinkError
from station_agent.link.tokens import Tokens, refused
from station_agent.store import Database, Tx, figures, files, outbox

if TYPE_CHECKING:
    from tusclient.uploader.uploader import Uploader

log = structlog.get_logger()

TURN_BYTES = 256 * 1024
"""What one turn of the lane may send before the others are looked at again."""

OFTEN_S, SELDOM_S, OFFLINE_S = 2.0, 30.0, 5.0
"""Seconds until the next turn: while something is sent, while nothing is, and until the link is looked at again."""

BULK_SHARE = 0.8
"""Attachments stop at this share of the day's budget (sync §4.7); the rest is for care."""

_HEADERS_BYTES = 900
"""What a request and its answer cost beside their bodies, as far as the meter counts them here."""

_VIETNAM = timedelta(hours=7)

_GONE = (404, 410)
_REFUSED = (400, 413, 415, 422)


class Files:
    """The lane. ``clock`` is the station's; ``timer`` measures how long a chunk takes, in seconds."""

    def __init__(
        self,
        database: Database,
        tokens: Tokens,
        hub: str,
        *,
        clock: Callable[[], datetime],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._hub = hub
        self._clock = clock
        self._timer = timer
        self._chunk = FIRST_CHUNK
        self._at: tuple[str | None, int] | None = None
        """The upload and offset that the hub named last; None when a chunk is on its way, or was lost."""

    async def run(self, client: httpx.AsyncClient, *, online: Callable[[], bool]) -> None:
        """Take turns for ever, while the link is there. Only cancellation ends it."""
        while True:
            wait = await self.turn(client) if online() else OFFLINE_S
            await asyncio.sleep(wait)

    async def turn(self, client: httpx.AsyncClient) -> float:
        """Send a little if the other lanes are empty and the day's budget allows it; return the seconds until the next
        turn. A failure of the link is the other lanes' to tell."""
        try:
            allowed = await self._database.run(self._allowed)
            sent = await self.upload_some(client, max_bytes=min(allowed, TURN_BYTES)) if allowed else 0
        except (LinkError, httpx.HTTPError) as error:
            self._chunk = FIRST_CHUNK
            log.info("files_failed", reason=type(error).__name__)
            return SELDOM_S
        except Exception:
            log.exception("files_failed")  # the lane must outlive every surprise
            return SELDOM_S
        return OFTEN_S if sent else SELDOM_S

    def _allowed(self, tx: Tx) -> int:
        """Return how many bytes may be sent now: none while something of a faster lane waits."""
        counts = outbox.counts(tx)
        if any(counts.waiting.get(lane, 0) for lane in (Lane.URGENT, Lane.CARE)):
            return 0
        budget = figures.budget(tx)
        if budget is None:
            return TURN_BYTES
        spent = sum(each.total for each in figures.spent_on(tx, self._day()).values())
        return max(0, int(budget * BULK_SHARE) - spent)

    def _day(self) -> date:
        """Return the day in Vietnam (UTC+7, without summer time) whose bytes these are."""
        return (self._clock() + _VIETNAM).date()

    async def upload_some(self, client: httpx.AsyncClient, *, max_bytes: int) -> int:
        """Send up to ``max_bytes`` of what waits, chunk by chunk, and return how many bytes went.

        Each chunk that the hub has is noted before the next one leaves.

        Raises:
            LinkError, httpx.HTTPError: the link failed; what the hub has is kept.
        """
        sent = 0
        while sent < max_bytes:
            file = await self._database.run(files.next_waiting)
            if file is None:
                break
            went = await self._continue(client, file, max_bytes - sent)
            sent += went
        return sent

    async def _continue(self, client: httpx.AsyncClient, file: files.File, max_bytes: int) -> int:
        """Send what is next of one attachment; at least it has begun, ended or been refused when this returns."""
        if file.upload is None:
            if await self._known(client, file):
                await self._database.run(lambda tx: files.done(tx, file.document))
                return 0
            return await self._begin(client, file)
        uploader = await self._uploader(client, file)
        if uploader is None:
            return 0
        size = min(self._chunk, max_bytes, file.size - uploader.offset)
        uploader.chunk_size = max(size, 0)
        began, self._at = self._timer(), None
        answer = await self._send_chunk(client, uploader, file)
        if answer is None:
            return size
        self._chunk = next_chunk(self._chunk, self._timer() - began) if size == self._chunk else self._chunk
        offset = int(answer.headers.get("Upload-Offset", uploader.offset))
        self._at = (file.upload, offset)

        def note(tx: Tx) -> None:
            files.came_to(tx, file.document, offset)
            if offset >= file.size:
                files.done(tx, file.document)
            self._spend(tx, size)

        await self._database.run(note)
        return size

    def _spend(self, tx: Tx, size: int) -> None:
        figures.spent(tx, self._day(), Lane.BULK, size + _HEADERS_BYTES, _HEADERS_BYTES)

    async def _known(self, client: httpx.AsyncClient, file: files.File) -> bool:
        ask = FileAsk(digest=file.digest, document=file.document, patient=file.patient)
        answer = await self._ask(
            client,
            "POST",
            STORED_PATH,
            content=ask.model_dump_json(),
            headers={"Content-Type": "application/json"},
        )
        if answer.status_code != 200:
            raise refused(answer, f"http-{answer.status_code}")
        return FileAnswer.model_validate_json(answer.content).stored

    async def _begin(self, client: httpx.AsyncClient, file: files.File) -> int:
        uploader = self._made(file)
        answer = await self._ask(
            client, "POST", FILES_PATH, headers={**uploader.get_url_creation_headers(), "Content-Length": "0"}
        )
        if answer.status_code in _REFUSED:
            await self._refused(file, answer)
            return 0
        if answer.status_code != 201:
            raise refused(answer, f"http-{answer.status_code}")
        # Only the name is taken: a hub behind a proxy may call itself http, and the token must not follow it there.
        upload = urlsplit(answer.headers.get("Location", "")).path.rsplit("/", 1)[-1]
        if not (len(upload) == 32 and upload.isalnum()):
            raise LinkError("not-a-hub")
        await self._database.run(lambda tx: files.begun(tx, file.document, upload))
        return 0

    async def _uploader(self, client: httpx.AsyncClient, file: files.File) -> "Uploader | None":
        """Return the upload at the place where the hub is; None if the hub does not know it any more."""
        if self._at == (file.upload, file.sent):
            uploader = self._made(file)
            uploader.offset = file.sent
            return uploader
        answer = await self._ask(
            client, "HEAD", f"{FILES_PATH}/{file.upload}", headers=self._made(file).get_headers()
        )
        if answer.status_code in _GONE:
            await self._database.run(lambda tx: files.begin_again(tx, file.document))
            return None
        offset = answer.headers.get("Upload-Offset", "")
        if answer.status_code != 200 or not offset.isdecimal():
            raise refused(answer, f"http-{answer.status_code}")
        uploader = self._made(file)
        uploader.offset = int(offset)
        return uploader

    def _made(self, file: files.File) -> "Uploader":
        """Return tuspy's half of an upload, without a byte read or sent."""
        from tusclient.client import TusClient  # noqa: PLC0415 -- 11 MB of imports that a station without pictures saves

        metadata = {
            "filename": file.digest,  # a name that people gave tells of them
            "filetype": file.type,
            "document": file.document,
            "patient": file.patient,
        }
        made = TusClient(self._hub + FILES_PATH).uploader(
            file_stream=_Sized(file.size), metadata=metadata, upload_checksum=True
        )
        return made

    async def _send_chunk(
        self, client: httpx.AsyncClient, uploader: "Uploader", file: files.File
    ) -> httpx.Response | None:
        """Send one chunk, an empty one to ask again for an answer that was lost; None if the attachment is refused or
        has to begin again."""
        from tusclient.request import BaseTusRequest  # noqa: PLC0415 -- as above

        start, length = uploader.offset, uploader.get_request_length()
        data = await self._database.run(lambda tx: files.piece(tx, file.document, start, length))
        request = BaseTusRequest(uploader)
        request.add_checksum(data)
        answer = await self._ask(
            client, "PATCH", f"{FILES_PATH}/{file.upload}", content=data, headers=request._request_headers
        )
        if answer.status_code == 204:
            return answer
        if answer.status_code in _GONE:
            await self._database.run(lambda tx: files.begin_again(tx, file.document))
            return None
        if answer.status_code in _REFUSED:
            await self._refused(file, answer)
            return None
        raise refused(answer, f"http-{answer.status_code}")  # 409, 460: the next turn asks where the hub is

    async def _refused(self, file: files.File, answer: httpx.Response) -> None:
        try:
            problem = str(answer.json().get("code", ""))
        except (ValueError, AttributeError):
            problem = ""
        log.warning("file_refused", code=problem)
        await self._database.run(lambda tx: files.refused(tx, file.document, problem[:40] or "refused"))

    async def fetch(self, client: httpx.AsyncClient, file: files.File) -> None:
        """Fetch the bytes of a document and keep them.

        Raises:
            FileNotThere: the hub does not have them, or what came is not what the document says.
            LinkError, httpx.HTTPError: the link failed.
        """
        answer = await self._ask(client, "GET", f"{STORED_PATH}/{file.digest}")
        if answer.status_code in _GONE:
            raise FileNotThere("the hub does not have it yet")
        if answer.status_code != 200:
            raise refused(answer, f"http-{answer.status_code}")
        if digest_of(answer.content) != file.digest:
            raise FileNotThere("what came is not what the document says")
        now = self._clock()

        def keep(tx: Tx) -> None:
            files.fetched(tx, file, answer.content, now=now)
            figures.spent(tx, self._day(), Lane.BULK, _HEADERS_BYTES, len(answer.content) + _HEADERS_BYTES)

        await self._database.run(keep)

    async def _ask(
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        **body: Any,
    ) -> httpx.Response:
        for attempt in (1, 2):
            token = await self._tokens.get(client)
            signed = {**(headers or {}), "Authorization": f"Bearer {token.text}"}
            answer = await client.request(method, self._hub + path, headers=signed, **body)
            if answer.status_code != 401 or attempt == 2:
                return answer
            self._tokens.forget()
        raise AssertionError("not reached")


class _Sized(io.RawIOBase):
    """A file of which tuspy asks only how long it is; its bytes come from the store, as many as a chunk needs."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._at = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = self._size + offset if whence == io.SEEK_END else offset
        return self._at

    def tell(self) -> int:
        return self._at


def digest_of(content: bytes) -> str:
    """Return the name of some bytes: their SHA-256 in hexadecimal."""
    return sha256(content).hexdigest()
