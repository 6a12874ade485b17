"""What a browser is told about every kind of answer, and that no page elsewhere can make it act here."""

import re
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

import clinic_net.console
import station_agent.web
from clinic_net.app import create_app
from clinic_net.kernel.hub import Hub
from tests.app.callers import Callers
from tests.console.test_matrix import MATRIX, address

PAGES = ("/sign-in", "/doctor", "/cases/nothing")
DATA = ("/fhir/metadata", "/fhir/Patient", "/fhir/Nothing", "/access/v1/session", "/healthz", "/static/console.css",
        "/static/icon.svg", "/browser/ring.js", "/nothing", "/oauth/token", "/sync/v1/push")  # fmt: skip


async def _get(
    app: FastAPI, path: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as client:
        return await client.request(method, path, headers=headers or {})


def directives(answer: httpx.Response) -> dict[str, list[str]]:
    parts = [part.split() for part in answer.headers["content-security-policy"].split(";")]
    return {name: values for name, *values in parts}


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_may_use_what_comes_from_here_and_nothing_in_line(
    app: FastAPI, callers: Callers, path: str
) -> None:
    """Attack 44: even a name that became markup could run nothing."""
    answer = await _get(app, path, {"Accept": "text/html", **await callers.headers_of("doctor")})
    policy = directives(answer)
    assert policy["default-src"] == ["'self'"]
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == ["'self'"]
    assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]
    assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "http:", "https:"} & {
        v for vs in policy.values() for v in vs
    }
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    _common(answer)


@pytest.mark.parametrize("path", DATA)
@pytest.mark.parametrize("who", ["out", "client"])
async def test_anything_else_may_do_nothing_in_a_browser(
    app: FastAPI, callers: Callers, path: str, who: str
) -> None:
    """Attack 43: markup in a record that a browser is led to shows nothing and runs nothing."""
    answer = await _get(app, path, await callers.headers_of(who))
    assert not answer.headers.get("content-type", "").startswith("text/html")
    policy = directives(answer)
    assert policy["default-src"] == policy["frame-ancestors"] == ["'none'"]
    assert "script-src" not in policy
    _common(answer)


def _common(answer: httpx.Response) -> None:
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "no-store" in answer.headers["cache-control"]
    assert "server" not in answer.headers
    assert "strict-transport-security" not in answer.headers, "this hub is http"


async def test_an_error_nobody_foresaw_is_told_as_guarded_as_a_page(hub: Hub) -> None:
    app = create_app(hub.settings, with_worker=False)
    app.state.hub = replace(hub, requests=None)  # type: ignore[arg-type]  # what nobody foresaw
    answer = await _get(app, "/doctor", {"Accept": "text/html", "Cookie": "clinic_net_session=x"})
    assert answer.status_code == 500
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "Traceback" not in answer.text


async def test_a_hub_that_is_https_says_so_for_a_year(hub: Hub) -> None:
    settings = hub.settings.model_copy(update={"public_url": "https://hub.test"})
    app = create_app(settings, with_worker=False)
    app.state.hub = hub
    for path in ("/sign-in", "/fhir/metadata", "/nothing"):
        answer = await _get(app, path)
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


TEMPLATES = sorted(
    path
    for package in (clinic_net.console, station_agent.web)
    for path in Path(package.__path__[0]).rglob("templates/**/*")
    if path.suffix in (".html", ".svg")
)
IN_LINE = re.compile(
    r"<style|<script(?![^>]*\bsrc=)|\sstyle\s*=|\son[a-z]+\s*=|javascript:|hx-on|<base\b", re.I
)
"""What the policy forbids, and what would let text become program."""
UNESCAPED = re.compile(r"\|\s*safe\b|autoescape\s+false|Markup\(", re.I)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_script_or_style_in_line(template: Path) -> None:
    text = template.read_text()
    assert IN_LINE.findall(text) == []
    assert UNESCAPED.findall(text) == [], "text is escaped, always"


UNSAFE = [
    key
    for key, row in MATRIX.items()
    if key.split(" ")[0] not in ("GET", "HEAD", "OPTIONS") and not key.endswith("{path}")
]


@pytest.mark.parametrize("key", UNSAFE)
@pytest.mark.parametrize(
    "says",
    [{}, {"Origin": "https://elsewhere.test"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
     {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://hub.test.elsewhere.test"}],
    ids=["silent", "elsewhere", "null", "cross-site", "same-site", "look-alike"],
)  # fmt: skip
async def test_a_page_elsewhere_can_make_no_cookie_act(
    app: FastAPI, callers: Callers, key: str, says: dict[str, str]
) -> None:
    """Every unsafe route of the matrix: with a cookie, from anywhere but a page of this hub, it is refused unread."""
    method, template = key.split(" ", 1)
    headers = {**await callers.headers_of("operator"), **says}
    answer = await _get(app, address(template), headers, method)
    assert answer.status_code == 403
    assert answer.json()["code"] == "cross-site"


async def test_the_session_s_cookie_is_no_script_s_and_no_other_site_s(hub: Hub, callers: Callers) -> None:
    settings = hub.settings.model_copy(update={"public_url": "https://hub.test"})
    app = create_app(settings, with_worker=False, now=hub.now)
    app.state.hub = replace(hub, settings=settings)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://hub.test") as client:
        form = {"login": callers.people["nurse"].login, "password": "correct horse battery"}
        answer = await client.post("/sign-in", data=form, headers={"Origin": "https://hub.test"})
    cookie = answer.headers["set-cookie"]
    assert {"httponly", "secure", "samesite=lax", "path=/"} <= {
        part.strip().lower() for part in cookie.split(";")
    }
    assert "domain" not in cookie.lower()
