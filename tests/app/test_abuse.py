"""Whatever is thrown at the hub's doors is refused in bounded time: never a 500, never a 503, nothing quoted back."""

import asyncio
import gzip
import json
from typing import Any
from urllib.parse import quote_plus

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinic_net.access.http import COOKIE
from clinic_net.consultations import service as consultations
from clinic_net.kernel.asgi import MAX_BODY_BYTES
from clinic_net.kernel.hub import Hub
from tests.access.support import Device
from tests.app.callers import Callers, callers_of
from tests.console.patients import chest_pain, send
from tests.console.support import browser, go_on_duty
from tests.consultations.support import CENTRE, SITE

_SETTINGS = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PATIENCE_S = 20.0
"""Seconds for one answer, on a machine of two cores that is busy with other tests."""

NUL, SURROGATE = "\0", "\ud800"
NASTY = (
    NUL,
    f"a{NUL}b",
    "%00",
    "'; drop table consultation; --",
    "{{77777*77777}}",
    "<script>alert(1)</script>",
    "9" * 5000,
    "\u202e",
    "",
)
FORM = "application/x-www-form-urlencoded"

_nasty = st.sampled_from(NASTY) | st.text(max_size=40)
_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _nasty | st.just(SURROGATE) | st.just(2**70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
async def callers(district: Hub, app: FastAPI) -> Callers:
    return await callers_of(district, app, facility=CENTRE)


@pytest.fixture(scope="module")
async def case(district: Hub, callers: Callers) -> str:
    """A case that the doctor has taken, so that forms get as far as the database."""
    doctor = callers.people["doctor"]
    await go_on_duty(district, doctor)
    asked = await send(district, chest_pain(district.now(), specialty="general"))
    async with district.sessions() as session, session.begin():
        await consultations.coordinator_ring(
            session, asked, user=doctor.user.id, by=callers.people["coordinator"].user, now=district.now()
        )
        await consultations.accept(session, asked, by=doctor.user, now=district.now())
    return str(asked)


async def call(
    app: FastAPI, method: str, path: str, headers: dict[str, str], body: bytes | None = None
) -> httpx.Response:
    """Make a call and look at its answer."""
    async with browser(app) as client, asyncio.timeout(PATIENCE_S):
        answer: httpx.Response = await client.request(method, path, headers=headers, content=body)
    assert answer.status_code < 500, (method, path, answer.status_code, answer.text[:300])
    for word in ("Traceback", "psycopg", "sqlalchemy", "<script>alert", "6048661729"):
        assert word not in answer.text, (method, path, word)
    return answer


def form_of(fields: dict[str, str]) -> bytes:
    pairs = (
        f"{quote_plus(name)}={quote_plus(value, errors='surrogatepass')}" for name, value in fields.items()
    )
    return "&".join(pairs).encode()


FORMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "/sign-in": ("out", ("login", "password")),
    "/access/v1/session": ("out", ("login", "password")),
    "/language": ("out", ("language",)),
    "/doctor/duty": ("doctor", ("on",)),
    "/consultations/{case}/accept": ("doctor", ()),
    "/consultations/{case}/decline": ("doctor", ("reason",)),
    "/consultations/{case}/note": ("doctor", ("findings", "assessment", "plan", "advice")),
    "/consultations/{case}/prescription": (
        "doctor",
        ("medicine", "dose", "frequency", "quantity", "unit", "days", "weight", "carer"),
    ),
    "/consultations/{case}/referral": ("doctor", ("to_facility", "urgency", "reason")),
    "/consultations/{case}/decision": ("doctor", ("outcome",)),
    "/referrals/{case}/reject": ("doctor", ("reason", "words")),
    "/referrals/{case}/home": ("doctor", ("plan",)),
    "/cases/{case}/ring": ("coordinator", ("person",)),
    "/cases/{case}/close": ("coordinator", ("outcome",)),
}
"""Every form of the console, who sends it, and its fields."""

TYPICAL = ("/sign-in", "/doctor/duty", "/consultations/{case}/note", "/referrals/{case}/reject")
"""One of each way in which handlers read a form."""

USUAL = {
    "urgency": "red",
    "reason": "no-bed",
    "quantity": "1",
    "days": "1",
    "medicine": "Aspirin",
    "unit": "viên",
}
"""What lets a form get as far as the field that is nasty."""


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
async def test_a_form_with_one_nasty_field(
    app: FastAPI, callers: Callers, case: str, path: str, nasty: str
) -> None:
    who, names = FORMS[path]
    headers = {**await callers.headers_of(who), "Content-Type": FORM}
    for nasty_one in names:
        fields = {name: USUAL.get(name, "x") for name in names} | {nasty_one: nasty}
        await call(app, "POST", path.format(case=case), headers, form_of(fields))


