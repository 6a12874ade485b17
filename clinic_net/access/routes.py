"""``/access/v1/session`` for people; devices, systems and programs come by ``/oauth`` (``oauth/routes.py``)."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel

from clinic_net.access import browsers, http
from clinic_net.access.oauth.routes import router as oauth_routes
from clinic_net.access.principals import UserPrincipal
from clinic_net.access.proof.errors import SignInUnfinished
from clinic_net.kernel.http import Now, UnitOfWork

router = APIRouter()
router.include_router(oauth_routes)


class SessionView(BaseModel):
    """Who is signed in."""

    login: str
    name: str
    role: str
    facility: str
    language: str


def _view(user: UserPrincipal) -> SessionView:
    return SessionView(
        login=user.login, name=user.name, role=user.role, facility=user.facility, language=user.language
    )


@router.post("/access/v1/session")
async def sign_in(
    request: Request,
    response: Response,
    login: Annotated[str, Form()],
    password: Annotated[str, Form()],
    code: Annotated[str, Form()] = "",
) -> SessionView:
    """Sign in; the cookie comes with the answer. ``code`` is the second factor, of who has one."""
    try:
        return _view(await browsers.sign_in(request, response, login, password))
    except SignInUnfinished as unfinished:
        if not code:
            raise
        return _view(await browsers.sign_in_with_code(request, response, unfinished, code))


@router.get("/access/v1/session")
async def who(user: http.CurrentUser) -> SessionView:
    """Say who is signed in."""
    return _view(user)


@router.delete("/access/v1/session", status_code=204)
async def sign_out(request: Request, response: Response, session: UnitOfWork, now: Now) -> None:
    """Sign out; the same when nobody was signed in."""
    await browsers.sign_out(request, response, session, now=now)
