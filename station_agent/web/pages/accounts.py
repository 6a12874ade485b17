"""The people of this station, for who leads it: add, give a new PIN, let go, take back."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from station_agent.errors import StaffRefusal, UnknownRecord
from station_agent.forms.common import text_of
from station_agent.staff import pins, service, store
from station_agent.staff.store import Account
from station_agent.store import Tx, rescue
from station_agent.web.pages.common import agent_of, fields_of, form_of, now, see, session_of
from station_agent.web.render import page


def _lead(request: Request) -> str:
    session = session_of(request)
    if not session.lead:
        raise UnknownRecord("this page is for who leads the station")
    return session.login


async def people(request: Request) -> Response:
    """Everybody who works here, and what happened with the accounts."""
    _lead(request)
    return await _page(request)


async def _page(
    request: Request, *, problem: str = "", given: tuple[Account, str] | None = None, status: int = 200
) -> Response:
    def gather(tx: Tx) -> dict[str, Any]:
        return {"people": store.everybody(tx), "events": store.events(tx, limit=30)}

    found = await agent_of(request).database.run(gather)
    at = now()
    resting = {account.id for account in found["people"] if service.rests(account, at)}
    return page(request, "staff.html", status=status, problem=problem, given=given, resting=resting, **found)


async def add(request: Request) -> Response:
    """Add somebody and show, once, the PIN to begin with."""
    by, at = _lead(request), now()
    fields = fields_of(await form_of(request))
    name, lead = text_of(fields, "name", longest=60), fields.get("lead") == "1"
    return await _with_pin(request, lambda tx: service.add(tx, name, by=by, lead=lead, now=at), by)


async def give_pin(request: Request) -> Response:
    """Give somebody who forgot it a new PIN; where they are signed in they are no more."""
    by, login = _lead(request), str(request.path_params["login"])

    def find(tx: Tx) -> Account:
        account = store.find(tx, login)
        if account is None:
            raise UnknownRecord("no such account")
        return account

    request.app.state.desk.sessions.end_of(login)
    return await _with_pin(request, find, by)


async def _with_pin(request: Request, whom: Callable[[Tx], Account], by: str) -> Response:
    pin, at, agent = pins.one_time(), now(), agent_of(request)
    kept = await pins.hash_of(pin)

    def give(tx: Tx) -> Account:
        account = whom(tx)
        service.give_pin(tx, account.id, kept, by=by, now=at)
        rescue.keep(tx, agent.options.directory)
        return account

    try:
        account = await agent.database.run(give)
    except StaffRefusal as refusal:
        return await _page(request, problem=refusal.code, status=422)
    return await _page(request, given=(account, pin))


async def change(request: Request) -> Response:
    """Let somebody go, or take them back."""
    by, login, at, agent = _lead(request), str(request.path_params["login"]), now(), agent_of(request)
    act = {"go": service.let_go, "back": service.take_back}.get(str(request.path_params["what"]))
    if act is None:
        raise UnknownRecord("no such page")

    def do(tx: Tx) -> None:
        act(tx, login, by=by, now=at)
        rescue.keep(tx, agent.options.directory)

    try:
        await agent.database.run(do)
    except StaffRefusal as refusal:
        return await _page(request, problem=refusal.code, status=422)
    request.app.state.desk.sessions.end_of(login)
    return see("/staff")


routes: list[BaseRoute] = [
    Route("/staff", people),
    Route("/staff", add, methods=["POST"]),
    Route("/staff/{login}/pin", give_pin, methods=["POST"]),
    Route("/staff/{login}/{what}", change, methods=["POST"]),
]
