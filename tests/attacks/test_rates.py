"""How much one caller may ask for: refused with a time to come back, others unaffected, room kept for the urgent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from clinic_net.access.limits import HEAVY, READ, WRITE, cost_of, is_urgent
from clinic_net.kernel.hub import Hub, open_hub
from clinic_net.kernel.rates import RESERVE, LimitReached, Rates, rates_of
from tests.app.callers import Callers
from tests.console.support import app_of
from tests.consultations.support import SITE

FEW = 50
"""Points a minute."""


@asynccontextmanager
async def strict(hub: Hub, **changed: object) -> AsyncIterator[FastAPI]:
    """The same hub with narrow limits, as another process."""
    limits = {"rate_person": FEW, "rate_station": FEW, "rate_client": FEW, "rate_address": FEW}
    async with open_hub(hub.settings.model_copy(update=limits | changed)) as other:
        yield app_of(replace(other, now=hub.now))


async def call(
    app: FastAPI, path: str, headers: dict[str, str], *, address: str = "192.0.2.1", **content: object
) -> httpx.Response:
    transport = httpx.ASGITransport(app, client=(address, 1))
    headers = {"Origin": "http://hub.test", "Accept": "application/json", **headers}
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as client:
        return await client.request("POST" if content else "GET", path, headers=headers, **content)  # type: ignore[arg-type]


async def until_refused(
    app: FastAPI, path: str, headers: dict[str, str], **content: object
) -> tuple[int, httpx.Response]:
    for done in range(4 * FEW):
        answer = await call(app, path, headers, **content)  # type: ignore[arg-type]
        if answer.status_code == 429:
            return done, answer
    raise AssertionError("nobody stopped this caller")


@pytest.mark.parametrize("who", ["doctor", "client", "station"])
async def test_a_caller_who_asks_too_much_is_told_when_to_come_back(
    district: Hub, callers: Callers, who: str
) -> None:
    async with strict(district) as app:
        headers = await callers.headers_of(who)
        if who == "station":
            done, answer = await until_refused(app, "/sync/v1/pull", headers, json={"station": SITE})
            assert done == int(FEW * (1 - RESERVE)) // WRITE
        else:
            path = "/access/v1/session" if who == "doctor" else "/fhir/Patient?_id=nobody"
            done, answer = await until_refused(app, path, headers)
            assert FEW * (1 - RESERVE) <= done <= FEW * (1 - RESERVE) + 3, "a few flow back meanwhile"
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        name = "person" if who == "doctor" else who
        assert answer.headers["ratelimit-policy"] == f'"{name}";q={FEW};w=60'
        assert answer.headers["ratelimit"].startswith(f'"{name}";r=0;t=')
        other = {"doctor": "nurse", "client": "auditor", "station": "coordinator"}[who]
        served = await call(app, "/access/v1/session", await callers.headers_of(other))
        assert served.status_code == 200, "another one is not concerned"


async def test_an_urgent_push_still_goes_when_the_ordinary_ones_are_refused(
    district: Hub, callers: Callers
) -> None:
    """Attack 62: a station's flood of ordinary pushes is answered visibly, and leaves a fifth for its urgent lane."""
    async with strict(district, rate_station=FEW + 1) as app:
        headers = await callers.headers_of("station")
        push = {"station": SITE, "db_epoch": str(uuid4()), "batch": str(uuid4()), "ops": []}
        await until_refused(app, "/sync/v1/push", headers, json=push)
        answers = [
            (await call(app, "/sync/v1/push", headers, json={**push, "lane": 0})).status_code
            for _ in range(6)
        ]
        assert answers[0] == 200
        assert 429 in answers, "the reserve is bounded too, and says so"
        assert answers.index(429) >= int(FEW * RESERVE) // WRITE


async def test_two_processes_share_a_person_s_bucket_and_each_has_its_own_without_valkey(
    district: Hub, callers: Callers
) -> None:
    headers = await callers.headers_of("auditor")
    async with strict(district) as one, strict(district) as two:
        await until_refused(one, "/access/v1/session", headers)
        assert (await call(two, "/access/v1/session", headers)).status_code == 429
    async with strict(district, redis="redis://127.0.0.1:1") as alone:
        done, _ = await until_refused(alone, "/access/v1/session", headers)
        assert done >= FEW * (1 - RESERVE)


async def test_who_has_no_credential_is_bounded_by_address_and_nobody_else_there(
    district: Hub, callers: Callers
) -> None:
    async with strict(district) as app:
        _, answer = await until_refused(app, "/sign-in", {})
        assert answer.headers["ratelimit-policy"].startswith('"address"')
        assert (await call(app, "/sign-in", {}, address="192.0.2.2")).status_code == 200
        assert (await call(app, "/healthz", {})).status_code == 200
        signed_in = await call(app, "/access/v1/session", await callers.headers_of("doctor"))
        assert signed_in.status_code == 200, "the neighbour behind the same router works on"


async def test_wrong_credentials_use_up_their_address(district: Hub) -> None:
    async with strict(district) as app:
        for _ in range(FEW):
            answer = await call(app, "/fhir/Patient", {"Authorization": f"Bearer {uuid4()}"})
            assert answer.status_code == 401
        assert (await call(app, "/sign-in", {})).status_code == 429


async def test_a_limit_of_nothing_is_no_limit(district: Hub, callers: Callers) -> None:
    async with strict(district, rate_client=0) as app:
        headers = await callers.headers_of("client")
        answers = {(await call(app, "/fhir/Patient?_id=x", headers)).status_code for _ in range(2 * FEW)}
    assert answers == {200}


async def test_the_bucket_here_and_the_one_in_valkey_count_alike(hub: Hub) -> None:
    rates, who = Rates(hub.redis), uuid4().hex
    for cost, urgent in [(10, False)] * 5 + [(10, True)] * 2:
        outcomes = []
        for draw in ("here", "everywhere"):
            try:
                found = getattr(rates, draw)("x", who, limit=FEW, cost=cost, urgent=urgent)
                left = await found if asyncio.iscoroutine(found) else found
                outcomes.append(left.remaining)
            except LimitReached as reached:
                outcomes.append(-reached.retry_after)
        assert abs(outcomes[0] - outcomes[1]) <= 1, (cost, urgent, outcomes)
    assert rates_of(hub) is rates_of(hub)


@pytest.mark.parametrize(
    ("method", "path", "cost"),
    [
        ("GET", "/fhir/Patient/1", READ),
        ("POST", "/fhir/Patient/_search", READ),
        ("PUT", "/fhir/Patient/1", WRITE),
        ("POST", "/fhir", HEAVY),
        ("GET", "/fhir/Patient/1/$everything", HEAVY),
        ("GET", "/fhir/Patient/_history", HEAVY),
    ],
)
def test_what_costs_more_counts_more(method: str, path: str, cost: int) -> None:
    assert cost_of(method, path) == cost


def test_only_what_saves_minutes_is_urgent() -> None:
    assert is_urgent("/consultations/1/accept")
    assert is_urgent("/cases/1/ring")
    assert not is_urgent("/referrals/1/accept")
    assert not is_urgent("/fhir/ServiceRequest/accept")
