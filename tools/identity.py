"""A stand-in for a national mobile identity: an OpenID Connect provider with invented people, for the demo and tests.

It speaks what a real provider speaks (discovery, authorization code with PKCE, ES256 identity tokens) and says
how sure it is of somebody by ``acr``: ``level1`` for who only knows the telephone, ``level2`` for who also showed a
face. Whoever opens its page chooses who they are: never let it near real people. Run it with
``python -m tools.identity --port 8099 --client-id hub --redirect-uri http://127.0.0.1:8080/sign-in/elsewhere/back``.
"""

import argparse
import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

LEVELS = ("level1", "level2")
_CODE_LASTS_S = 60
_PARAMETERS = ("client_id", "redirect_uri", "state", "nonce", "code_challenge", "response_type")


@dataclass
class Identity:
    """The provider. ``people`` are names by subject; ``alter`` and ``signing`` let a test spoil what it signs."""

    issuer: str
    client_id: str
    redirect_uri: str
    people: dict[str, str]
    now: Callable[[], float] = time.time
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "identity-1"}))
    signing: ECKey | None = None
    alter: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def app(self) -> Starlette:
        """Return it as a program that a server runs."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.describe),
                Route("/jwks", self.keys),
                Route("/authorize", self.ask, methods=["GET"]),
                Route("/authorize", self.agree, methods=["POST"]),
                Route("/token", self.token, methods=["POST"]),
            ]
        )

    async def describe(self, _: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "response_types_supported": ["code"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["ES256"],
                "acr_values_supported": list(LEVELS),
            }
        )

    async def keys(self, _: Request) -> Response:
        return JSONResponse({"keys": [{**self.key.as_dict(private=False), "alg": "ES256", "use": "sig"}]})

    def _in_order(self, asked: dict[str, str]) -> bool:
        return (
            asked.get("client_id") == self.client_id
            and asked.get("redirect_uri") == self.redirect_uri
            and asked.get("response_type") == "code"
            and bool(asked.get("code_challenge"))
        )

    async def ask(self, request: Request) -> Response:
        """Show who one can be."""
        asked = {name: request.query_params.get(name, "") for name in _PARAMETERS}
        if not self._in_order(asked):
            return HTMLResponse("<h1>400</h1>", 400)
        kept = "".join(f'<input type="hidden" name="{n}" value="{escape(v)}">' for n, v in asked.items())
        buttons = "".join(
            f'<p><button name="person" value="{escape(subject)} {level}">{escape(name)} ({level})</button></p>'
            for subject, name in self.people.items()
            for level in LEVELS
        )
        return HTMLResponse(f'<h1>Định danh thử nghiệm</h1><form method="post">{kept}{buttons}</form>')

    async def agree(self, request: Request) -> Response:
        """Send the browser back with a code."""
        form = {name: str(value) for name, value in (await request.form()).items()}
        subject, _, level = form.get("person", "").partition(" ")
        if not self._in_order(form) or subject not in self.people or level not in LEVELS:
            return HTMLResponse("<h1>400</h1>", 400)
        code = secrets.token_urlsafe(24)
        self.codes[code] = {**form, "subject": subject, "level": level, "at": str(self.now())}
        back = {"code": code, "state": form["state"], "iss": self.issuer}
        return RedirectResponse(f"{self.redirect_uri}?{urlencode(back)}", 303)

    async def token(self, request: Request) -> Response:
        """Exchange a code for an identity token, once."""
        form = {name: str(value) for name, value in (await request.form()).items()}
        known = self.codes.pop(form.get("code", ""), None)
        hashed = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = urlsafe_b64encode(hashed).rstrip(b"=").decode()
        if (
            known is None
            or self.now() - float(known["at"]) > _CODE_LASTS_S
            or form.get("redirect_uri") != self.redirect_uri
            or not hmac.compare_digest(challenge, known["code_challenge"])
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse(
            {
                "access_token": secrets.token_urlsafe(16),
                "token_type": "Bearer",
                "id_token": self._signed(known),
            }
        )

    def _signed(self, known: dict[str, str]) -> str:
        now = int(self.now())
        claims = {
            "iss": self.issuer,
            "sub": known["subject"],
            "aud": self.client_id,
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "nonce": known["nonce"],
            "acr": known["level"],
        }
        header = {"alg": "ES256", "kid": "identity-1"}
        return jwt.encode(header, self.alter(claims), self.signing or self.key, algorithms=["ES256"])


def main() -> None:
    """Run it on this computer."""
    made = argparse.ArgumentParser(description="a stand-in for a national mobile identity")
    made.add_argument("--port", type=int, default=8099)
    made.add_argument("--client-id", default="hub")
    made.add_argument("--redirect-uri", required=True)
    made.add_argument("--person", action="append", default=[], metavar="SUBJECT=NAME")
    given = made.parse_args()
    people = dict(person.split("=", 1) for person in given.person) or {"p-001": "Nguyễn Văn Thử"}
    identity = Identity(f"http://127.0.0.1:{given.port}", given.client_id, given.redirect_uri, people)
    uvicorn.run(identity.app(), host="127.0.0.1", port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
