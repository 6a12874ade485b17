"""Attacks on tokens and on the authorization server, against the whole application. Each names its line of the list."""

import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from sqlalchemy import text
from sqlmodel import col, select

from clinic_net.access import service as access
from clinic_net.access.keys import Use, derive
from clinic_net.access.oauth import clients, dpop
from clinic_net.access.principals import Role
from clinic_net.audit.balp import render
from clinic_net.audit.model import AuditEvent
from clinic_net.kernel.hub import Hub, open_hub
from tests.access.programs import BACK, HUB, Program, add_patient, agree, back, bearer
from tests.console.support import Person, add_person, app_of, browser, signed_in
from tests.consultations.support import make_district

TOKEN_URL = f"{HUB}/oauth/token"
RECORDS = f"{HUB}/fhir/Patient"


@pytest.fixture(scope="module")
async def district(hub: Hub) -> Hub:
    await make_district(hub)
    return hub


@pytest.fixture(scope="module")
def app(district: Hub) -> FastAPI:
    return app_of(district)


@pytest.fixture(scope="module")
async def doctor(district: Hub) -> Person:
    return await add_person(district, Role.DOCTOR)


@pytest.fixture(scope="module")
async def patient(district: Hub, doctor: Person) -> str:
    return await add_patient(district, doctor.user, "Giàng Thị Chọn")


@pytest.fixture
async def person(app: FastAPI, doctor: Person) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in(app, doctor) as client:
        yield client


@pytest.fixture
async def web(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(app) as client:
        yield client


@pytest.fixture
async def program(district: Hub) -> Program:
    return await Program.register(district)


@dataclass
class System:
    """A system that signs with a key of its own (``private_key_jwt``)."""

    id: str
    key: ECKey | RSAKey
    algorithm: str = "ES256"
    kid: str = "k1"

    @classmethod
    async def register(cls, hub: Hub, key: ECKey | RSAKey, algorithm: str, **more: Any) -> "System":
        jwks = {"keys": [{**key.as_dict(private=False), "kid": "k1"}]}
        new = clients.NewClient("Bệnh viện", "system/*.rs", jwks=jwks, **more)
        async with hub.sessions() as session, session.begin():
            client_id, secret = await clients.register(session, new, now=hub.now())
        assert secret is None
        return cls(client_id, key, algorithm)

    def claims(self, hub: Hub, **changed: Any) -> dict[str, Any]:
        said = {"iss": self.id, "sub": self.id, "aud": TOKEN_URL, "jti": str(uuid4())}
        said |= {"exp": int(hub.now().timestamp()) + 60} | changed
        return {name: value for name, value in said.items() if value is not None}

    def assertion(self, hub: Hub, header: dict[str, Any] | None = None, **changed: Any) -> str:
        headers = {"alg": self.algorithm, "kid": self.kid} | (header or {})
        return jwt.encode(headers, self.claims(hub, **changed), self.key, algorithms=[self.algorithm])


async def ask(web: httpx.AsyncClient, assertion: str, **headers: str) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion,
    }
    return await web.post("/oauth/token", data=form, headers=headers)


@pytest.fixture
async def system(district: Hub) -> System:
    return await System.register(district, ECKey.generate_key("P-256"), "ES256")


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)
    )
    return f"{'.'.join(parts)}."


def own_claims(hub: Hub, **changed: Any) -> dict[str, Any]:
    """What a right access token of a system says, but for ``changed``."""
    now = int(hub.now().timestamp())
    said = {"iss": HUB, "aud": HUB, "kind": "client", "scope": "system/*.cruds", "iat": now, "exp": now + 60}
    said |= {"sub": "client-1", "client_id": "client-1", "jti": "1"} | changed
    return {name: value for name, value in said.items() if value is not None}


def signed_here(hub: Hub, claims: dict[str, Any], kind: str = "at+jwt") -> str:
    """Sign with the hub's own key: what only a stolen key or a mistake of ours could make."""
    key = OctKey.import_key(derive(hub.settings.token_key, Use.ACCESS_TOKEN))
    return jwt.encode({"alg": "HS256", "typ": kind}, claims, key, algorithms=["HS256"])


