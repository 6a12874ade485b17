"""What a trusted proxy tells of a request that it passed on, and the address of ours that links are made for.

``X-Forwarded-*`` comes before ``Forwarded`` (RFC 7239): a proxy that sets the one usually lets a caller's own other
through. Both are believed only from the addresses that ``--trusted-proxy`` names.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from clinic_net.kernel.settings import HubSettings

_TOLD = "clinic_net.told"
"""Where in a request's scope stands what a trusted proxy told."""

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9.\-]{0,251}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_NAME}|\[[0-9A-Fa-f:.]{{2,45}}\])(?::\d{{1,5}})?", re.ASCII)
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~\-]{1,64}){1,8}", re.ASCII)
_PAIR = re.compile(r'\s*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))\s*([,;]|\Z)')


@dataclass(frozen=True)
class Told:
    """What a proxy told of the request as it came in; "" where it told nothing."""

    scheme: str = ""
    host: str = ""
    prefix: str = ""


class TrustedProxies:
    """Give a request the caller, scheme and host that a trusted proxy tells. What anybody else tells is not read."""

    def __init__(self, app: ASGIApp, *, trusted: list[str]) -> None:
        self._app = app
        plain: Any = ProxyHeadersMiddleware  # uvicorn writes ASGI's types in its own way
        self._plain = plain(app, trusted)
        self._trusted = self._plain.trusted_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope.get("client")
        if scope["type"] == "lifespan" or peer is None or peer[0] not in self._trusted:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if any(f"x-forwarded-{name}" in headers for name in ("for", "host", "proto")):
            scope[_TOLD] = Told(
                _last(headers, "x-forwarded-proto"),
                _last(headers, "x-forwarded-host"),
                _last(headers, "x-forwarded-prefix"),
            )
            await self._plain(scope, receive, send)
            return
        told = self._standard(headers.getlist("forwarded"))
        if told:
            scheme = told.get("proto", "").lower()
            scope[_TOLD] = Told(scheme, told.get("host", ""), _last(headers, "x-forwarded-prefix"))
            if scheme in ("http", "https"):
                scope["scheme"] = scheme.replace("http", "ws") if scope["type"] == "websocket" else scheme
            if told.get("for"):
                scope["client"] = self._trusted.get_trusted_client_address(told["for"])
        await self._app(scope, receive, send)

    def _standard(self, values: list[str]) -> dict[str, str]:
        """Return the pairs of the ``Forwarded`` elements that trusted proxies made, an outer one's over an inner one's.

        Each proxy adds one behind the others, so they are believed from the last to the first that names a caller
        who is no proxy of ours.
        """
        told: dict[str, str] = {}
        for element in reversed(list(_elements(", ".join(values)))):
            told |= element
            caller, _ = self._trusted.get_trusted_client_address(element.get("for", ""))
            if caller not in self._trusted:
                break
        return told


def _elements(text: str) -> Iterator[dict[str, str]]:
    """Yield the pairs of each element of a ``Forwarded`` header; nothing when it is none."""
    found: list[dict[str, str]] = [{}]
    at = 0
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None:
            return
        quoted = match[2]
        found[-1][match[1].lower()] = match[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        if match[4] == ",":
            found.append({})
        at = match.end()
    yield from (element for element in found if element)


def _last(headers: Headers, name: str) -> str:
    """Return the value that the nearest proxy set: it adds behind what came with the request."""
    return ",".join(headers.getlist(name)).rpartition(",")[2].strip()


def own_address(connection: HTTPConnection, settings: HubSettings) -> str:
    """Return the address of this hub that answers link to, without a slash at its end.

    ``public_url``, unless links follow the host that was asked. Nothing that is signed depends on it: a caller
    chooses its ``Host``.
    """
    if not settings.follow_host:
        return settings.public_url.rstrip("/")
    told = connection.scope.get(_TOLD) or Told()
    host = next(
        (name for name in (told.host, connection.headers.get("host", "")) if _HOST.fullmatch(name)), None
    )
    if host is None:
        return settings.public_url.rstrip("/")
    scheme = "https" if connection.scope["scheme"] in ("https", "wss") else "http"
    return f"{scheme}://{host}" + (told.prefix if _PREFIX.fullmatch(told.prefix) else "")