@pytest.mark.parametrize("path", TYPICAL)
@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe\x00",
        b"a=%ff%fe&b=%C0%80",
        b"%zz=%&&&===",
        form_of(dict.fromkeys(("plan", "reason", "words", "login", "password", "medicine"), SURROGATE)),
        b"--x\r\nContent-Disposition: form-data; name=",
        b"[" * 100_000,
    ],
    ids=["bytes", "not-utf-8", "percent", "surrogate", "half-a-part", "brackets"],
)
@pytest.mark.parametrize(
    "kind",
    [
        FORM,
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/json",
        "text/plain",
        "\xe9/;=",
        "",
    ],
)
async def test_a_form_of_the_wrong_kind(
    app: FastAPI, callers: Callers, case: str, path: str, kind: str, body: bytes
) -> None:
    headers = {**await callers.headers_of(FORMS[path][0]), "Content-Type": kind}
    async with browser(app) as client, asyncio.timeout(PATIENCE_S):
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        answer = await client.post(path.format(case=case), headers=raw, content=body)
    assert answer.status_code < 500, answer.text[:300]


@pytest.mark.parametrize("path", TYPICAL)
@pytest.mark.parametrize(
    "body",
    [
        b"plan=" + b"x" * (MAX_BODY_BYTES + 1),
        b"plan=" + b"x" * (MAX_BODY_BYTES - 10),
        b"&".join(b"f%d=1" % n for n in range(150_000)),
        b"=" * 200_000,
        b"&" * 200_000,
    ],
    ids=["too-large", "just-not", "many-fields", "equals", "ampersands"],
)
async def test_a_huge_form(app: FastAPI, callers: Callers, case: str, path: str, body: bytes) -> None:
    headers = {**await callers.headers_of(FORMS[path][0]), "Content-Type": FORM}
    await call(app, "POST", path.format(case=case), headers, body)


@_SETTINGS
@given(path=st.sampled_from(sorted(FORMS)), fields=st.dictionaries(_nasty, _nasty, max_size=6))
async def test_any_form(app: FastAPI, callers: Callers, case: str, path: str, fields: dict[str, str]) -> None:
    headers = {**await callers.headers_of(FORMS[path][0]), "Content-Type": FORM}
    await call(app, "POST", path.format(case=case), headers, form_of(fields))


PUSH: dict[str, Any] = {
    "station": SITE,
    "db_epoch": "00000000-0000-4000-8000-000000000000",
    "batch": "00000000-0000-4000-8000-000000000001",
    "ops": [
        {
            "op": 1,
            "type": "Patient",
            "id": "p1",
            "at": "2026-11-22T00:00:00Z",
            "by": "Y tá",
            "body": '{"resourceType":"Patient","id":"p1"}',
        }
    ],
}
PULL: dict[str, Any] = {
    "station": SITE,
    "cursor": 0,
    "report": {
        "agent": "0.1.0",
        "waiting": {"0": 1},
        "refused": 0,
        "oldest_waiting_at": "2026-11-22T00:00:00Z",
    },
}
ENROL: dict[str, Any] = {**Device.fresh().enrolment("23456-789AB"), "agent": "0.1.0"}
MACHINES = {"/sync/v1/push": PUSH, "/sync/v1/pull": PULL, "/fleet/v1/enrol": ENROL}


def places_of(message: Any) -> list[tuple[Any, ...]]:
    """Return the path of every member and item of a message."""
    members = message.items() if isinstance(message, dict) else enumerate(message)
    found: list[tuple[Any, ...]] = []
    for key, value in members:
        found.append((key,))
        if isinstance(value, dict | list):
            found += [(key, *rest) for rest in places_of(value)]
    return found


def changed(message: Any, place: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(message))
    inside = copy
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    return copy


@pytest.mark.parametrize("path", MACHINES)
@_SETTINGS
@given(data=st.data())
async def test_a_machine_s_message_with_one_wild_member(
    app: FastAPI, callers: Callers, path: str, data: st.DataObject
) -> None:
    place = data.draw(st.sampled_from(places_of(MACHINES[path])))
    message = changed(MACHINES[path], place, data.draw(_value))
    headers = {**await callers.headers_of("station"), "Content-Type": "application/json"}
    await call(app, "POST", path, headers, json.dumps(message).encode())