async def test_no_algorithm_but_ours_opens_the_records(
    district: Hub,
    web: httpx.AsyncClient,
    system: System,
) -> None:
    """#1: ``alg: none``, HS256 with our public key as secret, ES256 and RS256 with another's key."""
    claims = own_claims(district, sub=system.id, client_id=system.id)
    assert (await web.get("/fhir/Patient", headers=bearer(signed_here(district, claims)))).status_code == 200
    published = ECKey.import_key((await web.get("/oauth/jwks")).json()["keys"][0])
    public = OctKey.import_key(base64.b64encode(published.as_pem(private=False)))
    ec, rsa = ECKey.generate_key("P-256"), RSAKey.generate_key(2048)
    forged = [
        unsigned({"alg": "none", "typ": "at+jwt"}, claims),
        jwt.encode({"alg": "HS256", "typ": "at+jwt"}, claims, public, algorithms=["HS256"]),
        jwt.encode({"alg": "ES256", "typ": "at+jwt"}, claims, ec, algorithms=["ES256"]),
        jwt.encode({"alg": "RS256", "typ": "at+jwt"}, claims, rsa, algorithms=["RS256"]),
    ]
    answers = [await web.get("/fhir/Patient", headers=bearer(token)) for token in forged]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1


async def test_no_algorithm_but_the_registered_one_proves_a_system(
    district: Hub,
    web: httpx.AsyncClient,
    system: System,
) -> None:
    """#1 at the token endpoint; each try is in the audit trail, and each answer alike but for its words."""
    assert (await ask(web, system.assertion(district))).status_code == 200
    claims = system.claims(district)
    public = OctKey.import_key(base64.b64encode(system.key.as_pem(private=False)))
    other, rsa = ECKey.generate_key("P-256"), RSAKey.generate_key(2048)
    for forged in (
        unsigned({"alg": "none", "kid": "k1"}, claims),
        jwt.encode({"alg": "HS256", "kid": "k1"}, claims, public, algorithms=["HS256"]),
        jwt.encode({"alg": "ES256", "kid": "k1"}, claims, other, algorithms=["ES256"]),
        jwt.encode({"alg": "RS256", "kid": "k1"}, claims, rsa, algorithms=["RS256"]),
    ):
        before = await _refusals(district)
        answer = await ask(web, forged)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert await _refusals(district) == before + 1


async def _refusals(hub: Hub) -> int:
    said = text(
        "select count(*) from audit_event where action = 'oauth.token' and outcome = 'oauth-invalid-client'"
    )
    async with hub.sessions() as session:
        return int((await (await session.connection()).execute(said)).scalar_one())


@pytest.mark.parametrize(("kind", "algorithm"), [("P-384", "ES384"), ("RSA", "RS384"), ("P-256", "ES256")])
async def test_systems_prove_themselves_with_the_algorithms_of_smart(
    district: Hub,
    web: httpx.AsyncClient,
    kind: str,
    algorithm: str,
) -> None:
    key = RSAKey.generate_key(2048) if kind == "RSA" else ECKey.generate_key(kind)
    system = await System.register(district, key, algorithm)
    answer = await ask(web, system.assertion(district))
    assert answer.status_code == 200
    assert (await web.get("/fhir/Patient", headers=bearer(answer.json()["access_token"]))).status_code == 200


async def test_a_token_that_is_not_for_here_or_not_for_now_opens_nothing(
    district: Hub,
    web: httpx.AsyncClient,
    person: httpx.AsyncClient,
    patient: str,
    system: System,
    program: Program,
) -> None:
    """#2: expired, not yet valid, for another audience, of another issuer; an id_token or a refresh token."""
    now = int(district.now().timestamp())
    body = await program.whole(person, patient)
    of_system = {"sub": system.id, "client_id": system.id}
    for token in (
        signed_here(district, own_claims(district, exp=now - 1, **of_system)),
        signed_here(district, own_claims(district, exp=None, **of_system)),
        signed_here(district, own_claims(district, nbf=now + 600, **of_system)),
        signed_here(district, own_claims(district, aud="https://other.example", **of_system)),
        signed_here(district, own_claims(district, iss="https://other.example", **of_system)),
        signed_here(district, own_claims(district, kind="operator", **of_system)),
        signed_here(district, own_claims(district, **of_system), kind="JWT"),
        body["id_token"],
        body["refresh_token"],
    ):
        assert (await web.get("/fhir/Patient", headers=bearer(token))).status_code == 401


