"""The link of a station under test, without sockets: what happens to each request is decided before it is sent."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

import httpx

from clinic_net.bench.weather import Fault, Mishap
from clinic_net.protocol.sync import MAX_PUSH_BYTES, MEDIA_TYPE, Lane, Push, PushHead, codec, frames

PORTAL = b"<html><title>Wi-Fi</title><body>Please sign in to the network.</body></html>"


@dataclass
class Sky(httpx.AsyncBaseTransport):
    """In front of a hub. ``mishaps`` befall the requests that come, one each; ``lanes`` are those of the pushes that
    reached the hub, in order."""

    inner: httpx.AsyncBaseTransport
    mishaps: deque[Mishap] = field(default_factory=deque)
    lanes: list[Lane] = field(default_factory=list)
    _late: list[httpx.Request] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        mishap = self.mishaps.popleft() if self.mishaps else None
        fault = mishap.fault if mishap else None
        after = mishap.after if mishap else 0
        if fault is Fault.PORTAL:
            return httpx.Response(200, headers={"content-type": "text/html"}, content=PORTAL, request=request)
        if fault is Fault.CUT_REQUEST:
            raise httpx.WriteError("cut", request=request)
        if fault is Fault.LATE:
            self._late.append(request)
            raise httpx.ReadTimeout("nothing came back", request=request)
        if fault is Fault.TWICE:
            await self._hub(request)
        answer = await self._hub(request)
        await self.deliver_late()
        if fault is Fault.SILENCE:
            raise httpx.ReadTimeout("nothing came back", request=request)
        if fault is Fault.CUT_ANSWER:
            raise httpx.RemoteProtocolError("cut", request=request)
        if fault is Fault.SHORT_ANSWER:
            headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
            return httpx.Response(
                answer.status_code,
                headers=headers,
                stream=_Raw(answer.extensions["raw"][:after]),
                request=request,
            )
        return httpx.Response(
            answer.status_code, headers=answer.headers, stream=_Raw(answer.extensions["raw"]), request=request
        )

    async def _hub(self, request: httpx.Request) -> httpx.Response:
        copy = httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
        answer = await self.inner.handle_async_request(copy)
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        answer.extensions["raw"] = b"".join([part async for part in answer.stream])
        if request.url.path == "/sync/v1/push" and answer.status_code == 200:
            self.lanes.append(lane_of(request))
        return answer

    async def deliver_late(self) -> None:
        """Let everything arrive that was held back."""
        while self._late:
            await self._hub(self._late.pop(0))
            await asyncio.sleep(0)


class _Raw(httpx.AsyncByteStream):
    """Bytes as they came, still compressed."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        yield self._data


def lane_of(request: httpx.Request) -> Lane:
    """Return the lane of a push, in either form."""
    import gzip

    body, coding = request.content, request.headers.get("content-encoding", "")
    if coding == "gzip":
        body = gzip.decompress(body)
    elif coding:
        body = codec.decompress(body, coding, limit=MAX_PUSH_BYTES)
    if request.headers.get("content-type", "").startswith(MEDIA_TYPE):
        return frames.first_of(body, PushHead)[0].lane
    return Push.model_validate_json(body).lane
