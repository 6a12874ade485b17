"""Who may open a socket: a page of this hub with its cookie, or a station with its token."""

from typing import Any

import pytest
from starlette.websockets import WebSocket

from clinic_net.access.errors import CrossSite, InvalidToken, NotSignedIn
from clinic_net.access.http import COOKIE, principal_of_socket, principal_of_token
from clinic_net.access.principals import Role, StationPrincipal, UserPrincipal
from clinic_net.access.service import grant_to_station, still_valid
from clinic_net.kernel.hub import Hub
from tests.access.support import (
    PAGE,
    SITE,
    Clock,
    Device,
    add_person,
    app_of,
    browser,
    code_for,
    fill,
    sign_in,
)


def socket(**headers: str) -> WebSocket:
    async def nothing(*_: Any) -> Any:
        raise AssertionError("the socket is not opened here")

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "websocket",
        "path": "/signal",
        "headers": [(b"host", b"hub.test"), *raw],
        "query_string": b"",
    }
    return WebSocket(scope, nothing, nothing)


@pytest.fixture(scope="module")
async def cookie(hub: Hub) -> str:
    await fill(hub)
    async with browser(app_of(hub, Clock())) as page:
        await sign_in(page, await add_person(hub, Role.DOCTOR))
        return f"{COOKIE}={page.cookies[COOKIE]}"


@pytest.fixture(scope="module")
def now_hub(hub: Hub) -> Hub:
    from dataclasses import replace

    return replace(hub, now=Clock())


async def test_a_page_of_this_hub_opens_a_socket_for_its_person(now_hub: Hub, cookie: str) -> None:
    doctor = await principal_of_socket(socket(cookie=cookie, origin="http://hub.test"), now_hub)

    assert isinstance(doctor, UserPrincipal)
    assert doctor.role is Role.DOCTOR
    async with now_hub.sessions() as session:
        assert await still_valid(session, [doctor], now=now_hub.now()) == {doctor}


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://hub.test.evil.example", None])
async def test_a_page_of_another_site_opens_none(now_hub: Hub, cookie: str, origin: str | None) -> None:
    headers = {"cookie": cookie} | ({"origin": origin} if origin else {})
    with pytest.raises(CrossSite):
        await principal_of_socket(socket(**headers), now_hub)


async def test_nobody_opens_none(now_hub: Hub, cookie: str) -> None:
    with pytest.raises(NotSignedIn):
        await principal_of_socket(socket(origin="http://hub.test"), now_hub)
    with pytest.raises(NotSignedIn):
        await principal_of_socket(socket(cookie=f"{COOKIE}=x", origin="http://hub.test"), now_hub)
    with pytest.raises(InvalidToken):
        await principal_of_socket(
            socket(cookie=cookie, origin="http://hub.test", authorization="Bearer x"), now_hub
        )


async def test_a_person_who_signed_out_is_no_longer_valid(now_hub: Hub) -> None:
    async with browser(app_of(now_hub, Clock())) as page:
        await sign_in(page, await add_person(now_hub, Role.DOCTOR))
        headers = {"cookie": f"{COOKIE}={page.cookies[COOKIE]}", "origin": "http://hub.test"}
        doctor = await principal_of_socket(socket(**headers), now_hub)
        await page.delete("/access/v1/session", headers=PAGE)

    async with now_hub.sessions() as session:
        assert await still_valid(session, [doctor], now=now_hub.now()) == frozenset()


async def test_a_station_opens_one_with_its_token(now_hub: Hub) -> None:
    from clinic_net.access.http import issuer_of

    device = Device.fresh()
    async with browser(app_of(now_hub, Clock())) as web:
        await device.enrol(web, await code_for(now_hub))
    async with now_hub.sessions() as session, session.begin():
        minted = await grant_to_station(
            session, device.assertion(now_hub.now()), issuer=issuer_of(now_hub.settings), now=now_hub.now()
        )
    station = await principal_of_socket(socket(authorization=f"Bearer {minted.token}"), now_hub)

    assert isinstance(station, StationPrincipal)
    assert (station.site, str(station.device)) == (SITE, device.id)
    assert station == await principal_of_token(minted.token, now_hub)
