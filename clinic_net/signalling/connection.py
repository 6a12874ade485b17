"""One socket at this node: a ``HubHalf`` with a WebSocket around it."""

import asyncio

from starlette.websockets import WebSocket, WebSocketDisconnect

from clinic_net.access.principals import Principal
from clinic_net.kernel import clock
from clinic_net.protocol.signalling import HubEvent, HubHalf

_AT_ONCE = 16
"""Frames handed to the socket before looking whether it must be closed."""


class Connection:
    """``sid`` and ``fence`` are set by the welcome; ``principal`` changes when a station refreshes its token."""

    def __init__(self, websocket: WebSocket, principal: Principal) -> None:
        self.principal = principal
        self.half = HubHalf(now=clock.monotonic())
        self.sid: str | None = None
        self.fence = 0
        self.closed_with: int | None = None
        self._websocket = websocket
        self._stirred = asyncio.Event()

    def stir(self) -> None:
        """Have written what waits, or the socket closed."""
        self._stirred.set()

    async def read(self) -> list[HubEvent] | None:
        """Return what the next frame means; None when the socket is gone."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            self.closed_with = message.get("code")
            return None
        frame = message.get("text")
        if frame is None:
            frame = message.get("bytes") or b""
        return self.half.receive(frame, now=clock.monotonic())

    async def write_all(self) -> None:
        """Write whatever comes until the half is to be closed, then close the socket."""
        try:
            while True:
                while frames := self.half.take(now=clock.monotonic(), most=_AT_ONCE):
                    for frame in frames:
                        await self._websocket.send_text(frame)
                if self.half.closing is not None:
                    await self._websocket.close(self.half.closing.code, self.half.closing.reason)
                    return
                await self._stirred.wait()
                self._stirred.clear()
        except (WebSocketDisconnect, RuntimeError, OSError):
            return  # the socket went away meanwhile; the reader sees it too
