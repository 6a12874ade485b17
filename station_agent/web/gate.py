"""The door between a browser and the pages: whoever asks for a page of a patient has signed in here with a PIN.

The browser holds a token in a cookie that no script reads and no other site's page sends. What a page asks for by
itself (htmx's polls) does not count as somebody being there, so a desk that is left locks.
"""

from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from station_agent import clock
from station_agent.staff.sessions import Session, Sessions, touched

OPEN = ("/healthz", "/api/status", "/language", "/sign-in", "/first")
OPEN_BELOW = ("/static/", "/browser/")
"""Nothing about a patient is there."""
OWN_PIN = "/pin"
SIGN_IN = "/sign-in"
LEAVING = ("/sign-out", "/lock")


def cookie_name(port: int) -> str:
    """Return the cookie's name: a browser tells its cookies apart by host only, and two stations may share one."""
    return f"station_session_{port}"


def token_of(headers: Headers, name: str) -> str | None:
    """Return the token that a browser sent, or None."""
    try:
        held = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return held.value if held is not None else None


class Desk:
    """Who sits at which browser, by the cookie that it sends."""

    def __init__(self, sessions: Sessions, cookie: str) -> None:
        self.sessions = sessions
        self.cookie = cookie

    def find(self, headers: Headers) -> Session | None:
        """Return the session of a browser, locked or not, or None."""
        return self.sessions.find(token_of(headers, self.cookie), at=clock.since_boot())

    def lets(self, headers: Headers) -> bool:
        """Whether a browser may open a socket."""
        session = self.find(headers)
        return session is not None and not session.locked and not session.must_change


class Gate:
    """Lets in who has signed in, and shows the others where to do so."""

    def __init__(self, app: ASGIApp, *, desk: Desk) -> None:
        self._app = app
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), str(scope["path"])
        session = self._desk.find(headers)
        state = scope.setdefault("state", {})
        state["session"] = session if session is not None and not session.locked else None
        state["locked"] = session if session is not None and session.locked else None
        await self._way(session, path, headers, scope)(scope, receive, send)

    def _way(self, session: Session | None, path: str, headers: Headers, scope: Scope) -> ASGIApp:
        if path in OPEN or path.startswith(OPEN_BELOW):
            return self._app
        if session is None or session.locked:
            return self._app if session and path in LEAVING else _elsewhere(headers, _back(scope))
        if session.must_change and path not in (OWN_PIN, *LEAVING):
            return _elsewhere(headers, OWN_PIN)
        if somebody(headers, scope):
            touched(session, at=clock.since_boot())
        return self._app


def somebody(headers: Headers, scope: Scope) -> bool:
    """Whether a person did something; a page that looks for news by itself is nobody."""
    return scope["method"] != "GET" or "hx-request" not in headers


def _back(scope: Scope) -> str:
    return SIGN_IN if scope["method"] != "GET" else f"{SIGN_IN}?back={quote(str(scope['path']), safe='/')}"


def _elsewhere(headers: Headers, to: str) -> Response:
    """Go to another page; a part of a page that is asked for takes the whole page along (htmx: HX-Redirect)."""
    if "hx-request" in headers:
        current = headers.get("hx-current-url", "")
        path = "/" + current.split("://", 1)[-1].partition("/")[2].partition("?")[0] if current else "/"
        if to.startswith(SIGN_IN):
            to = SIGN_IN if path.startswith(SIGN_IN) else f"{SIGN_IN}?back={quote(path, safe='/')}"
        return Response(status_code=204, headers={"HX-Redirect": to})
    return RedirectResponse(to, status_code=303)
