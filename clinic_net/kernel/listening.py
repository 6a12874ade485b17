"""HTTP/1.1 as uvicorn speaks it, with bounds on what a caller may hold open: uvicorn itself has none.

A head comes within ten seconds and is of bounded size; a body keeps coming; an answer is being read. Whoever does
otherwise is let go, so that a few thousand half-open connections cost nobody else anything. The floor of 1 KiB a second
is a sixty-fourth of the thinnest link that a station is promised to work on.
"""

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
"""Request line and fields together. A search that a FHIR client puts into an address stays below 8 KiB."""
MAX_FIELDS = 128
"""Header fields; browsers and proxies send some thirty."""

HEAD_WITHIN_S = 10.0
"""As the proxy in front of production has it (``timeout http-request``)."""
LOOK_EVERY_S = 5.0
GRACE_S = 25.0
"""How long a body, or the reading of an answer, may stand still."""
FLOOR = 1024
"""Bytes a second below which a body or the reading of an answer is a stand-still."""


class _HeadTooLarge(Exception):
    """Raised into the parser, which then stops."""


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    _head_timer: asyncio.TimerHandle | None = None
    _watch: asyncio.TimerHandle | None = None
    _in_head = True
    _head_seen = 0
    _body_late = 0.0
    _body_seen = 0
    _in_body = False
    _unread_late = 0.0
    _unread: int | None = None
    _status = HTTPStatus.BAD_REQUEST

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timers()
        super().connection_lost(exc)

    # -- the head

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_WITHIN_S, self._head_late)

    def _head_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._expect_head()  # the next request of a caller whose answer is still being made
        elif self._head_seen:
            self._status = HTTPStatus.REQUEST_TIMEOUT
            self.send_400_response("")
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_seen += len(data)
        super().data_received(data)
        if not self._in_head or not self._head_seen or self.transport.is_closing():
            return
        if self._head_seen > MAX_HEAD_BYTES:
            self._status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.send_400_response("")
        else:
            self._expect_head()

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES or len(self.headers) > MAX_FIELDS:
            self._status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise _HeadTooLarge
        self._in_head, self._head_seen = False, 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        self._in_body, self._body_seen, self._body_late = True, 0, 0.0
        self._look_later()
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        self._forget_timers()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Say that what came is no request, and close. No word of it is repeated."""
        status = self._status
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode("ascii"))
        self.transport.close()

    # -- the body, and the answer

    def on_body(self, body: bytes) -> None:
        self._body_seen += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body, self._in_head = False, True
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread, self._unread_late = self.transport.get_write_buffer_size(), 0.0
        self._look_later()

    def resume_writing(self) -> None:
        self._unread = None
        super().resume_writing()

    def _look_later(self) -> None:
        if self._watch is None:
            self._watch = self.loop.call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        """Let go of a caller whose body does not come or who does not read, for ``GRACE_S`` together."""
        self._watch = None
        if self.transport.is_closing() and self._unread is None:
            return
        if self._in_body and not self.flow.read_paused:  # paused: it is this hub that does not read
            slow = self._body_seen < FLOOR * LOOK_EVERY_S
            self._body_late = self._body_late + LOOK_EVERY_S if slow else 0.0
            self._body_seen = 0
        if self._unread is not None:
            left = self.transport.get_write_buffer_size()
            slow = self._unread - left < FLOOR * LOOK_EVERY_S
            self._unread_late = self._unread_late + LOOK_EVERY_S if slow else 0.0
            self._unread = left
        if max(self._body_late if self._in_body else 0.0, self._unread_late) >= GRACE_S:
            self.transport.abort()
        elif self._in_body or self._unread is not None:
            self._look_later()

    def _forget_timers(self) -> None:
        for timer in (self._head_timer, self._watch):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._watch = None