@pytest.mark.parametrize("path", MACHINES)
@pytest.mark.parametrize(
    ("extra", "body"),
    [
        ({}, b""),
        ({}, b"\xff\xfe"),
        ({}, b'{"station": "\\ud800"}'),
        ({}, b'{"station": "\\u0000"}'),
        ({}, b"[" * 100_000),
        ({}, b"1" * 100_000),
        ({}, b'{"a":' * 50_000),
        ({"Content-Encoding": "gzip"}, b"not gzip"),
        ({"Content-Encoding": "gzip"}, gzip.compress(b"[" * 100_000)),
        ({"Content-Encoding": "gzip"}, gzip.compress(b" " * 200 * 1024 * 1024)),
        ({"Content-Encoding": "gzip"}, gzip.compress(b"{}")[:-6]),
        ({"Content-Encoding": "br"}, b"{}"),
        ({}, b"{" + b" " * (MAX_BODY_BYTES + 1)),
    ],
    ids=range(13),
)
async def test_a_machine_s_message_that_is_none(
    app: FastAPI, callers: Callers, path: str, extra: dict[str, str], body: bytes
) -> None:
    headers = {**await callers.headers_of("station"), "Content-Type": "application/json", **extra}
    answer = await call(app, "POST", path, headers, body)
    assert answer.status_code >= 400


@_SETTINGS
@given(
    fields=st.dictionaries(
        st.sampled_from(
            [
                "grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "scope",
            ]
        ),
        _nasty
        | st.sampled_from(
            [
                "client_credentials",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "system/*.cruds",
                "e30.e30.e30",
                "eyJhbGciOiJub25lIn0.e30.",
                "a.b.c",
                SURROGATE,
            ]
        ),
    ),
    basic=st.none() | st.sampled_from(["Basic", "Basic !", "Basic AA==", "Basic AAA6AAA=", "Bearer x"]),
)  # fmt: skip
async def test_any_request_for_a_token(app: FastAPI, fields: dict[str, str], basic: str | None) -> None:
    headers = {"Content-Type": FORM} | ({} if basic is None else {"Authorization": basic})
    answer = await call(app, "POST", "/oauth/token", headers, form_of(fields))
    assert answer.status_code in (400, 401)


@_SETTINGS
@given(
    value=st.binary(max_size=60).filter(lambda value: not set(value) & {0, 10, 13}),
    path=st.sampled_from(["/", "/doctor", "/board", "/access/v1/session", "/fhir/Patient", "/sync/v1/pull"]),
    name=st.sampled_from(
        [
            "Cookie", "Authorization", "Accept", "Accept-Language", "Origin", "Referer", "Content-Type", "Host",
            "HX-Request", "X-Forwarded-For", "If-Match", "If-None-Match", "If-Modified-Since", "Prefer",
            "Content-Length", "Range",
        ]
    ),
)  # fmt: skip
async def test_any_header(app: FastAPI, path: str, name: str, value: bytes) -> None:
    for prefix in (b"", COOKIE.encode() + b"=", b"Bearer ", b"clinic_net_language="):
        async with browser(app) as client, asyncio.timeout(PATIENCE_S):
            raw = [(name.encode(), (prefix + value).strip())]
            for method in ("GET", "POST"):
                answer = await client.request(method, path, headers=raw)
                assert answer.status_code < 500, (method, answer.text[:300])


@pytest.mark.parametrize(
    "path",
    [
        "/cases/%00", "/cases/%ff", "/consultations/not-a-uuid", "/consultations/" + "9" * 4000, "/static/%00",
        "/static/%ff", "/browser/" + "../" * 40 + "etc/passwd", "/fleet/v1/stations?province=%00", "/%00", "//",
        "/fleet/v1/stations?facility=%ff", "/static/" + "a" * 5000, "/referrals/%ed%a0%80",
    ],
)  # fmt: skip
@pytest.mark.parametrize("who", ["out", "doctor", "coordinator", "operator"])
async def test_any_address(app: FastAPI, callers: Callers, who: str, path: str) -> None:
    for method in ("GET", "POST", "DELETE", "PUT", "OPTIONS"):
        answer = await call(app, method, path, await callers.headers_of(who))
        assert answer.status_code >= 300


@pytest.mark.parametrize("site", ["%00", "%ff", "x" * 500, "%ed%a0%80", "'", "00000-01"])
async def test_any_station_that_an_operator_names(app: FastAPI, callers: Callers, site: str) -> None:
    for what in ("codes", "revoke"):
        headers = await callers.headers_of("operator")
        answer = await call(app, "POST", f"/fleet/v1/stations/{site}/{what}", headers)
        assert answer.status_code in (404, 422)
