"""Which pages of other origins a browser lets speak to the FHIR address and fetch tokens for it."""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_PATHS = ("/fhir", "/oauth/")
_REQUEST_HEADERS = (
    "Accept",
    "Authorization",
    "Content-Type",
    "If-Match",
    "If-Modified-Since",
    "If-None-Exist",
    "If-None-Match",
    "Prefer",
)
_RESPONSE_HEADERS = (
    "Content-Location",
    "ETag",
    "Expires",
    "Last-Modified",
    "Location",
    "Retry-After",
    "X-Progress",
)


class FhirCors(CORSMiddleware):
    """Cross-origin requests with a token, never with a cookie: no credentials are allowed."""

    def __init__(self, app: ASGIApp, *, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_RESPONSE_HEADERS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(_PATHS):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)