async def test_a_token_cannot_bring_its_own_key_and_the_hub_fetches_none(
    district: Hub,
    web: httpx.AsyncClient,
    system: System,
) -> None:
    """#3: ``jku``, ``x5u``, ``jwk``, an unknown ``crit``, a ``kid`` that is a path or SQL; nobody is called."""
    with closing(socket.create_server(("127.0.0.1", 0))) as bait:
        bait.settimeout(0.2)
        address = f"http://127.0.0.1:{bait.getsockname()[1]}/jwks"
        stranger = System(system.id, ECKey.generate_key("P-256"))
        public = stranger.key.as_dict(private=False)
        for header in (
            {"jku": address},
            {"x5u": address},
            {"jwk": public},
            {"kid": "../../etc/passwd"},
            {"kid": "' or '1'='1"},
            {"kid": "k2"},
        ):
            for sender in (stranger, system):
                answer = await ask(web, sender.assertion(district, header))
                assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), header
        critical = unsigned({"alg": "ES256", "kid": "k1", "crit": ["x"], "x": 1}, system.claims(district))
        assert (await ask(web, critical + "AAAA")).status_code == 401
        with pytest.raises(TimeoutError):
            bait.accept()


async def test_an_assertion_is_good_once_also_after_redis_was_emptied_and_on_another_node(
    district: Hub,
    web: httpx.AsyncClient,
    system: System,
) -> None:
    """#4."""
    assertion = system.assertion(district)
    assert (await ask(web, assertion)).status_code == 200
    assert (await ask(web, assertion)).json()["code"] == "oauth-assertion-replayed"
    await district.redis.flushall()
    assert (await ask(web, assertion)).json()["code"] == "oauth-assertion-replayed"
    async with open_hub(district.settings) as elsewhere, browser(app_of(elsewhere)) as other:
        answer = await ask(other, assertion)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("seconds", [86_400, -86_400, 3_600])
async def test_an_assertion_of_another_day_is_told_the_time(
    district: Hub,
    web: httpx.AsyncClient,
    system: System,
    seconds: int,
) -> None:
    """#5: who comes back with the hub's time is let in."""
    now = int(district.now().timestamp())
    refused = await ask(web, system.assertion(district, exp=now + seconds))
    assert (refused.status_code, refused.json()["code"]) == (401, "oauth-assertion-out-of-time")
    again = await ask(web, system.assertion(district, exp=refused.json()["server_time"] + 60))
    assert again.status_code == 200


@dataclass
class Prover:
    """A client's key of RFC 9449, and the nonce that the hub gave it last."""

    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    nonce: str = ""

    def proof(self, url: str, token: str | None = None, method: str = "GET", **changed: Any) -> str:
        said = {"jti": str(uuid4()), "htm": method, "htu": url, "iat": 1, "nonce": self.nonce}
        said |= {"ath": None if token is None else dpop.token_digest(token)} | changed
        claims = {name: value for name, value in said.items() if value is not None}
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.as_dict(private=False)}
        return jwt.encode(header, claims, self.key, algorithms=["ES256"])

    async def token(self, web: httpx.AsyncClient, system: System, hub: Hub) -> str:
        """Fetch a bound token: the first answer tells the nonce."""
        told = await ask(web, system.assertion(hub), DPoP=self.proof(TOKEN_URL, method="POST"))
        assert (told.status_code, told.json()["error"]) == (400, "use_dpop_nonce")
        self.nonce = told.headers["dpop-nonce"]
        answer = await ask(web, system.assertion(hub), DPoP=self.proof(TOKEN_URL, method="POST"))
        assert answer.status_code == 200, answer.text
        assert answer.json()["token_type"] == "DPoP"
        return str(answer.json()["access_token"])


def bound(token: str, proof: str) -> dict[str, str]:
    return {"Authorization": f"DPoP {token}", "DPoP": proof, "Accept": "application/fhir+json"}


async def test_a_bound_token_opens_nothing_without_its_key(
    district: Hub,
    web: httpx.AsyncClient,
    system: System,
) -> None:
    """#6: another key, method or address, no ``ath``, no proof, an old nonce, a proof sent twice, a plain bearer."""
    prover = Prover()
    token = await prover.token(web, system, district)
    proof = prover.proof(RECORDS, token)
    assert (await web.get("/fhir/Patient", headers=bound(token, proof))).status_code == 200
    stranger = Prover(nonce=prover.nonce)
    for wrong in (
        proof,  # sent twice
        stranger.proof(RECORDS, token),
        prover.proof(RECORDS, token, method="POST"),
        prover.proof(f"{HUB}/fhir/Observation", token),
        prover.proof("https://other.example/fhir/Patient", token),
        prover.proof(RECORDS),
        prover.proof(RECORDS, "another token"),
        "nonsense",
    ):
        refused = await web.get("/fhir/Patient", headers=bound(token, wrong))
        assert refused.status_code == 401, wrong
    plain = await web.get("/fhir/Patient", headers=bearer(token))
    assert (plain.status_code, plain.headers["www-authenticate"]) == (
        401,
        'Bearer realm="clinic-net", error="invalid_token"',
    )
    without = {name: value for name, value in bound(token, "").items() if name != "DPoP"}
    assert (await web.get("/fhir/Patient", headers=without)).status_code == 401
    key = derive(district.settings.token_key, Use.PROOF_NONCE)
    old = Prover(prover.key, dpop.make_nonce(key, district.now() - timedelta(minutes=10)))
    late = await web.get("/fhir/Patient", headers=bound(token, old.proof(RECORDS, token)))
    assert late.status_code == 401
    assert 'error="use_dpop_nonce"' in late.headers["www-authenticate"]
    prover.nonce = late.headers["dpop-nonce"]
    again = await web.get("/fhir/Patient", headers=bound(token, prover.proof(RECORDS, token)))
    assert again.status_code == 200


async def test_a_proof_is_used_up_on_every_node_and_after_redis_was_emptied(
    district: Hub,
    web: httpx.AsyncClient,
    system: System,
) -> None:
    """#6, on another node."""
    prover = Prover()
    token = await prover.token(web, system, district)
    proof = prover.proof(RECORDS, token)
    assert (await web.get("/fhir/Patient", headers=bound(token, proof))).status_code == 200
    await district.redis.flushall()
    async with open_hub(district.settings) as elsewhere, browser(app_of(elsewhere)) as other:
        assert (await other.get("/fhir/Patient", headers=bound(token, proof))).status_code == 401


async def test_a_client_registered_for_bound_tokens_gets_no_other(
    district: Hub,
    web: httpx.AsyncClient,
) -> None:
    """#6: leaving the proof away is no way around it."""
    system = await System.register(district, ECKey.generate_key("P-256"), "ES256", dpop=True)
    answer = await ask(web, system.assertion(district))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_dpop_proof")
    assert await Prover().token(web, system, district)


async def test_a_stolen_refresh_token_of_a_bound_grant_needs_the_key(
    district: Hub,
    person: httpx.AsyncClient,
    patient: str,
) -> None:
    """#6 for programs: the thief of a public program's refresh token has not its key."""
    program = await Program.register(district, public=True)
    prover = Prover()
    prover.nonce = dpop.make_nonce(derive(district.settings.token_key, Use.PROOF_NONCE), district.now())
    code = back(await agree(person, program.request(), patient=patient))["code"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": BACK,
        "code_verifier": program.verifier,
    }
    proof = prover.proof(TOKEN_URL, method="POST")
    body = (await program.token(person, form, headers={"DPoP": proof})).json()
    stolen = await program.refresh(person, body["refresh_token"])
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_dpop_proof")
    renew = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
    other = Prover(nonce=prover.nonce).proof(TOKEN_URL, method="POST")
    assert (await program.token(person, renew, headers={"DPoP": other})).status_code == 400
    own = await program.token(person, renew, headers={"DPoP": prover.proof(TOKEN_URL, method="POST")})
    assert (own.status_code, own.json()["token_type"]) == (200, "DPoP")


@pytest.mark.parametrize(
    "scope",
    [
        "patient/Patient.dus",
        "patient/Observation.rs?code:in=http://example.org/set",
        "patient/Observation.rs?category=laboratory",
        "system/*.cruds",
        "patient/*.rs  openid",
        "admin",
        "",
    ],
)
async def test_a_scope_that_is_none_is_refused_at_the_door(
    district: Hub,
    person: httpx.AsyncClient,
    scope: str,
) -> None:
    """#10."""
    program = await Program.register(district, scope="openid patient/*.cruds user/*.cruds")
    told = back(await person.get(program.request(scope=scope)))
    assert (told["error"], told["state"]) == ("invalid_scope", program.state)


async def test_a_nurse_who_asks_for_everything_is_given_what_a_nurse_may(
    district: Hub,
    app: FastAPI,
) -> None:
    """#10: ``.read`` is read as version 1, deleting is left out, and the answer says what was granted."""
    program = await Program.register(district, scope="patient/*.cruds")
    nurse = await add_person(district, Role.NURSE)
    own = await add_patient(district, nurse.user, "Vàng A Thử")
    async with signed_in(app, nurse) as client:
        body = await program.whole(client, own)
        reads = await program.whole(client, own, scope="patient/*.read")
        foreign = await client.delete(f"/fhir/Patient/{own}", headers=bearer(body["access_token"]))
    assert set(body["scope"].split()) == {"patient/*.cu", "patient/*.rs"}
    assert reads["scope"] == "patient/*.rs"
    assert foreign.status_code == 403


async def test_the_trail_names_the_program_that_acted_for_somebody(
    district: Hub, app: FastAPI, person: httpx.AsyncClient, patient: str, program: Program
) -> None:
    body, plain = await program.whole(person, patient), {"Accept": "application/fhir+json"}
    async with browser(app) as bare:
        answer = await bare.get(f"/fhir/Patient/{patient}", headers=bearer(body["access_token"]) | plain)
    assert answer.status_code == 200
    assert (await person.get(f"/fhir/Patient/{patient}", headers=plain)).status_code == 200
    async with district.sessions() as session:
        found = await session.exec(
            select(AuditEvent)
            .where(AuditEvent.subject == f"Patient/{patient}", AuditEvent.action == "record.read")
            .order_by(col(AuditEvent.id))
        )
        by_program, by_hand = found.all()[-2:]
    assert (by_program.program, by_hand.program) == (program.id, None)
    assert by_program.actor == by_hand.actor
    (agent, *_), (own, *_) = (render(event, base=HUB)["agent"] for event in (by_program, by_hand))
    assert agent["who"]["identifier"]["value"] == f"client:{program.id}"
    assert own["who"] == {"display": "browser"}


@pytest.mark.parametrize(
    "address",
    [
        f"{BACK}/more",
        f"{BACK}?x=1",
        f"{BACK}#fragment",
        f"{BACK}/",
        "https://app.example.evil.test/back",
        "https://app.example@evil.test/back",
        "https://APP.example/back",
        "http://app.example/back",
        "//app.example/back",
        "javascript:alert(1)",
        'https://evil.test/"\\',
        None,
    ],
)
async def test_nobody_is_led_to_an_address_that_is_not_registered(
    person: httpx.AsyncClient, program: Program, address: str | None
) -> None:
    """#11: the page itself answers 400, and leads nowhere."""
    answer = await person.get(program.request(redirect_uri=address))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "evil" not in answer.text


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"state": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": 'to"ken'}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"aud": "https://other.example/fhir"}, "invalid_request"),
        ({"aud": None}, "invalid_request"),
        ({"prompt": "none"}, "interaction_required"),
    ],
)
async def test_a_request_that_is_weaker_than_it_must_be_gets_no_code(
    person: httpx.AsyncClient, program: Program, changed: dict[str, str | None], error: str
) -> None:
    """#11: no ``state``, PKCE left out or ``plain``, another flow, another server's token asked for."""
    told = back(await person.get(program.request(**changed)))
    assert told["error"] == error
    assert "code" not in told
    assert told["iss"] == HUB


