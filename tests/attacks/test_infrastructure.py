"""What stands around the records: doors that are shut, logs, failures, the trail. Attacks 67 to 74 of the checklist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg
import pytest

from clinic_net.kernel.hub import Hub
from clinic_net.kernel.settings import HubSettings
from tests.app.callers import Callers
from tests.app.process import Process, serving
from tests.attacks.raw import exchange, status
from tests.consultations.support import SITE


@pytest.fixture(scope="module")
def logged(
    district: Hub, settings: HubSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Process, Path]]:
    log = tmp_path_factory.mktemp("attacked") / "hub.log"
    with serving(settings, "--no-worker", log=log) as process:
        yield process, log


DOORS = [
    "/docs",
    "/redoc",
    "/openapi.json",
    "/debug",
    "/.git/config",
    "/.env",
    "/server-status",
    "/actuator",
    "/admin",
    "/console",
    "/phpinfo.php",
    "/fhir/../metrics",
    "/static/../../pyproject.toml",
    "/static/..%2f..%2fpyproject.toml",
    "/secrets.json",
    "/fhir/.git/config",
    "/browser/../call.py",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/healthz/x",
    "/update",
    "/agent/latest",
]


@pytest.mark.parametrize("door", DOORS)
async def test_nothing_of_the_machine_is_to_be_had_from_outside(
    served: Process, callers: Callers, door: str
) -> None:
    """Attacks 67 and 74: no documentation, no debugger, no repository, no file, no door for updates."""
    for who in ("out", "operator", "client"):
        head = "".join(f"{name}: {value}\r\n" for name, value in (await callers.headers_of(who)).items())
        answer = await exchange(
            served, f"GET {door} HTTP/1.1\r\nHost: hub.test\r\n{head}Connection: close\r\n\r\n".encode()
        )
        assert status(answer) in (400, 401, 403, 404, 405), (door, status(answer))
        assert b"root:" not in answer
        assert b"[project]" not in answer


async def test_figures_are_for_the_machine_itself(served: Process) -> None:
    """Attack 67: a proxy's word that somebody asks from elsewhere shuts the figures; to itself they are open."""
    async with httpx.AsyncClient(base_url=served.url) as client:
        assert (await client.get("/metrics")).status_code == 200
        for headers in ({"X-Forwarded-For": "198.51.100.7"}, {"Forwarded": "for=198.51.100.7"}):
            assert (await client.get("/metrics", headers=headers)).status_code == 404


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT", "DEBUG", "PROPFIND", "MOVE", "PURGE"])
async def test_a_method_that_nobody_needs_is_no_echo(served: Process, method: str) -> None:
    """Attack 67: nothing of a request comes back in the answer to TRACE."""
    sent = f"{method} /sign-in HTTP/1.1\r\nHost: hub.test\r\nX-Echo: kanarivogel\r\nConnection: close\r\n\r\n".encode()
    answer = await exchange(served, sent)
    assert status(answer) in (400, 404, 405, 501)
    assert b"kanarivogel" not in answer


FORGED = '{"event":"request","status":200,"forged":"kanarivogel"}'
LINES = [
    f"a\r\n{FORGED}",
    f"\x1b[2J\x1b[31m{FORGED}",
    f"a\n{FORGED}",
    f"\u2028{FORGED}",
    f"%0d%0a{FORGED}",
    "\x00\x08" * 50,
]


