"""Keeping other web sites out of the pages: they are on loopback, but so is every browser tab.

A page elsewhere may point a name at 127.0.0.1 (DNS rebinding: the Host header gives it away) or post a form here
(the Origin header gives it away).
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
        "media-src 'self' blob:", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
    )
)  # fmt: skip

SECURITY_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # no-referrer would send "Origin: null" with the nurse's own forms
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def host_allowed(headers: Headers, scope: Scope, lan: str | None = None) -> bool:
    """Whether the request was made by a name of this computer: over TLS by the network's, else by loopback's.

    Over TLS a device showed its certificate before anything was said; on loopback nobody did.
    """
    host = _host_of(headers.get("host", ""))
    return host == lan if _is_tls(scope) else host in HOSTS


def _is_tls(scope: Scope) -> bool:
    return scope.get("scheme") in ("https", "wss")


def _host_of(authority: str) -> str:
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0].lower()


def own_origin(headers: Headers, scope: Scope) -> bool:
    """Whether the request comes from the station's own pages: the Origin is the Host that was asked."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") == "same-origin"
    parts = urlsplit(origin)
    return (
        parts.scheme == ("https" if _is_tls(scope) else "http")
        and parts.netloc.lower() == headers.get("host", "").lower()
    )


def from_own_page(headers: Headers, scope: Scope, lan: str | None = None) -> bool:
    """Whether a WebSocket handshake comes from the station's own pages."""
    return host_allowed(headers, scope, lan) and own_origin(headers, scope)


class Guard:
    """Refuses foreign hosts and foreign posts, and says in every answer what a browser may do with it."""

    def __init__(self, app: ASGIApp, *, lan: str | None = None) -> None:
        self._app = app
        self._lan = lan.lower() if lan else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not host_allowed(headers, scope, self._lan):
            await PlainTextResponse("wrong host", 421)(scope, receive, send)
        elif scope["method"] not in SAFE_METHODS and not own_origin(headers, scope):
            await PlainTextResponse("wrong origin", 403)(scope, receive, send)
        else:
            await self._app(scope, receive, _with_headers(send))


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending
