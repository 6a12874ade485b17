"""The page where a person lets a program act for them: which program, what it would see and change, for whom.

The request itself stands in the address; it names no patient. Whom a person looks for and chooses goes in the
form's body. Whoever is not signed in signs in first: a cookie of this browser keeps the request meanwhile.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import http as access
from clinic_net.access.errors import AuthorizationRefused, NotSignedIn
from clinic_net.access.oauth import asking
from clinic_net.access.policy import may, scope_of
from clinic_net.access.principals import UserPrincipal
from clinic_net.console import permission
from clinic_net.console.pages import render
from clinic_net.fhir import parse_search
from clinic_net.kernel.asgi import lets_forms_lead_to
from clinic_net.kernel.errors import NotFound
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.proxies import own_address
from clinic_net.records import service as records
from clinic_net.records.searching import Searching, find

router = APIRouter()

PATH = "/oauth/authorize"
WAITING_COOKIE = "clinic_net_waiting"
"""The request of a program that waits until its person has signed in."""
_WAITS_S = 600
_LONGEST = 3000
_SHOWN = 10
_WORDS = 6


@dataclass(frozen=True)
class Person:
    """A patient to choose: FHIR id, and what tells them apart."""

    id: str
    name: str
    born: str
    sex: str


@dataclass(frozen=True)
class Visit:
    """A person at this page."""

    request: Request
    hub: Hub
    session: AsyncSession
    user: UserPrincipal
    now: datetime

    async def asked(self, query: str) -> asking.Asking:
        """Return what a program asks for.

        Raises:
            AuthorizationRefused: see :func:`asking.ask`.
        """
        try:
            pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=30)
        except ValueError:
            raise AuthorizationRefused("the request cannot be read") from None
        issuer = access.issuer_of(self.hub.settings)
        audiences = {issuer.fhir, f"{own_address(self.request, self.hub.settings)}/fhir"}
        return await asking.ask(
            self.session, pairs, user=self.user, issuer=issuer, audiences=audiences, now=self.now
        )


async def _visit(request: Request, hub: CurrentHub, session: UnitOfWork, now: Now) -> Visit | None:
    """Return who is signed in with this browser, None when nobody is; a token never agrees to anything."""
    if "authorization" in request.headers:
        return None
    try:
        caller = await access.principal_of(request, session, hub.settings, now=now)
    except NotSignedIn:
        return None
    assert isinstance(caller, UserPrincipal)
    return Visit(request, hub, session, caller, now)


Visiting = Annotated[Visit | None, Depends(_visit)]


@router.get(PATH)
async def ask(request: Request, hub: CurrentHub, visit: Visiting) -> Response:
    """Ask the person, once they are signed in."""
    query = request.url.query
    if visit is not None:
        return await _page(visit, query)
    response = RedirectResponse("/sign-in", 303)
    if len(query) <= _LONGEST:
        _wait(response, query, secure=hub.settings.public_url.startswith("https:"))
    return response


@router.post(PATH)
async def answer(visit: Visiting) -> Response:
    """Take the person's answer, or look for a patient.

    Raises:
        NotSignedIn: nobody is signed in.
    """
    if visit is None:
        raise NotSignedIn
    form = await visit.request.form(max_files=0, max_fields=1000)
    query, decision = str(form.get("request", "")), str(form.get("decision", ""))
    if decision not in ("allow", "deny"):
        ticked = frozenset(str(value) for value in form.getlist("scope"))
        return await _page(visit, query, name=str(form.get("name", ""))[:80], ticked=ticked)
    session, user, now = visit.session, visit.user, visit.now
    issuer = access.issuer_of(visit.hub.settings)
    try:
        asked = await visit.asked(query)
        if decision == "deny":
            return _refused(visit, await asking.deny(session, asked, user=user, issuer=issuer, now=now))
        patient = await _chosen(visit, str(form.get("patient", "")))
        chosen = permission.chosen_of([str(value) for value in form.getlist("scope")], asked.offer)
        if patient is None and asked.launched_for is None and _about_one(chosen):
            ticked = frozenset(str(value) for value in form.getlist("scope"))
            return await _page(visit, query, problem="patient", ticked=ticked)
        location = await asking.allow(
            session, asked, user=user, chosen=chosen, patient=patient, issuer=issuer, now=now
        )
    except AuthorizationRefused as refusal:
        return _refused(visit, refusal)
    return _back(location)


async def _page(
    visit: Visit,
    query: str,
    *,
    name: str | None = None,
    problem: str | None = None,
    ticked: frozenset[str] | None = None,
) -> Response:
    """Show the page; ``ticked`` are the lines that the person left ticked so far, None means all."""
    try:
        asked = await visit.asked(query)
    except AuthorizationRefused as refusal:
        return _refused(visit, refusal)
    facts: dict[str, Any] = {"query": query, "asked": asked, "lines": permission.lines_of(asked.offer)}
    known = asked.launched_for or visit.user.patient
    facts["known"] = None if known is None else await _known(visit, known)
    facts["choose"] = asked.offer.wants_patient and known is None
    facts["found"] = None if name is None else await _found(visit, name.strip())
    lets_forms_lead_to(visit.request, origin_of(asked.wish.redirect_uri))
    status = 422 if problem else 200
    return render(
        visit.request,
        "authorize.html",
        user=visit.user,
        status=status,
        name=name or "",
        problem=problem,
        ticked=ticked,
        **facts,
    )


def _about_one(chosen: str) -> bool:
    return "launch/patient" in chosen.split(" ") or any(w.startswith("patient/") for w in chosen.split(" "))


async def _chosen(visit: Visit, fid: str) -> str | None:
    """Return the FHIR id of a patient whom the person chose and may see; a citizen is always their own."""
    if visit.user.patient is not None:
        return visit.user.patient
    return fid if fid and await _known(visit, fid) is not None else None


async def _known(visit: Visit, fid: str) -> Person | None:
    by = visit.user
    try:
        stored = await records.read(
            visit.session, "Patient", fid, scope=scope_of(by), now=visit.now, by=by.address
        )
    except NotFound:
        return None
    return _person_of(stored)


async def _found(visit: Visit, text: str) -> list[Person]:
    """Return the patients of a name or a number whom the person may see."""
    if not text or not may(visit.user, "Patient", "s"):
        return []
    by = "identifier" if any(letter.isdigit() for letter in text) else "name"
    words = re.split(r"[\s,|$\\]+", text)[:_WORDS]
    asked = parse_search("Patient", [*((by, word) for word in words if word), ("_count", str(_SHOWN))])
    found = await find(visit.session, asked, Searching(visit.user, visit.now))
    return [_person_of(stored) for stored in found.entries]


def _person_of(stored: records.Stored) -> Person:
    content = json.loads(stored.text)
    names = content.get("name") or [{}]
    name = names[0].get("text") or " ".join([names[0].get("family", ""), *names[0].get("given", [])])
    return Person(stored.fid, name.strip(), content.get("birthDate", ""), content.get("gender", ""))


def _refused(visit: Visit, refusal: AuthorizationRefused) -> Response:
    """Tell the program, if its address is its own; else the person, and lead nowhere."""
    if refusal.location is not None:
        return _back(refusal.location)
    return render(visit.request, "authorize_refused.html", user=visit.user, status=400)


def _back(location: str) -> Response:
    return RedirectResponse(location, 302)


def origin_of(address: str) -> str:
    """Return an address's origin, as a Content-Security-Policy names it; a program's own scheme stands alone."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


def _wait(response: Response, query: str, *, secure: bool) -> None:
    kept = urlsafe_b64encode(query.encode()).decode()
    response.set_cookie(
        WAITING_COOKIE, kept, max_age=_WAITS_S, httponly=True, samesite="lax", secure=secure, path="/"
    )


def waiting(request: Request) -> Response | None:
    """Return the way on to what a program asked before its person signed in; None when none did."""
    kept = request.cookies.get(WAITING_COOKIE)
    if not kept:
        return None
    try:
        query = urlsafe_b64decode(kept.encode()).decode("ascii")
    except ValueError:
        query = ""
    response = RedirectResponse(f"{PATH}?{query}" if query.isprintable() else "/", 303)
    response.delete_cookie(WAITING_COOKIE, path="/", httponly=True, samesite="lax")
    return response
