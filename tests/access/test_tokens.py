"""The token endpoint, and what a bearer token opens."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from clinic_net.access import service
from clinic_net.access.errors import CredentialRevoked, InvalidToken
from clinic_net.access.http import Caller, CurrentStation, CurrentUser, issuer_of
from clinic_net.access.principals import ClientPrincipal, Principal
from clinic_net.access.scopes import Scope
from clinic_net.kernel.hub import Hub
from tests.access.support import HUB, NOW, OTHER_SITE, SITE, Clock, Device, app_of, browser, code_for, fill


@pytest.fixture(scope="module", autouse=True)
async def filled(hub: Hub) -> None:
    await fill(hub)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(hub: Hub, clock: Clock) -> FastAPI:
    app = app_of(hub, clock)

    @app.get("/anybody")
    async def anybody(caller: Caller) -> str:
        return caller.address

    @app.get("/station")
    async def station(station: CurrentStation) -> str:
        return station.site

    @app.get("/person")
    async def person(user: CurrentUser) -> str:
        return user.login

    return app


@pytest.fixture
async def web(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(app) as client:
        yield client


@pytest.fixture
async def device(hub: Hub, web: httpx.AsyncClient) -> Device:
    """An enrolled device of SITE."""
    device = Device.fresh()
    assert (await device.enrol(web, await code_for(hub))).status_code == 200
    return device


@pytest.fixture
async def client(hub: Hub) -> tuple[str, str]:
    async with hub.sessions() as session, session.begin():
        return await service.add_client(
            session, "Bộ Y tế", "system/Patient.rs system/Observation.cruds", now=NOW
        )


def bearer(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def test_a_station_gets_a_short_token_that_says_who_it_is(
    web: httpx.AsyncClient, device: Device
) -> None:
    answer = await device.ask_token(web, device.assertion(NOW))

    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 300, "clinic-net/station")
    said = json.loads(base64.urlsafe_b64decode(body["access_token"].split(".")[1] + "=="))
    assert (said["kind"], said["sub"], said["site"], said["iss"]) == ("station", device.id, SITE, HUB)
    assert said["exp"] - said["iat"] == 300
    assert (await web.get("/station", headers=bearer(answer))).json() == SITE
    assert (await web.get("/anybody", headers=bearer(answer))).json() == f"station:{SITE}"


async def test_the_hub_itself_may_be_the_audience(web: httpx.AsyncClient, device: Device) -> None:
    for audience in (HUB, f"{HUB}/", [HUB, "https://other.example"]):
        assert (await device.ask_token(web, device.assertion(NOW, aud=audience))).status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "https://other.example/oauth/token"},
        {"aud": None},
        {"iss": "01a20132-3f80-77cf-b9e7-db204f523caa"},
        {"sub": "somebody else"},
        {"iss": None},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "a\x00b"},
        {"jti": "x" * 121},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": 10**400},
        {"iss": "' or 1=1 --"},
    ],
)
async def test_an_assertion_with_wrong_claims_is_refused(
    web: httpx.AsyncClient, device: Device, changed: dict[str, object]
) -> None:
    answer = await device.ask_token(web, device.assertion(NOW, **changed))

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("seconds", [-3600, -86400, 3600, 86400])
@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
async def test_a_station_with_a_wrong_clock_learns_the_hubs_time(
    web: httpx.AsyncClient, device: Device, seconds: int, claim: str
) -> None:
    its_time = NOW + timedelta(seconds=seconds)
    changed = {} if claim == "exp" else {claim: int(its_time.timestamp())}
    answer = await device.ask_token(web, device.assertion(its_time, **changed))

    assert answer.status_code == 401
    assert answer.json()["code"] == "oauth-assertion-out-of-time"
    assert answer.json()["server_time"] == int(NOW.timestamp())


async def test_an_assertion_is_good_for_one_token_only_also_when_sent_twice_at_once(
    web: httpx.AsyncClient, device: Device
) -> None:
    assertion = device.assertion(NOW)
    answers = await asyncio.gather(*(device.ask_token(web, assertion) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401]
    assert (await device.ask_token(web, assertion)).json()["code"] == "oauth-assertion-replayed"


async def test_an_assertion_signed_by_another_key_or_with_another_algorithm_is_refused(
    web: httpx.AsyncClient, device: Device
) -> None:
    claims = {"iss": device.id, "sub": device.id, "aud": HUB, "jti": "x", "exp": int(NOW.timestamp()) + 60}
    unsigned = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "none"}, claims)
    )
    public_pem = device.key.as_pem(private=False)
    embedded = jwt.encode(
        {"alg": "ES256", "jwk": ECKey.generate_key("P-256").as_dict(private=False)},
        claims,
        Device.fresh().key,
        algorithms=["ES256"],
    )
    forged = [
        Device(ECKey.generate_key("P-256"), device.id).assertion(NOW),
        f"{unsigned}.",
        jwt.encode(
            {"alg": "HS256"}, claims, OctKey.import_key(base64.b64encode(public_pem)), algorithms=["HS256"]
        ),
        embedded,
        "",
        "a.b.c",
        "x" * 9000,
    ]
    for assertion in forged:
        answer = await device.ask_token(web, assertion)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), assertion[:40]


async def test_a_client_gets_what_it_asked_for_of_what_it_was_registered_for(
    web: httpx.AsyncClient, client: tuple[str, str]
) -> None:
    form = {"grant_type": "client_credentials"}
    everything = await web.post("/oauth/token", data=form, auth=client)
    less = await web.post("/oauth/token", data=form | {"scope": "system/*.read"}, auth=client)
    by_post = await web.post("/oauth/token", data=form | {"client_id": client[0], "client_secret": client[1]})

    assert everything.json()["scope"] == "system/Observation.cruds system/Patient.rs"
    assert less.json()["scope"] == "system/Observation.rs system/Patient.rs"
    assert by_post.status_code == 200
    assert (await web.get("/anybody", headers=bearer(less))).json() == f"client:{client[0]}"
    assert (await web.get("/station", headers=bearer(less))).status_code == 403
    assert (await web.get("/person", headers=bearer(less))).status_code == 403


@pytest.mark.parametrize(
    "scope", ["system/Encounter.rs", "system/Patient.d", "system/Patient.sr", "patient/*.rs", "x"]
)
async def test_a_scope_that_cannot_be_granted_is_refused(
    web: httpx.AsyncClient, client: tuple[str, str], scope: str
) -> None:
    answer = await web.post(
        "/oauth/token", data={"grant_type": "client_credentials", "scope": scope}, auth=client
    )

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


async def test_a_wrong_secret_and_an_unknown_client_get_the_same_answer(
    web: httpx.AsyncClient, client: tuple[str, str]
) -> None:
    form = {"grant_type": "client_credentials"}
    wrong = await web.post("/oauth/token", data=form, auth=(client[0], "wrong"))
    unknown = await web.post("/oauth/token", data=form, auth=("client-unknown", "wrong"))

    assert wrong.status_code == unknown.status_code == 401
    assert wrong.content == unknown.content
    assert wrong.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("grant_type=password&username=a&password=b", "unsupported_grant_type"),
        ("grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        ("", "invalid_request"),
        ("grant_type=client_credentials", "invalid_client"),
        ("grant_type=client_credentials&client_id=%00&client_secret=x", "invalid_client"),
        ("grant_type=client_credentials&client_assertion=x", "invalid_request"),
        ("grant_type=client_credentials&client_assertion=x&client_secret=y", "invalid_request"),
        ("grant_type=%FF", "invalid_request"),
        ("&".join(f"a{n}=1" for n in range(30)), "invalid_request"),
        ("grant_type=" + "x" * 20_000, "invalid_request"),
    ],
)
async def test_a_request_that_is_not_oauth_is_told_so(
    web: httpx.AsyncClient, content: str, error: str
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await web.post("/oauth/token", content=content, headers=headers)

    assert (answer.status_code, answer.json()["error"]) == (401 if error == "invalid_client" else 400, error)


async def test_json_is_not_taken_for_a_form(web: httpx.AsyncClient) -> None:
    answer = await web.post("/oauth/token", json={"grant_type": "client_credentials"})

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "header", ["Basic !!!", "Basic " + base64.b64encode(b"nocolon").decode(), "Digest x", "Basic"]
)
async def test_credentials_that_cannot_be_read_are_wrong(web: httpx.AsyncClient, header: str) -> None:
    form = {"grant_type": "client_credentials"}
    answer = await web.post("/oauth/token", data=form, headers={"Authorization": header})

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_a_token_ends_after_five_minutes(web: httpx.AsyncClient, device: Device, clock: Clock) -> None:
    headers = bearer(await device.ask_token(web, device.assertion(NOW)))
    clock.forward(timedelta(seconds=299))
    assert (await web.get("/station", headers=headers)).status_code == 200
    clock.forward(timedelta(seconds=2))
    ended = await web.get("/station", headers=headers)
    assert (ended.status_code, ended.json()["code"]) == (401, "invalid-token")


async def test_tokens_that_this_hub_did_not_make_open_nothing(
    hub: Hub, web: httpx.AsyncClient, device: Device
) -> None:
    token = bearer(await device.ask_token(web, device.assertion(NOW)))["Authorization"].removeprefix(
        "Bearer "
    )
    header, payload, signature = token.split(".")
    said: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    raw = OctKey.import_key(hub.settings.token_key.get_secret_value())
    typed = {"alg": "HS256", "typ": "at+jwt"}
    forged = [
        f"{header}.{payload}.{signature[:-2]}AA",
        jwt.encode(typed, said, raw, algorithms=["HS256"]),
        jwt.encode({"alg": "ES256", "typ": "at+jwt"}, said, device.key, algorithms=["ES256"]),
        device.assertion(NOW),
        "x",
        "",
        "é",
    ]
    for wrong in forged:
        answer = await web.get("/anybody", headers=[(b"authorization", f"Bearer {wrong}".encode())])
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid-token"), wrong[:30]
    assert (await web.get("/anybody", headers={"Authorization": "Basic eA=="})).status_code == 401
    assert (await web.get("/anybody")).json()["code"] == "not-signed-in"


async def test_a_token_without_an_end_or_of_another_type_is_not_taken(
    hub: Hub, web: httpx.AsyncClient, device: Device
) -> None:
    from clinic_net.access.keys import Use, derive

    key = OctKey.import_key(derive(hub.settings.token_key, Use.ACCESS_TOKEN))
    good = {"iss": HUB, "aud": HUB, "sub": device.id, "kind": "station", "site": SITE, "epoch": 1}
    for header, claims in (
        ({"alg": "HS256", "typ": "at+jwt"}, good),
        ({"alg": "HS256", "typ": "JWT"}, good | {"exp": int(NOW.timestamp()) + 60}),
        (
            {"alg": "HS256", "typ": "at+jwt"},
            good | {"exp": int(NOW.timestamp()) + 60, "aud": "https://other"},
        ),
        ({"alg": "HS256", "typ": "at+jwt"}, good | {"exp": int(NOW.timestamp()) + 60, "kind": "user"}),
    ):
        token = jwt.encode(header, claims, key, algorithms=["HS256"])
        answer = await web.get("/anybody", headers={"Authorization": f"Bearer {token}"})
        assert answer.json()["code"] == "invalid-token"


async def test_a_revoked_device_is_stopped_at_once_and_told_only_with_its_own_key(
    hub: Hub, web: httpx.AsyncClient, device: Device
) -> None:
    headers = bearer(await device.ask_token(web, device.assertion(NOW)))
    async with hub.sessions() as session, session.begin():
        await service.revoke_device(session, site=SITE, by="user:operator", now=NOW)

    stopped = await web.get("/station", headers=headers)
    assert (stopped.status_code, stopped.json()["code"]) == (401, "credential-revoked")
    asked = await device.ask_token(web, device.assertion(NOW))
    assert (asked.status_code, asked.json()["code"]) == (401, "oauth-device-revoked")
    stranger = Device(ECKey.generate_key("P-256"), device.id)
    assert (await stranger.ask_token(web, stranger.assertion(NOW))).json()["code"] == "oauth-invalid-client"


async def test_the_revocation_sweep_finds_who_may_no_longer_speak(
    hub: Hub, web: httpx.AsyncClient, device: Device, client: tuple[str, str]
) -> None:
    other = Device.fresh()
    await other.enrol(web, await code_for(hub, OTHER_SITE))
    issuer = issuer_of(hub.settings)
    principals: list[Principal] = []
    async with hub.sessions() as session, session.begin():
        for station in (device, other):
            minted = await service.grant_to_station(session, station.assertion(NOW), issuer=issuer, now=NOW)
            principals.append(await service.bearer(session, minted.token, issuer=issuer, now=NOW))
        minted = await service.grant_to_client(session, *client, asked="", issuer=issuer, now=NOW)
        principals.append(await service.bearer(session, minted.token, issuer=issuer, now=NOW))
    async with hub.sessions() as session, session.begin():
        assert await service.still_valid(session, principals, now=NOW) == frozenset(principals)
        await service.revoke_device(session, site=SITE, by="user:operator", now=NOW)
        await service.disable_client(session, client[0], by="user:operator", now=NOW)
        assert await service.still_valid(session, principals, now=NOW) == {principals[1]}
        with pytest.raises(CredentialRevoked):
            await service.bearer(session, minted.token, issuer=issuer, now=NOW)
        with pytest.raises(InvalidToken):
            await service.bearer(session, minted.token, issuer=issuer, now=NOW + timedelta(minutes=6))


async def test_a_clients_scopes_are_what_its_principal_may_do(hub: Hub, client: tuple[str, str]) -> None:
    issuer = issuer_of(hub.settings)
    async with hub.sessions() as session, session.begin():
        minted = await service.grant_to_client(
            session, *client, asked="system/Patient.r", issuer=issuer, now=NOW
        )
        principal = await service.bearer(session, minted.token, issuer=issuer, now=NOW)

    assert isinstance(principal, ClientPrincipal)
    assert principal.scopes == {Scope("system", "Patient", "r")}


def test_the_smart_configuration_promises_what_works_here() -> None:
    """The whole document: who changes a word of it changes what programs rely on."""
    golden = json.loads((Path(__file__).parent / "smart-configuration.json").read_text("utf-8"))

    assert service.smart_configuration("https://hub.example/", "https://hub.example") == golden
