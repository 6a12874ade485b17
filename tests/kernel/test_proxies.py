"""Whose word about a request's origin counts, and which address links are made for."""

from typing import Any

import pytest
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from clinic_net.kernel.proxies import TrustedProxies, own_address
from clinic_net.kernel.settings import HubSettings

PROXY, OUTER, CALLER = "10.0.0.9", "10.0.0.8", "203.0.113.7"


def _settings(**more: Any) -> HubSettings:
    return HubSettings(
        database="postgresql+psycopg://hub@db/hub",
        redis="redis://r",
        token_key="t" * 32,
        identifier_key="i" * 32,
        turn_secret="t" * 16,
        **{"public_url": "https://named.test/", "follow_host": True, **more},
    )


async def _seen(headers: dict[str, str], *, peer: str = PROXY) -> HTTPConnection:
    """Return a request as the application sees it."""
    seen: list[Scope] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    raw = [(name.lower().encode(), value.encode()) for name, value in {"Host": "hub:8080", **headers}.items()]
    scope: Any = {"type": "http", "scheme": "http", "client": (peer, 1), "headers": raw}
    await TrustedProxies(application, trusted=["10.0.0.0/24"])(scope, None, None)  # type: ignore[arg-type]
    return HTTPConnection(seen[0])


async def _address(headers: dict[str, str], *, peer: str = PROXY) -> str:
    return own_address(await _seen(headers, peer=peer), _settings())


FORWARDED = {"Forwarded": f'for={CALLER};proto=https;host="records.test:8443"'}
X_FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "records.test", "X-Forwarded-Prefix": "/hub"}


async def test_links_follow_what_a_trusted_proxy_says_was_asked() -> None:
    assert await _address(X_FORWARDED) == "https://records.test/hub"
    assert await _address(FORWARDED) == "https://records.test:8443"
    assert await _address(FORWARDED | {"X-Forwarded-Prefix": "/hub"}) == "https://records.test:8443/hub"


async def test_nobody_else_is_believed() -> None:
    for headers in (X_FORWARDED, FORWARDED):
        assert await _address(headers, peer=CALLER) == "http://hub:8080"
        assert (await _seen(headers, peer=CALLER)).scope["client"][0] == CALLER


async def test_a_public_address_that_was_configured_stands() -> None:
    for headers in (X_FORWARDED, FORWARDED, {}):
        assert own_address(await _seen(headers), _settings(follow_host=False)) == "https://named.test"


async def test_the_caller_is_the_last_one_who_is_no_proxy_of_ours() -> None:
    chain = (
        f"for=1.2.3.4;host=forged.test, for={CALLER};host=records.test;proto=https, for={OUTER};proto=http"
    )
    for headers in ({"Forwarded": chain}, {"X-Forwarded-For": f"1.2.3.4, {CALLER}, {OUTER}"}):
        assert (await _seen(headers)).scope["client"][0] == CALLER
    assert await _address({"Forwarded": chain}) == "https://records.test"
    assert await _address({"X-Forwarded-Host": "forged.test, records.test"}) == "http://records.test"


async def test_a_callers_own_forwarded_does_not_count_beside_the_proxys() -> None:
    headers = {"Forwarded": "for=1.2.3.4;host=forged.test", "X-Forwarded-For": CALLER}
    assert await _address(headers) == "http://hub:8080"
    assert (await _seen(headers)).scope["client"][0] == CALLER


@pytest.mark.parametrize(
    "host",
    ["", "a b", "records.test/", "user@records.test", "records.test?", "[::1", "-", "a:b", '"', "a" * 300],
)
async def test_a_host_that_is_none_is_not_linked_to(host: str) -> None:
    assert await _address({"X-Forwarded-Host": host}) == "http://hub:8080"
    assert await _address({"Host": host}) == "https://named.test"
    assert await _address({"Forwarded": f'host="{host}"'.replace('"""', '"')}) in ("http://hub:8080",)


@pytest.mark.parametrize("prefix", ["hub", "//evil.test", "/a/../b//", "/a?b", "/<>"])
async def test_a_prefix_that_is_no_path_is_left_out(prefix: str) -> None:
    assert await _address(X_FORWARDED | {"X-Forwarded-Prefix": prefix}) == "https://records.test"


async def test_an_address_of_ip_version_6_is_a_host() -> None:
    assert await _address({"Host": "[::1]:8080"}) == "http://[::1]:8080"
    assert (await _seen({"Forwarded": 'for="[2001:db8::1]:47"'})).scope["client"] == ("2001:db8::1", 47)
