"""Every page of the console, mounted on the application."""

from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

import clinic_net.protocol
from clinic_net.console import (
    account,
    authorize,
    board,
    conflicts,
    consultation,
    doctor,
    elsewhere,
    emergency,
    entrance,
    me,
    passkeys,
    people,
    privacy,
    programs,
    referral,
    trail,
)

_STATIC = Path(__file__).parent / "static"
_BROWSER = Path(clinic_net.protocol.__file__).parent / "browser"
"""What hub and station both serve to browsers: the wire's half in JavaScript, and htmx."""


def mount(app: FastAPI) -> None:
    """Add the pages and what their browsers load."""
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.mount("/browser", StaticFiles(directory=_BROWSER, check_dir=False), name="browser")
    mine = (entrance, authorize, programs, elsewhere, account, me, passkeys, people)
    for room in (*mine, doctor, consultation, referral, conflicts, board, emergency, privacy, trail):
        app.include_router(room.router, include_in_schema=False)