async def test_a_parameter_given_twice_is_none(person: httpx.AsyncClient, program: Program) -> None:
    """#11: which of two addresses counts must not be a matter of taste."""
    answer = await person.get(f"{program.request()}&redirect_uri=https%3A%2F%2Fevil.test")
    assert answer.status_code == 400


async def test_a_code_is_good_once_and_its_second_use_ends_what_the_first_gave(
    person: httpx.AsyncClient, patient: str, program: Program
) -> None:
    """#11."""
    code = back(await agree(person, program.request(), patient=patient))["code"]
    body = (await program.redeem(person, code)).json()
    headers = bearer(body["access_token"])
    assert (await person.get(f"/fhir/Patient/{patient}", headers=headers)).status_code == 200
    again = await program.redeem(person, code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert (await person.get(f"/fhir/Patient/{patient}", headers=headers)).status_code == 401
    assert (await program.refresh(person, body["refresh_token"])).status_code == 400


async def test_a_code_is_of_no_use_to_whoever_found_it(
    district: Hub,
    person: httpx.AsyncClient,
    patient: str,
    program: Program,
) -> None:
    """#11: without the verifier, for another program, for another address, or a minute later."""
    other = await Program.register(district)

    async def fresh() -> str:
        return back(await agree(person, program.request(), patient=patient))["code"]

    other.verifier = program.verifier
    for answer in (
        await program.redeem(person, await fresh(), code_verifier="x" * 43),
        await program.redeem(person, await fresh(), code_verifier=""),
        await program.redeem(person, await fresh(), redirect_uri="https://evil.test/back"),
        await other.redeem(person, await fresh()),
        await program.redeem(person, "invented"),
    ):
        assert answer.status_code == 400
        assert answer.json()["error"] in ("invalid_grant", "invalid_request")
    late = await fresh()
    async with district.sessions() as session, session.begin():
        await (await session.connection()).execute(
            text("update access_code set expires_at = :then"), {"then": district.now() - timedelta(seconds=1)}
        )
    assert (await program.redeem(person, late)).json()["error"] == "invalid_grant"


async def test_another_site_cannot_agree_for_a_person(person: httpx.AsyncClient, program: Program) -> None:
    """#11: the form of another site, and a frame around ours."""
    form = {"request": program.request().partition("?")[2], "decision": "allow", "scope": "openid"}
    forged = await person.post("/oauth/authorize", data=form, headers={"Origin": "https://evil.test"})
    assert forged.status_code == 403
    page = await person.get(program.request())
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


async def test_a_disabled_client_or_person_ends_a_program_at_once(
    district: Hub,
    app: FastAPI,
    patient: str,
    program: Program,
) -> None:
    """#7 for programs: what stands behind a token is looked up each time."""
    leaver = await add_person(district, Role.DOCTOR)
    other = await Program.register(district)
    async with signed_in(app, leaver) as client:
        first, second = await program.whole(client, patient), await other.whole(client, patient)
        async with district.sessions() as session, session.begin():
            await access.disable_client(session, other.id, by="operator:test", now=district.now())
        closed = await client.get(f"/fhir/Patient/{patient}", headers=bearer(second["access_token"]))
        assert closed.status_code == 401
        assert (await other.refresh(client, second["refresh_token"])).status_code == 401
        still = await client.get(f"/fhir/Patient/{patient}", headers=bearer(first["access_token"]))
        assert still.status_code == 200
        async with district.sessions() as session, session.begin():
            await access.disable_user(session, leaver.login, by="operator:test", now=district.now())
        gone = await client.get(f"/fhir/Patient/{patient}", headers=bearer(first["access_token"]))
        assert gone.status_code == 401
        assert (await program.refresh(client, first["refresh_token"])).json()["error"] == "invalid_grant"
