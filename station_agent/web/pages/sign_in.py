"""Coming to the desk and leaving it: signing in with a PIN, locking, opening again, going."""

from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from station_agent import clock
from station_agent.errors import StaffRefusal
from station_agent.forms.common import text_of
from station_agent.staff import pins, service, store
from station_agent.staff.store import Account
from station_agent.store import Tx, rescue
from station_agent.web import gate
from station_agent.web.pages.common import agent_of, fields_of, form_of, local, now, see, session_of
from station_agent.web.render import page

WRONG = StaffRefusal("wrong", "name and PIN do not fit")


def cookie_of(request: Request) -> str:
    """Return the name of this station's cookie."""
    return str(request.app.state.desk.cookie)


async def _sign_in_page(
    request: Request, *, problem: str = "", login: str = "", status: int = 200
) -> Response:
    people = await agent_of(request).database.run(store.may_sign_in)
    back = local(request.query_params.get("back", "/"))
    if not people:
        return page(request, "first.html", status=status, problem=problem, back=back, people=[])
    locked = request.state.locked
    chosen = login or (locked.login if locked else "") or (people[0].id if len(people) == 1 else "")
    return page(
        request, "sign_in.html", status=status, people=people, chosen=chosen, problem=problem, back=back,
        was_here=locked,
    )  # fmt: skip


async def sign_in(request: Request) -> Response:
    """Who are you? At the very first, the form of the first account."""
    if request.state.session is not None:
        return see(local(request.query_params.get("back", "/")))
    return await _sign_in_page(request)


async def came(request: Request) -> Response:
    """Look at a PIN; a new session each time, so that nobody brings a token of their own."""
    fields, at = fields_of(await form_of(request)), now()
    login, pin = fields.get("login", ""), fields.get("pin", "")
    try:
        account = await _check(request, login, pin, at)
    except StaffRefusal as refusal:
        status = 429 if refusal.code in ("locked", "busy") else 403
        return await _sign_in_page(request, problem=refusal.code, login=login, status=status)
    return _let_in(request, account, local(fields.get("back", "/")))


async def _check(request: Request, login: str, pin: str, at: datetime) -> Account:
    database = agent_of(request).database
    tried = await database.run(lambda tx: service.try_pin(tx, login, now=at))
    if not await pins.fit(pin, tried.kept):
        await database.run(lambda tx: service.was_refused(tx, login, now=at))
        raise WRONG
    return await database.run(lambda tx: service.came(tx, login, now=at))


async def first(request: Request) -> Response:
    """The first account, made at the station's own computer."""
    fields, at = fields_of(await form_of(request)), now()
    agent = agent_of(request)
    if request.url.scheme != "http":
        return await _sign_in_page(request, problem="first-here", status=403)
    if fields.get("pin", "") != fields.get("again", ""):
        return await _sign_in_page(request, problem="pin-again", status=422)
    try:
        kept = await pins.hash_of(fields.get("pin", ""))

        def make(tx: Tx) -> Account:
            made = service.first(tx, text_of(fields, "name", longest=60), kept, now=at)
            rescue.keep(tx, agent.options.directory)
            return made

        account = await agent.database.run(make)
    except StaffRefusal as refusal:
        return await _sign_in_page(request, problem=refusal.code, status=422)
    return _let_in(request, account, "/")


def _let_in(request: Request, account: Account, back: str) -> Response:
    sessions, name = request.app.state.desk.sessions, cookie_of(request)
    sessions.end(request.cookies.get(name))
    token = sessions.start(
        account.id, account.name, lead=account.lead, must_change=account.must_change, at=clock.since_boot()
    )
    answer = see(gate.OWN_PIN if account.must_change else back)
    answer.set_cookie(
        name, token, httponly=True, samesite="strict", path="/", secure=request.url.scheme == "https"
    )
    return answer


async def lock(request: Request) -> Response:
    """Leave the desk for a moment."""
    session = request.state.session
    if session is not None:
        session.locked = True
    return see(f"{gate.SIGN_IN}?back={local(fields_of(await form_of(request)).get('back', '/'))}")


async def sign_out(request: Request) -> Response:
    """Go."""
    request.app.state.desk.sessions.end(request.cookies.get(cookie_of(request)))
    answer = see(gate.SIGN_IN)
    answer.delete_cookie(cookie_of(request), path="/")
    return answer


async def own_pin(request: Request) -> Response:
    """Choose a PIN of one's own."""
    return page(request, "pin.html", problem="")


async def change_pin(request: Request) -> Response:
    """Take a new PIN, after the old one."""
    fields, at = fields_of(await form_of(request)), now()
    session, agent = session_of(request), agent_of(request)
    old, new = fields.get("old", ""), fields.get("pin", "")

    def problem(code: str, status: int = 422) -> Response:
        return page(request, "pin.html", status=status, problem=code)

    if new != fields.get("again", ""):
        return problem("pin-again")
    if new == old:
        return problem("pin-same")
    try:
        await _check(request, session.login, old, at)
        kept = await pins.hash_of(new)
    except StaffRefusal as refusal:
        return problem(refusal.code, 429 if refusal.code in ("locked", "busy") else 422)

    def change(tx: Tx) -> None:
        service.change_pin(tx, session.login, kept, now=at)
        rescue.keep(tx, agent.options.directory)

    await agent.database.run(change)
    request.app.state.desk.sessions.end_of(session.login)
    account: Any = await agent.database.run(lambda tx: store.find(tx, session.login))
    return _let_in(request, account, "/")


routes: list[BaseRoute] = [
    Route(gate.SIGN_IN, sign_in),
    Route(gate.SIGN_IN, came, methods=["POST"]),
    Route("/first", first, methods=["POST"]),
    Route("/lock", lock, methods=["POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
    Route(gate.OWN_PIN, own_pin),
    Route(gate.OWN_PIN, change_pin, methods=["POST"]),
]
