"""What the handlers share."""

from collections.abc import Mapping
from datetime import datetime
from typing import NoReturn

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse

from station_agent import clock
from station_agent.agent import Agent
from station_agent.errors import UnknownRecord
from station_agent.ids import is_uuid
from station_agent.service import Doing
from station_agent.staff.sessions import Session
from station_agent.web.words import VIETNAM

MAX_FIELDS = 300


def agent_of(request: Request) -> Agent:
    """Return the agent that this page belongs to."""
    agent: Agent = request.app.state.agent
    return agent


def session_of(request: Request) -> Session:
    """Return who sits at this browser; the gate lets nobody else through."""
    session: Session = request.state.session
    return session


def doing(request: Request, now: datetime) -> Doing:
    """Return who works now: the nurse who signed in at this browser."""
    session = session_of(request)
    return Doing(f"nurse:{session.login}", now, session.name)


def local(path: str) -> str:
    """Return a path of this station's pages, or the first page for anything else."""
    good = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if good else "/"


def day_start(now: datetime) -> str:
    """Return the beginning of today in Vietnam, as an ISO instant in UTC."""
    midnight = now.astimezone(VIETNAM).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.astimezone(now.tzinfo).strftime("%Y-%m-%dT%H:%M:%SZ")


async def form_of(request: Request) -> FormData:
    """Read a form: texts only."""
    return await request.form(max_files=0, max_fields=MAX_FIELDS)


def fields_of(form: FormData) -> dict[str, str]:
    """Return the single values of a form."""
    return {key: value for key, value in form.items() if isinstance(value, str)}


def listed(form: FormData, field: str) -> list[str]:
    """Return the values of a field that may come often."""
    return [value for value in form.getlist(field) if isinstance(value, str)]


def id_in_path(request: Request) -> str:
    """Return the id in the path.

    Raises:
        UnknownRecord: it is none that a station or a hub gives.
    """
    rid = str(request.path_params["id"])
    if not all(letter.isascii() and (letter.isalnum() or letter in "-.") for letter in rid) or len(rid) > 64:
        _unknown()
    return rid


def id_in_form(fields: Mapping[str, str], name: str = "id") -> str:
    """Return the id that a form was made with.

    Raises:
        UnknownRecord: the form has none.
    """
    if not is_uuid(fields.get(name, "")):
        _unknown()
    return fields[name]


def _unknown() -> NoReturn:
    raise UnknownRecord("no such record on this computer")


def see(path: str) -> RedirectResponse:
    """Go to a page after a form was saved; a reload then repeats nothing."""
    return RedirectResponse(path, status_code=303)


def now() -> datetime:
    """Return the instant at which a request is handled."""
    return clock.now()
