"""The demo's switch: a page that cuts a station's link to the hub, or makes it as slow as a bad telephone line."""

import threading
from html import escape

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tools.demo.link import Link

SLOW = 8_000
"""Bytes a second: 64 kbit/s, a station in the mountains on a rainy day."""

_STATES = {
    "up": ("Đang nối", "connected"),
    "slow": ("Chậm: 64 kbit/s", "slow: 64 kbit/s"),
    "cut": ("Đã cắt", "cut"),
}
_BUTTONS = {
    "up": ("Nối lại", "connect"),
    "slow": ("Làm chậm", "slow down"),
    "cut": ("Cắt đường truyền", "cut the link"),
}

_PAGE = """<!doctype html>
<html lang="vi"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{state} – {station}</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 3rem auto; padding: 0 1rem; }}
button {{ font: inherit; display: block; width: 100%; padding: 1rem; margin: .75rem 0; border-radius: .5rem;
border: 2px solid #555; background: #fff; cursor: pointer; }}
button[disabled] {{ background: #e6f0ea; border-color: #2b6a4d; color: inherit; }}
small {{ color: #444; }}
</style></head>
<body><h1>Đường truyền của trạm {station}</h1>
<p>Đang là / now: <strong>{state}</strong> <small lang="en">({english})</small></p>
<form method="post">{buttons}</form>
<p><small>Chỉ có trong bản trình diễn. <span lang="en">Only the demonstration has this switch.</span></small></p>
</body></html>"""


class Switch:
    """Serves the page on loopback, in a thread of its own."""

    def __init__(self, link: Link, *, station: str, port: int) -> None:
        self._link = link
        self._station = station
        app = Starlette(routes=[Route("/", self._show), Route("/", self._turn, methods=["POST"])])
        config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="switch", daemon=True)
        self.url = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        """Serve from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Serve no more."""
        self._server.should_exit = True
        self._thread.join(10)

    @property
    def state(self) -> str:
        """``up``, ``slow`` or ``cut``."""
        if not self._link.is_up:
            return "cut"
        return "up" if self._link.speed is None else "slow"

    def turn(self, wanted: str) -> None:
        """Bring the link into a state; an unknown one changes nothing."""
        if wanted == "cut":
            self._link.cut()
        elif wanted in _STATES:
            self._link.speed = SLOW if wanted == "slow" else None
            self._link.restore()

    def _show(self, _: Request) -> Response:
        now = self.state
        buttons = "".join(
            f'<button name="turn" value="{state}"{" disabled" if state == now else ""}>{escape(words)} '
            f'<small lang="en">({english})</small></button>'
            for state, (words, english) in _BUTTONS.items()
        )
        state, english = _STATES[now]
        page = _PAGE.format(station=escape(self._station), state=state, english=english, buttons=buttons)
        return HTMLResponse(page)

    async def _turn(self, request: Request) -> Response:
        form = await request.form()
        self.turn(str(form.get("turn", "")))
        return RedirectResponse("/", 303)