async def test_nobody_writes_a_line_into_the_log(logged: tuple[Process, Path], callers: Callers) -> None:
    """Attack 68: a name, an address, a user agent with line ends or colours: one line a request, and none of theirs."""
    process, log = logged
    async with httpx.AsyncClient(base_url=process.url) as client:
        for text in LINES:
            raw = text.encode("utf-8").replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
            headers = [
                (b"User-Agent", raw),
                (b"X-Request-Id", raw),
                (b"Referer", raw),
                (b"Accept-Language", raw),
            ]
            await client.get("/sign-in", headers=headers)
            await client.post(
                "/sign-in", data={"login": text, "password": text}, headers=[(b"Origin", b"http://hub.test")]
            )
            await client.get(f"/fhir/Patient/{quote(text)}")
            body = json.dumps({"resourceType": text, "id": text}).encode()
            who = {**await callers.headers_of("client"), "Content-Type": "application/fhir+json"}
            await client.post("/fhir/Patient", content=body, headers=who)
            push = {"station": text, "db_epoch": text, "batch": text, "ops": [], "agent": text}
            await client.post("/sync/v1/push", json=push, headers=await callers.headers_of("station"))
    lines = log.read_text().splitlines()
    assert sum('"event":"request"' in line for line in lines) >= 4 * len(LINES)
    for line in lines:
        assert isinstance(json.loads(line), dict), line
        assert not re.search(r"kanarivogel|\x1b|forged", line)


def _dsn(settings: HubSettings) -> str:
    return settings.database.replace("postgresql+psycopg://", "postgresql://")


