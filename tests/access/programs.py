"""A program that acts for a person, as its maker would write it, and the person who agrees in a browser."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from html import unescape
from re import findall
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import httpx

from clinic_net.access.oauth import clients
from clinic_net.access.policy import scope_of
from clinic_net.access.principals import UserPrincipal
from clinic_net.kernel.hub import Hub
from clinic_net.records import service as records

HUB = "http://hub.test"
BACK = "https://app.example/back"
SCOPE = "openid fhirUser launch/patient offline_access patient/*.rs"


async def add_patient(hub: Hub, by: UserPrincipal, name: str) -> str:
    """Store a patient of the place where ``by`` works."""
    fid = str(uuid4())
    resource = {"resourceType": "Patient", "id": fid, "name": [{"text": name}], "birthDate": "1980-02-03"}
    async with hub.sessions() as session, session.begin():
        await records.put(
            session,
            json.dumps(resource).encode(),
            rtype="Patient",
            fid=fid,
            scope=scope_of(by),
            author=by.address,
            tenant=by.facility,
            now=hub.now(),
            if_match=None,
        )
    return fid


@dataclass
class Program:
    """A registered program and what it holds."""

    id: str
    secret: str | None = None
    scope: str = SCOPE
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(40))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(8))

    @classmethod
    async def register(cls, hub: Hub, *, scope: str = SCOPE, public: bool = False, **more: Any) -> "Program":
        new = clients.NewClient("Ứng dụng thử", scope, (BACK,), public=public, **more)
        async with hub.sessions() as session, session.begin():
            client_id, secret = await clients.register(session, new, now=hub.now())
        return cls(client_id, secret, scope)

    def request(self, **changed: str | None) -> str:
        """Return the address to which it sends the person."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest())
        asked: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": BACK,
            "scope": self.scope,
            "state": self.state,
            "aud": f"{HUB}/fhir",
            "nonce": "n-1",
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        kept = {name: value for name, value in (asked | changed).items() if value is not None}
        return f"/oauth/authorize?{urlencode(kept)}"

    async def token(self, web: httpx.AsyncClient, form: dict[str, str], **more: Any) -> httpx.Response:
        """Ask the token endpoint as this program."""
        if self.secret is None:
            return await web.post("/oauth/token", data={**form, "client_id": self.id}, **more)
        return await web.post("/oauth/token", data=form, auth=(self.id, self.secret), **more)

    async def redeem(self, web: httpx.AsyncClient, code: str, **changed: str) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": self.verifier,
        }
        return await self.token(web, form | changed)

    async def refresh(self, web: httpx.AsyncClient, token: str, **more: str) -> httpx.Response:
        return await self.token(web, {"grant_type": "refresh_token", "refresh_token": token, **more})

    async def whole(self, person: httpx.AsyncClient, patient: str | None, **changed: str) -> dict[str, Any]:
        """Go all the way, with a person who agrees to everything; return the token endpoint's answer."""
        code = back(await agree(person, self.request(**changed), patient=patient))["code"]
        answer = await self.redeem(person, code)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


async def agree(
    person: httpx.AsyncClient, address: str, *, patient: str | None = None, decision: str = "allow",
    only: set[str] | None = None,
) -> httpx.Response:  # fmt: skip
    """Open the page as a browser does and send its form, with the ticks that are ``only`` left."""
    page = await person.get(address)
    assert page.status_code == 200, (page.status_code, page.headers.get("location"))
    ticks = [unescape(value) for value in findall(r'name="scope" value="([^"]+)"', page.text)]
    form: dict[str, Any] = {"request": urlsplit(address).query, "decision": decision}
    form["scope"] = [tick for tick in ticks if only is None or tick in only]
    if patient is not None:
        form["patient"] = patient
    return await person.post("/oauth/authorize", data=form)


def back(answer: httpx.Response) -> dict[str, str]:
    """Return what a program is told by the address that the browser is sent to."""
    assert answer.status_code == 302, answer.text
    location = answer.headers["location"]
    assert location.startswith(f"{BACK}?"), location
    return dict(parse_qsl(urlsplit(location).query))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Accept": "application/fhir+json"}
