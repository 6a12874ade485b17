"""One request and its answer: few headers, a bounded answer, and what it cost.

Every header costs: a batch of fifty records is three kilobytes, an idle look three hundred bytes.
"""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from clinic_net.protocol.sync import MEDIA_TYPE, codec
from station_agent.enrolment import body_of
from station_agent.errors import LinkError
from station_agent.link.meter import Meter
from station_agent.link.tokens import Tokens

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
TICKET = "Sync-Ticket"
MAX_ANSWER = 4 * 1024 * 1024
"""Bytes of an answer, before and after it is inflated."""


class HubRefused(LinkError):
    """The hub answered, and it was no success. ``code`` is its word, ``body`` what else it said."""

    def __init__(self, status: int, code: str, body: bytes, retry_after: float | None) -> None:
        super().__init__(code, retry_after=retry_after)
        self.status = status
        self.code = code
        self.body = body


@dataclass(frozen=True)
class Request:
    """What to ask: ``content`` is sent as it is, compressed with ``coding``, unless that is empty."""

    method: str
    path: str
    content: bytes = b""
    kind: str = ""
    coding: str = ""
    more: Mapping[str, str] | None = None


class Line:
    """The link's way to the hub."""

    def __init__(self, hub: str, tokens: Tokens, meter: Meter) -> None:
        self._hub = hub
        self._tokens = tokens
        self.meter = meter
        self._bodies = (0, 0)
        self._ticket = ""
        """The hub's word that this station has waited for its turn; it is shown with what is asked next."""

    def spent(self) -> tuple[int, int]:
        """Return the bytes (up, down) since this was last asked."""
        told = self.meter.take(self._bodies)
        self._bodies = (0, 0)
        return told

    async def ask(self, client: httpx.AsyncClient, request: Request, *, limit: int = MAX_ANSWER) -> bytes:
        """Return the body of a success, inflated.

        Raises:
            HubRefused: any other status.
            LinkError: no token, or an answer that is no hub's.
            httpx.HTTPError: no answer.
        """
        answer, body = await self._once(client, request, limit)
        if answer.status_code == 401:
            # Asking for a fresh token tells whether the device was revoked or only this token has ended.
            self._tokens.forget()
            answer, body = await self._once(client, request, limit)
        if answer.status_code in (200, 206):
            return _inflated(answer, body, limit)
        said = body_of(httpx.Response(answer.status_code, content=_plain(answer, body, limit)))
        wait = answer.headers.get("Retry-After", "")
        raise HubRefused(
            answer.status_code, str(said.get("code") or f"http-{answer.status_code}"),
            _plain(answer, body, limit), float(wait) if wait.isdecimal() else None,
        )  # fmt: skip

    async def _once(
        self, client: httpx.AsyncClient, request: Request, limit: int
    ) -> tuple[httpx.Response, bytes]:
        token = await self._tokens.get(client)
        headers = {"Authorization": f"Bearer {token.text}", **(request.more or {})}
        if self._ticket:
            headers[TICKET] = self._ticket
        if request.kind:
            headers["Content-Type"] = request.kind
        if request.coding:
            headers["Content-Encoding"] = request.coding
        # Built by hand: the client would add its name and what it accepts.
        sent = httpx.Request(
            request.method, self._hub + request.path, headers=headers, content=request.content,
            extensions={"timeout": TIMEOUT.as_dict(), "trace": self.meter.trace},
        )  # fmt: skip
        answer = await client.send(sent, stream=True)
        self._ticket = answer.headers.get(TICKET, self._ticket)
        self.meter.heard(answer.extensions.get("network_stream"))
        try:
            parts, size = list[bytes](), 0
            async for part in answer.aiter_raw():
                size += len(part)
                if size > limit:
                    raise LinkError("answer-too-large")
                parts.append(part)
        finally:
            await answer.aclose()
            up, down = self._bodies
            head = sum(len(k) + len(v) + 4 for k, v in sent.headers.raw)
            back = sum(len(k) + len(v) + 4 for k, v in answer.headers.raw)
            self._bodies = (up + head + len(request.content) + 40, down + back + size + 20)
        return answer, b"".join(parts)


def accepting() -> dict[str, str]:
    """Return the headers that let the hub compress with the newest dictionary of this program (RFC 9842 §2.2)."""
    newest = codec.newest()
    if newest is None:
        return {"Accept-Encoding": "zstd"}
    digest = base64.b64encode(newest.digest).decode()
    return {"Accept-Encoding": "dcz,zstd", "Available-Dictionary": f":{digest}:"}


def framed(path: str, content: bytes, coding: str = "", **more: str) -> Request:
    """Return a request of the framed form."""
    return Request("POST", path, content, MEDIA_TYPE, coding, more)


def _inflated(answer: httpx.Response, body: bytes, limit: int) -> bytes:
    coding = answer.headers.get("Content-Encoding", "")
    if coding not in (codec.DCZ, codec.ZSTD):
        return _plain(answer, body, limit)
    try:
        return codec.decompress(body, coding, limit=limit)
    except (codec.Undecodable, codec.TooMuch):
        raise LinkError("not-a-hub") from None


def _plain(answer: httpx.Response, body: bytes, limit: int) -> bytes:
    """Return a body that is not of our codings; what cannot be inflated is handed on as it is."""
    if answer.headers.get("Content-Encoding", "") != "gzip":
        return body
    inflater = zlib.decompressobj(wbits=31)
    try:
        return inflater.decompress(body, limit)
    except zlib.error:
        return b""