async def test_a_failure_says_that_it_is_one_and_nothing_else(
    logged: tuple[Process, Path], callers: Callers, settings: HubSettings
) -> None:
    """Attack 69: without a table, with a full disk: neutral answers in the caller's language."""
    process, log = logged
    client_ = await callers.headers_of("client")
    with psycopg.connect(_dsn(settings), autocommit=True) as connection:
        connection.execute(
            "create function full_disk() returns trigger language plpgsql as $$ begin "
            "raise exception 'could not extend file kanarivogel' using errcode = 'disk_full'; end $$"
        )
        connection.execute(
            "create trigger full_disk before insert on records_version for each row execute function full_disk()"
        )
        connection.execute("alter table consultation rename to consultation_away")
        try:
            async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
                answers = [
                    await client.post(
                        "/fhir/Patient",
                        content=b'{"resourceType":"Patient"}',
                        headers={**client_, "Content-Type": "application/fhir+json"},
                    ),
                    await client.get(
                        "/doctor/cases", headers={**await callers.headers_of("doctor"), "Accept": "text/html"}
                    ),
                    await client.get(
                        "/board", headers={**await callers.headers_of("coordinator"), "Accept": "text/html"}
                    ),
                ]
        finally:
            connection.execute("alter table consultation_away rename to consultation")
            connection.execute("drop trigger full_disk on records_version")
    for answer in answers:
        assert answer.status_code in (500, 503), answer.text
        assert answer.headers["retry-after"]
        assert not re.search(
            r"kanarivogel|consultation_away|relation|psycopg|Traceback|select |\.py\b", answer.text
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert answers[0].json()["resourceType"] == "OperationOutcome"
    assert "kanarivogel" not in log.read_text()


async def test_without_redis_and_without_a_database_the_hub_answers_neutrally(
    settings: HubSettings, callers: Callers
) -> None:
    """Attack 69: Redis away delays nothing; a database that is away is 503 with a time to come back."""
    alone = settings.model_copy(update={"redis": "redis://127.0.0.1:1"})
    with serving(alone, "--no-worker") as process:
        async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/readyz")).status_code == 503
            read = await client.get("/fhir/Patient?_id=x", headers=await callers.headers_of("client"))
            assert read.status_code == 200
            session = await client.get("/access/v1/session", headers=await callers.headers_of("doctor"))
            assert session.status_code == 200


@pytest.mark.parametrize("table", ["audit_event", "records_version"])
@pytest.mark.parametrize(
    "statement",
    ["update {} set author = author", "delete from {}", "truncate {}", "update {} set at = now()"],
)
def test_the_trail_and_the_log_of_versions_are_changed_by_nobody(
    settings: HubSettings, table: str, statement: str
) -> None:
    """Attack 70: as the application's own role."""
    with (
        psycopg.connect(_dsn(settings), autocommit=True) as connection,
        pytest.raises(psycopg.Error) as refused,
    ):
        connection.execute(statement.format(table))
    assert refused.value.sqlstate in ("42501", "42703"), "refused, or there is no such column"


INJECTIONS = [
    "' or '1'='1",
    "'; select pg_sleep(10); --",
    "1) or 1=1--",
    "\\'; drop table records_resource; --",
    "*)(uid=*))(|(uid=*",
    "$(sleep 10)",
    "`sleep 10`",
    "| sleep 10",
    "{{7777777*7}}",
    "${7777777*7}",
    "<%= 7777777*7 %>",
    "#{7777777*7}",
    "\r\nSet-Cookie: a=b",
    "../../etc/passwd",
    "%27%20or%201=1",
    '{"$gt":""}',
    "a' waitfor delay '0:0:10'--",
    "${jndi:ldap://127.0.0.1:1/a}",
    "=cmd|' /C calc'!A0",
]


@pytest.mark.parametrize("text", INJECTIONS)
async def test_a_text_is_never_a_program(served: Process, callers: Callers, text: str) -> None:
    """Attack 71: in every kind of field: no 5xx, no delay, nothing carried out, nothing reflected as a header."""
    client_ = {**await callers.headers_of("client"), "Content-Type": "application/fhir+json"}
    doctor = {**await callers.headers_of("doctor"), "Origin": "http://hub.test", "Accept": "text/html"}
    resource = json.dumps(
        {
            "resourceType": "Patient",
            "name": [{"text": text, "family": text}],
            "identifier": [{"system": "urn:x", "value": text}],
        }
    )
    calls = [
        ("POST", "/fhir/Patient", client_, {"content": resource}),
        ("GET", "/fhir/Patient", client_, {"params": {"name": text, "identifier": f"urn:x|{text}"}}),
        ("GET", "/fhir/Patient", client_, {"params": {"_sort": text}}),
        ("GET", "/fhir/Patient", client_, {"params": {"_filter": f'name eq "{text}"'}}),
        ("GET", "/fhir/Patient", client_, {"params": {"_elements": text, "_count": text}}),
        ("POST", "/sign-in", {"Origin": "http://hub.test"}, {"data": {"login": text, "password": text}}),
        (
            "POST",
            "/oauth/token",
            {},
            {"data": {"grant_type": text, "client_id": text, "client_secret": text, "scope": text}},
        ),
        (
            "POST",
            "/sync/v1/push",
            await callers.headers_of("station"),
            {"json": {"station": SITE, "agent": text}},
        ),
        ("POST", "/doctor/duty", doctor, {"data": {"on": text}}),
        (
            "GET",
            f"/fleet/v1/stations?province={httpx.QueryParams({'p': text})}",
            await callers.headers_of("operator"),
            {},
        ),
    ]
    async with httpx.AsyncClient(base_url=served.url, timeout=8) as client:
        for method, path, headers, more in calls:
            answer = await client.request(method, path, headers=headers, **more)  # type: ignore[arg-type]
            assert answer.status_code < 500, (method, path, answer.text[:300])
            assert answer.elapsed.total_seconds() < 5
            assert "54444439" not in answer.text
            assert "a=b" not in answer.headers.get("set-cookie", "")
        assert (await client.get("/fhir/Patient?_count=0", headers=client_)).status_code == 200


async def test_no_route_takes_an_update_and_no_page_has_a_flag_to_switch(
    served: Process, callers: Callers
) -> None:
    """Attack 74: stations are updated from outside the hub; there is no package to swap, roll back or cut off."""
    async with httpx.AsyncClient(base_url=served.url) as client:
        for who in ("station", "operator", "client"):
            for path in ("/fleet/v1/update", "/fleet/v1/updates/latest", "/sync/v1/update", "/update.json"):
                headers = {**await callers.headers_of(who), "Origin": "http://hub.test"}
                assert (await client.get(path, headers=headers)).status_code == 404
                assert (await client.put(path, headers=headers, content=b"x")).status_code in (404, 405)
