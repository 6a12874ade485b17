"""Every page of the console, mounted on the application."""

from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

import clinic_net.protocol
from clinic_net.console import board, consultation, doctor, emergency, entrance, me, referral

_STATIC = Path(__file__).parent / "static"
_BROWSER = Path(clinic_net.protocol.__file__).parent / "browser"
"""What hub and station both serve to browsers: the wire's half in JavaScript, and htmx."""


def mount(app: FastAPI) -> None:
    """Add the pages and what their browsers load."""
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.mount("/browser", StaticFiles(directory=_BROWSER, check_dir=False), name="browser")
    for room in (entrance, doctor, consultation, referral, board, emergency, me):
        app.include_router(room.router, include_in_schema=False)
