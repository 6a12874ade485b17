"""What wraps every request: a bound on its body, headers that browsers obey, one log line."""

import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clinic_net.kernel.rates import TOLD

log = structlog.get_logger()

MAX_BODY_BYTES = 5 * 1024 * 1024
"""The largest body any route takes; routes may be stricter."""


class BodyTooLarge(Exception):
    """Raised into the application while it reads a body that is too large."""


class LimitBody:
    """Count what arrives, whatever ``Content-Length`` claims, stop reading at the bound, and answer ``refused``.

    What declares to be too large is refused before anything looks at it. What turns out to be is refused instead of
    whatever the application says of a body that it could not read: frameworks call that malformed.
    """

    def __init__(
        self, app: ASGIApp, *, refused: Callable[[Request], Response], limit: int = MAX_BODY_BYTES
    ) -> None:
        self._app = app
        self._refused = refused
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdigit() and int(declared) > self._limit:
            await self._refused(Request(scope))(scope, receive, send)
            return
        seen, answering = 0, False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self._limit and not answering:
                    raise BodyTooLarge
            return message

        async def unless_too_large(message: Message) -> None:
            nonlocal answering
            if seen <= self._limit or answering:
                answering = True
                await send(message)

        with suppress(BodyTooLarge):
            await self._app(scope, counted, unless_too_large)
        if seen > self._limit and not answering:
            await self._refused(Request(scope))(scope, receive, send)


class AnswerFailures:
    """Answer ``failed`` where an error that nobody foresaw stopped the application.

    The framework's own last resort stands outside every other wrapper: its answer would have no headers and no line in
    the log.
    """

    def __init__(self, app: ASGIApp, *, failed: Callable[[Request, Exception], Response]) -> None:
        self._app = app
        self._failed = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answering = False

        async def noted(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except BodyTooLarge:
            raise
        except Exception as failure:
            if answering:
                raise
            await self._failed(Request(scope), failure)(scope, receive, send)


NOTHING_ALLOWED = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""The policy of everything that is no page: data that a browser was led to shows nothing, runs nothing."""


class BrowserHeaders:
    """Tell browsers what an answer may do: pages use scripts and styles of this origin, all else nothing."""

    def __init__(self, app: ASGIApp, *, public_url: str) -> None:
        self._app = app
        host = urlsplit(public_url).netloc
        self._https = public_url.startswith("https:")
        self._policy = (
            "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
            f"media-src 'self' blob:; connect-src 'self' ws://{host} wss://{host}; frame-ancestors 'none'; "
            "base-uri 'none'; form-action 'self'; object-src 'none'"
        )

    def _policy_of(self, scope: Scope) -> str:
        more = scope.get("state", {}).get(_FORMS_LEAD_TO)
        return (
            self._policy.replace("form-action 'self'", f"form-action 'self' {more}") if more else self._policy
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_page = headers.get("content-type", "").startswith("text/html")
                headers.setdefault(
                    "Content-Security-Policy", self._policy_of(scope) if is_page else NOTHING_ALLOWED
                )
                headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
                if is_page:
                    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
                if (left := scope.get(TOLD)) is not None:
                    for name, value in left.headers().items():
                        headers[name] = value
                if self._https:
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
                headers.setdefault("X-Content-Type-Options", "nosniff")
                # With "no-referrer" browsers send a form with "Origin: null", which no page of this hub has.
                headers.setdefault("Referrer-Policy", "same-origin")
                headers.setdefault("Cache-Control", "no-store")
                headers.setdefault("Permissions-Policy", "camera=(self), microphone=(self), geolocation=()")
            await send(message)

        await self._app(scope, receive, with_headers)


_FORMS_LEAD_TO = "clinic_net_forms_lead_to"


def lets_forms_lead_to(request: Request, *origins: str) -> None:
    """Let the forms of the page that answers this request lead to these origins too: browsers also hold the
    redirect behind a form against the page's ``form-action``."""
    setattr(request.state, _FORMS_LEAD_TO, " ".join(origins))


class LogRequests:
    """Write one line a request, with the route's template: a path or a query string may hold a patient."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = scope.get("route")
            log.info(
                "request",
                method=scope["method"],
                route=getattr(route, "path", "unmatched"),
                status=status,
                ms=round((time.perf_counter() - began) * 1000, 1),
            )
