"""Who may call what: every route of the application, for every kind of caller, and what a refusal gives away.

A route that is not in the matrix fails the first test, so that nobody adds one without saying who may use it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from secrets import choice
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Mount, WebSocketRoute

from clinic_net.access.http import COOKIE
from clinic_net.access.principals import Role
from clinic_net.access.rules import random_code
from clinic_net.consultations import service as consultations
from clinic_net.kernel.hub import Hub
from clinic_net.referrals import service as referrals
from tests.access.support import Device
from tests.app.callers import CALLERS, Callers, callers_of, session_of
from tests.console.patients import NAME, chest_pain, send
from tests.console.support import PASSWORD, add_person, app_of, browser, go_on_duty
from tests.consultations.support import CENTRAL, PROVINCIAL, SITE

NOBODY = "00000000-0000-4000-8000-000000000000"
"""An id that nothing has."""

HTML = {"Accept": "text/html"}
JSON = {"Accept": "application/json"}
FHIR = {"Accept": "application/fhir+json", "Content-Type": "application/fhir+json"}
JSON_PATCH = {"Accept": "application/fhir+json", "Content-Type": "application/json-patch+json"}
FHIR_FORM = {"Accept": "application/fhir+json"}


@dataclass(frozen=True)
class Row:
    """A harmless call and the status that each of ``CALLERS`` gets. ``ends`` says that it ends the session."""

    expected: tuple[int, ...]
    headers: Mapping[str, str] = field(default_factory=lambda: HTML)
    form: Mapping[str, str] | None = None
    json: Any = None
    body: bytes | None = None
    ends: bool = False

    @property
    def content(self) -> dict[str, Any]:
        if self.form is not None:
            return {"data": dict(self.form)}
        if self.json is not None:
            return {"json": self.json() if callable(self.json) else self.json}
        return {"content": self.body or b""}


def _all(status: int) -> tuple[int, ...]:
    return (status,) * len(CALLERS)


def _only(status: int, *callers: str, out: int = 401) -> tuple[int, ...]:
    """Return ``status`` for these callers, 403 for everybody else with a credential."""
    return tuple(status if who in callers else out if who == "out" else 403 for who in CALLERS)


def _page(status: int, *callers: str) -> Row:
    """A page for these callers; a browser that is not signed in is led to signing in."""
    return Row(_only(status, *callers, out=303))


def _written(status: int, *callers: str, **form: str) -> Row:
    return Row(_only(status, *callers), form=form)


def _fhir(status: int, *callers: str, json: Any = None) -> Row:
    return Row(_only(status, *callers), FHIR, json=json)


CLINICIANS = ("doctor", "nurse", "coordinator")
READERS = (*CLINICIANS, "citizen", "client")
WRITERS = ("doctor", "nurse", "client")
PEOPLE = (*CLINICIANS, "operator", "auditor", "national", "citizen")
ADMINISTRATORS = ("operator", "national")
NOT_VALID = {"resourceType": "Patient", "id": NOBODY, "gender": "yes"}
NOTHING_MORE = {"resourceType": "Parameters", "parameter": []}
TAGGED = {
    "resourceType": "Parameters",
    "parameter": [{"name": "meta", "valueMeta": {"tag": [{"system": "urn:x", "code": "y"}]}}],
}

MATRIX: dict[str, Row] = {
    # what anybody may ask
    "GET /healthz": Row(_all(200), JSON),
    "GET /readyz": Row(_all(200), JSON),
    "GET /metrics": Row(_all(404), JSON),
    "GET /fhir/metadata": Row(_all(200), FHIR),
    "HEAD /fhir/metadata": Row(_all(200), FHIR),
    "GET /fhir/.well-known/smart-configuration": Row(_all(200), JSON),
    "GET /fhir/openapi.json": Row(_all(200), JSON),
    "GET /sign-in": Row(_all(200)),
    "POST /language": Row(_all(303), form={"language": "vi"}),
    "GET /audit": _page(200, "auditor"),
    "POST /audit": _written(200, "auditor", patient=NOBODY),
    "GET /audit/v1/checkpoint": Row(_all(404), JSON),
    "GET /audit/v1/proof/{old}/{new}": Row(_all(422), JSON),
    "POST /audit/v1/checkpoint": Row(_all(422), JSON, body=b"none"),
    # credentials
    "POST /oauth/token": Row(_all(401), JSON, form={"grant_type": "client_credentials", "client_id": "x"}),
    "POST /oauth/introspect": Row(_all(401), JSON, form={"token": "x", "client_id": "x"}),
    "POST /oauth/revoke": Row(_all(401), JSON, form={"token": "x", "client_id": "x"}),
    "GET /oauth/jwks": Row(_all(200), JSON),
    "GET /.well-known/openid-configuration": Row(_all(200), JSON),
    "GET /oauth/userinfo": Row(_only(403), JSON),
    "GET /oauth/authorize": Row(tuple(400 if who in PEOPLE else 303 for who in CALLERS)),
    "POST /oauth/authorize": Row(
        tuple(400 if who in PEOPLE else 401 for who in CALLERS), form={"decision": "allow"}
    ),
    "POST /access/v1/session": Row(_all(401), JSON, form={"login": "nobody", "password": "x" * 12}),
    "GET /access/v1/session": Row(_only(200, *PEOPLE), JSON),
    "DELETE /access/v1/session": Row(_all(204), JSON, ends=True),
    "POST /sign-in": Row(_all(401), form={"login": "nobody", "password": "x" * 12}),
    "POST /sign-out": Row(_all(303), form={}, ends=True),
    # signing in, step by step, and one's own account
    "GET /sign-in/factor": Row(_all(303)),
    "POST /sign-in/factor": Row(_all(401), form={"code": "000000"}),
    "GET /sign-in/password": Row(_all(303)),
    "POST /sign-in/password": Row(_all(401), form={"password": "x" * 12, "again": "x" * 12}),
    "GET /sign-in/set-up": Row(_all(303)),
    "POST /sign-in/set-up": Row(_all(401), form={"code": "000000"}),
    "POST /passkeys/options": Row(_all(200), JSON, json={"for": "sign-in"}),
    "POST /passkeys/answer": Row(_all(401), JSON, json={"for": "sign-in", "credential": {}}),
    "GET /account": _page(200, *PEOPLE),
    "POST /account/purpose": _written(422, *PEOPLE, purpose="BTG"),
    "POST /account/sessions": _written(303, *PEOPLE, end="00"),
    "GET /account/password": _page(200, *PEOPLE),
    "POST /account/password": _written(422, *PEOPLE, password="x" * 12, again="x" * 12),
    "GET /account/app": _page(200, *PEOPLE),
    "POST /account/app": _written(422, *PEOPLE, code="nothing"),
    "POST /account/app/remove": _written(303, *PEOPLE),
    "POST /account/passkeys/remove": _written(303, *PEOPLE, name="AAAA"),
    "POST /account/recovery": _written(409, *PEOPLE),
    "GET /verify": _page(200, *PEOPLE),
    "POST /verify": Row(_only(303, *PEOPLE), form={"proof": PASSWORD, "next": "/account"}, ends=True),
    # administering people
    "GET /people": _page(200, *ADMINISTRATORS),
    "GET /people/new": _page(200, *ADMINISTRATORS),
    "POST /people/new": _written(422, *ADMINISTRATORS, login="!", name="A", role="nurse", facility=CENTRAL),
    "GET /people/{person}": _page(404, *ADMINISTRATORS),
    "POST /people/{person}/disable": _written(404, *ADMINISTRATORS),
    "POST /people/{person}/sign-out": _written(404, *ADMINISTRATORS),
    "POST /people/{person}/password": _written(404, *ADMINISTRATORS),
    "POST /people/{person}/factors": _written(404, *ADMINISTRATORS),
    "POST /people/{person}/role": _written(404, *ADMINISTRATORS, role="nurse"),
    "GET /approvals": _page(200, *ADMINISTRATORS),
    "POST /approvals/codes": _written(404, *ADMINISTRATORS, sites="99999-01"),
    "POST /approvals/{approval}": _written(404, *ADMINISTRATORS, digest="0" * 64, approve="true"),
    "POST /approvals/{approval}/codes": _written(404, *ADMINISTRATORS),
    # stations
    "POST /fleet/v1/enrol": Row(_all(404), JSON, json=lambda: Device.fresh().enrolment(random_code(choice))),
    "POST /fleet/v1/stations/{site}/codes": Row(_only(404, "operator", "national"), JSON),
    "POST /fleet/v1/stations/{site}/revoke": Row(_only(404, "operator", "national"), JSON),
    "GET /fleet/v1/stations": Row(_only(200, "operator", "national"), JSON),
    "GET /fleet/v1/stations/{site}/settings": Row(_only(404, "operator", "national"), JSON),
    "PUT /fleet/v1/stations/{site}/settings": Row(_only(404, "operator", "national"), JSON, json={}),
    "PUT /fleet/v1/settings": Row(_only(422, "operator", "national"), JSON, json={"day_bytes": 1}),
    "POST /fleet/v1/moves": Row(
        _only(404, "operator", "national"), JSON, json={"origin": "99999-01", "target": "99999-02"}
    ),
    "GET /fleet/v1/moves": Row(_only(200, "operator", "national"), JSON),
    "GET /fleet/v1/moves/{move}": Row(_only(404, "operator", "national"), JSON),
    "POST /sync/v1/push": Row(_only(400, "station"), JSON, body=b"{}"),
    "POST /sync/v1/pull": Row(_only(400, "station"), JSON, body=b"{}"),
    "POST /sync/v1/standing": Row(_all(400), JSON, body=b"{}"),
    "POST /sync/v1/receipts": Row(_all(400), JSON, body=b"{}"),
    "GET /fleet/v1/erasures": Row(_only(200, "operator", "national"), JSON),
    "GET /sync/v1/snapshots/{snapshot}": Row(_only(404, "station"), JSON),
    "GET /sync/v1/snapshots/{snapshot}/{n}": Row(_only(404, "station"), JSON),
    "POST /sync/v1/digest": Row(_only(400, "station"), JSON, body=b"{}"),
    "OPTIONS /sync/v1/files": Row(_all(204), JSON),
    "OPTIONS /sync/v1/files/": Row(_all(204), JSON),
    "POST /sync/v1/files": Row(_only(503, "station"), JSON),
    "POST /sync/v1/files/": Row(_only(503, "station"), JSON),
    "HEAD /sync/v1/files/{uuid}": Row(_only(404, "station"), JSON),
    "PATCH /sync/v1/files/{uuid}": Row(_only(404, "station"), JSON),
    "DELETE /sync/v1/files/{uuid}": Row(_only(404, "station"), JSON),
    "POST /sync/v1/stored": Row(_only(400, "station"), JSON, body=b"{}"),
    "GET /sync/v1/stored/{digest}": Row(_only(404, "station"), JSON),
    "GET /sync/v1/sms/key": Row(_only(200, "station"), JSON),
    "POST /sync/v1/sms": Row(_only(403), JSON, body=b"{}"),
    "GET /fhir/Binary/{digest}": _fhir(404, *CLINICIANS, "citizen"),
    # records
    "POST /fhir": _fhir(400, *PEOPLE, "client", json={"resourceType": "Bundle", "type": "history"}),
    "POST /fhir/": _fhir(400, *PEOPLE, "client", json={"resourceType": "Bundle", "type": "history"}),
    "GET /fhir/{rtype}": _fhir(200, *READERS),
    "HEAD /fhir/{rtype}": _fhir(200, *READERS),
    "POST /fhir/{rtype}/_search": Row(_only(200, *READERS), FHIR_FORM, form={}),
    "POST /fhir/{rtype}": _fhir(422, *WRITERS, json=NOT_VALID),
    "POST /fhir/{rtype}/$validate": _fhir(200, *READERS, json=NOT_VALID),
    "GET /fhir/{rtype}/{fid}": _fhir(404, *READERS),
    "HEAD /fhir/{rtype}/{fid}": _fhir(404, *READERS),
    "PUT /fhir/{rtype}/{fid}": _fhir(422, *WRITERS, json=NOT_VALID),
    "PATCH /fhir/{rtype}/{fid}": Row(_only(404, *WRITERS), JSON_PATCH, body=b"[]"),
    "DELETE /fhir/{rtype}/{fid}": _fhir(404, "client"),
    "PUT /fhir/{rtype}": _fhir(400, *WRITERS, json=NOT_VALID),
    "PATCH /fhir/{rtype}": Row(_only(400, *WRITERS), JSON_PATCH, body=b"[]"),
    "DELETE /fhir/{rtype}": _fhir(400, "client"),
    "GET /fhir/_history": _fhir(200, *READERS),
    "HEAD /fhir/_history": _fhir(200, *READERS),
    "GET /fhir/{rtype}/_history": _fhir(200, *READERS),
    "HEAD /fhir/{rtype}/_history": _fhir(200, *READERS),
    "HEAD /fhir/{rtype}/{fid}/_history": _fhir(404, *READERS),
    "GET /fhir/Patient/{fid}/$everything": _fhir(404, *READERS),
    "GET /fhir/{rtype}/{fid}/_history": _fhir(404, *READERS),
    "GET /fhir/{rtype}/{fid}/_history/{vid}": _fhir(404, *READERS),
    "HEAD /fhir/{rtype}/{fid}/_history/{vid}": _fhir(404, *READERS),
    "GET /fhir": _fhir(200, *READERS),
    "HEAD /fhir": _fhir(200, *READERS),
    "GET /fhir/": _fhir(200, *READERS),
    "HEAD /fhir/": _fhir(200, *READERS),
    "POST /fhir/_search": Row(_only(200, *READERS), FHIR_FORM, form={}),
    "GET /fhir/{owner}/{fid}/{rtype}": _fhir(200, *READERS),
    "HEAD /fhir/{owner}/{fid}/{rtype}": _fhir(200, *READERS),
    "POST /fhir/{owner}/{fid}/{rtype}/_search": Row(_only(200, *READERS), FHIR_FORM, form={}),
    "GET /fhir/{owner}/{fid}/*": _fhir(200, *READERS),
    "HEAD /fhir/{owner}/{fid}/*": _fhir(200, *READERS),
    "POST /fhir/{owner}/{fid}/_search": Row(_only(200, *READERS), FHIR_FORM, form={}),
    "POST /fhir/$reindex": _fhir(403, json=NOTHING_MORE),
    "GET /fhir/_reindex/{run}": _fhir(404, *PEOPLE, "client"),
    "HEAD /fhir/_reindex/{run}": _fhir(404, *PEOPLE, "client"),
    "GET /fhir/_async/{name}": _fhir(404, *PEOPLE, "client"),
    "HEAD /fhir/_async/{name}": _fhir(404, *PEOPLE, "client"),
    "DELETE /fhir/_async/{name}": _fhir(404, *PEOPLE, "client"),
    "POST /fhir/Patient/{fid}/$everything": _fhir(404, *READERS, json=NOTHING_MORE),
    "POST /fhir/Encounter/{fid}/$everything": _fhir(404, *CLINICIANS, "citizen", json=NOTHING_MORE),
    "POST /fhir/Observation/$lastn": _fhir(400, *CLINICIANS, "citizen", json=NOTHING_MORE),
    "GET /fhir/{rtype}/{fid}/$validate": _fhir(404, *READERS),
    "HEAD /fhir/{rtype}/{fid}/$validate": _fhir(404, *READERS),
    "POST /fhir/{rtype}/{fid}/$meta": _fhir(404, *READERS, json=NOTHING_MORE),
    "GET /fhir/{rtype}/{fid}/_history/{vid}/$meta": _fhir(404, *READERS),
    "HEAD /fhir/{rtype}/{fid}/_history/{vid}/$meta": _fhir(404, *READERS),
    "POST /fhir/{rtype}/{fid}/_history/{vid}/$meta": _fhir(404, *READERS, json=NOTHING_MORE),
    **{
        f"{method} /fhir/{path}": _fhir(
            405, *PEOPLE, "client", json=NOTHING_MORE if method == "POST" else None
        )
        for path in ("$meta", "{rtype}/$meta", "Patient/$everything", "Encounter/$everything")
        for method in ("GET", "HEAD", "POST")
    },
    **{
        f"POST /fhir/{{rtype}}/{{fid}}/_history/{{vid}}/{change}": _fhir(405, *PEOPLE, "client", json=TAGGED)
        for change in ("$meta-add", "$meta-delete")
    },
    **{f"{method} /fhir": Row(_all(405), FHIR) for method in ("DELETE", "PATCH", "PUT")},
    "HEAD /fhir/Patient/{fid}/$everything": _fhir(404, *READERS),
    "GET /fhir/Encounter/{fid}/$everything": _fhir(404, *CLINICIANS, "citizen"),
    "HEAD /fhir/Encounter/{fid}/$everything": _fhir(404, *CLINICIANS, "citizen"),
    "GET /fhir/Observation/$lastn": _fhir(400, *CLINICIANS, "citizen"),
    "HEAD /fhir/Observation/$lastn": _fhir(400, *CLINICIANS, "citizen"),
    "POST /fhir/Patient/$match": _fhir(400, *READERS, json={"resourceType": "Parameters"}),
    "GET /fhir/{rtype}/{fid}/$meta": _fhir(404, *READERS),
    "HEAD /fhir/{rtype}/{fid}/$meta": _fhir(404, *READERS),
    "POST /fhir/{rtype}/{fid}/$meta-add": _fhir(404, *WRITERS, json=TAGGED),
    "POST /fhir/{rtype}/{fid}/$meta-delete": _fhir(404, *WRITERS, json=TAGGED),
    "POST /fhir/{rtype}/{fid}/$validate": _fhir(404, *READERS, json=NOT_VALID),
    **{
        f"{method} /fhir/{{path}}": Row(_all(405), FHIR)
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    },
    # pages
    "GET /": Row((303, 303, 303, 303, 303, 303, 303, 303, 403, 403)),
    "GET /doctor": _page(200, "doctor", "nurse"),
    "POST /doctor/duty": _written(303, "doctor", on="false"),
    "GET /doctor/cases": _page(200, "doctor"),
    "GET /consultations/{consultation}": _page(404, "doctor"),
    "GET /consultations/{consultation}/card": _page(404, "doctor"),
    "GET /consultations/{consultation}/record": _page(404, "doctor"),
    "GET /consultations/{consultation}/timeline": _page(404, "doctor"),
    "GET /consultations/{consultation}/decision": _page(404, "doctor"),
    "POST /consultations/{consultation}/accept": _written(404, "doctor"),
    "POST /consultations/{consultation}/decline": _written(404, "doctor", reason="busy"),
    "POST /consultations/{consultation}/note": _written(404, "doctor", plan="Theo dõi"),
    "POST /consultations/{consultation}/prescription": _written(404, "doctor", medicine="Aspirin"),
    "POST /consultations/{consultation}/referral": _written(
        404, "doctor", to_facility=CENTRAL, urgency="red", reason="Đau ngực"
    ),
    "POST /consultations/{consultation}/decision": _written(404, "doctor", outcome="advice"),
    "POST /consultations/{consultation}/end": _written(404, "doctor"),
    "GET /referrals/{referral}": _page(404, "doctor"),
    "POST /referrals/{referral}/accept": _written(404, "doctor"),
    "POST /referrals/{referral}/reject": _written(404, "doctor", reason="no-bed", words="Hết giường"),
    "POST /referrals/{referral}/home": _written(404, "doctor", plan="Tái khám"),
    "GET /sign-in/elsewhere": Row(_all(404)),
    "GET /sign-in/elsewhere/back": Row(_all(404)),
    "GET /programs": _page(200, *PEOPLE),
    "POST /programs/{grant}/end": _written(404, *PEOPLE),
    "POST /programs/{client}/open": _written(404, "doctor", consultation=NOBODY),
    # This citizen's record has not arrived yet.
    "GET /me": _page(200, "citizen"),
    "GET /me/copy": _page(404, "citizen"),
    "GET /me/children/{relation}": _page(404, "citizen"),
    "POST /me/consents": _written(404, "citizen", decision="deny", facility="11007"),
    "POST /me/consents/{consent_id}/withdraw": _written(404, "citizen"),
    "POST /me/corrections": _written(404, "citizen", words="Sai tên"),
    "GET /conflicts": _page(200, "doctor", "nurse", "coordinator"),
    "GET /conflicts/{task}": _page(404, "doctor", "nurse", "coordinator"),
    "POST /conflicts/{task}": _written(404, "doctor", "nurse", "coordinator", whole="ours"),
    "GET /emergency": _page(200, "doctor", "nurse"),
    "POST /emergency": _written(422, "doctor", "nurse", number="001099012345", reason="handover", words="x"),
    "GET /emergency/{opening}": _page(404, "doctor", "nurse"),
    "GET /emergencies": _page(200, "operator", "auditor"),
    "GET /emergencies/waiting": _page(200, "operator", "auditor"),
    "POST /emergencies/{opening}/review": _written(
        404, "operator", "auditor", outcome="justified", words="Đúng"
    ),
    "GET /board": _page(200, "coordinator", "operator"),
    "GET /board/live": _page(200, "coordinator", "operator"),
    "GET /privacy": _page(200, "operator", "national"),
    "POST /privacy/requests": _written(404, "operator", "national", patient=NOBODY, kind="copy"),
    "POST /privacy/requests/{request_id}/{step}": _written(404, "operator", "national"),
    "POST /privacy/holds": _written(404, "operator", "national", patient=NOBODY, reason="dispute"),
    "POST /privacy/holds/{hold_id}/lift": _written(404, "operator", "national"),
    "POST /privacy/breaches": _written(
        422, "operator", "national", kind="other", people="1", words="x", noticed="2999-01-01T00:00"
    ),
    "POST /privacy/breaches/{breach}/steps": _written(404, "operator", "national", step="note", words="x"),
    "GET /privacy/breaches/{breach}/evidence": _page(404, "operator", "national"),
    "GET /cases/{case}": _page(404, "coordinator"),
    "GET /cases/{case}/live": _page(404, "coordinator"),
    "POST /cases/{case}/ring": _written(404, "coordinator", person=NOBODY),
    "POST /cases/{case}/close": _written(404, "coordinator", outcome="advice"),
}
"""What each caller gets. The ids in these calls are nobody's."""

STATIC = {"/static": "console.css", "/browser": "ring.js"}
"""What anybody may load, with a file of each."""

SOCKETS = {"/signal"}
"""Who may open it: ``tests/app/test_sockets.py``."""


def routes_of(routes: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every route with its whole path, without the convertors of its parameters."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield re.sub(r":\w+}", "}", prefix + route.path), route
        else:
            yield from routes_of(included.routes, prefix + route.include_context.prefix)


def address(template: str, fid: str = NOBODY) -> str:
    """Return the path of a template, with ``fid`` as every id in it."""
    known = {
        "rtype": "Patient",
        "owner": "Patient",
        "vid": "1",
        "site": "00000-01",
        "path": "Patient/a/b/c",
        "step": "answer",
        "digest": "0" * 64,
        "n": "0",
    }
    return re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], fid), template)


@dataclass(frozen=True)
class Network:
    """The callers of the matrix, and a case, a referral and a patient that are none of theirs."""

    app: FastAPI
    callers: Callers
    case: UUID
    referral: UUID
    patient: str
    own: Mapping[str, str] = field(default_factory=dict)
    """Cookies of those whose case, referral and patient it is, by whose."""

    async def call(self, caller: str, key: str, *, fid: str = NOBODY) -> httpx.Response:
        row = MATRIX[key]
        method, template = key.split(" ", 1)
        headers = {**row.headers, **await self.callers.headers_of(caller, fresh=row.ends)}
        async with browser(self.app) as client:
            answer: httpx.Response = await client.request(
                method, address(template, fid), headers=headers, **row.content
            )
        return answer


@pytest.fixture(scope="module")
async def network(district: Hub) -> Network:
    # Time stands still: however long the matrix takes, no token ends and every proof is fresh.
    moment = district.now()
    hub = replace(district, now=lambda: moment)
    app = app_of(hub)
    owner = await add_person(hub, Role.DOCTOR, specialties=("cardiology",))
    await go_on_duty(hub, owner)
    written = chest_pain(hub.now())
    case = await send(hub, written)
    async with hub.sessions() as session, session.begin():
        await consultations.accept(session, case, by=owner.user, now=hub.now())
        sent = await referrals.refer(
            session, case, by=owner.user, to_facility=PROVINCIAL, urgency="red", reason="Đau", now=hub.now()
        )
    # Everybody works in another province than the case.
    callers = await callers_of(hub, app, facility=CENTRAL, scope="system/Patient.cruds")
    receiver = await add_person(hub, Role.DOCTOR, facility=PROVINCIAL)
    coordinator = await add_person(hub, Role.COORDINATOR, facility=PROVINCIAL)
    people = {"doctor": owner, "receiver": receiver, "coordinator": coordinator}
    own = {who: await session_of(hub, person) for who, person in people.items()}
    return Network(app, callers, case, sent.id, written.patient, own)


def test_every_route_has_its_line(app: FastAPI) -> None:
    found, mounts, sockets = set(), set(), set()
    for path, route in routes_of(app.routes):
        if isinstance(route, WebSocketRoute):
            sockets.add(path)
        elif isinstance(route, Mount):
            mounts.add(path)
        else:
            found |= {f"{method} {path}" for method in route.methods}
    assert found == MATRIX.keys()
    assert mounts == STATIC.keys()
    assert sockets == SOCKETS


@pytest.mark.parametrize("key", MATRIX)
async def test_each_caller_gets_what_it_may(network: Network, key: str) -> None:
    got = {caller: (await network.call(caller, key)).status_code for caller in CALLERS}
    assert got == dict(zip(CALLERS, MATRIX[key].expected, strict=True))


NOT_FOR_EVERYBODY = [
    key for key, row in MATRIX.items() if set(row.expected) & {401, 403, 404} and not row.ends
]
OF_A_CASE = [key for key in MATRIX if re.search(r"\{(consultation|case)\}", key)]
OF_A_REFERRAL = [key for key in MATRIX if "{referral}" in key]
OF_A_PATIENT = [key for key in MATRIX if "{fid}" in key and not key.startswith("PUT ")]

TELLTALE = re.compile(
    r"traceback|sqlalchemy|psycopg|asyncpg|select .* from|insert into|exception|\.py\b|exists already|line \d+",
    re.I,
)
"""What a program says about itself, or about whether a thing is there."""

UUIDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.mark.parametrize("key", NOT_FOR_EVERYBODY)
async def test_a_refusal_gives_nothing_away(network: Network, key: str) -> None:
    names = {person.user.name for person in network.callers.people.values()} | {NAME, SITE, "Mường Pồn"}
    for caller in CALLERS:
        answer = await network.call(caller, key)
        if answer.status_code not in (401, 403, 404):
            continue
        assert not TELLTALE.search(answer.text), (caller, answer.text)
        assert set(UUIDS.findall(answer.text)) <= {NOBODY}, (caller, answer.text)
        assert not [name for name in names if name in answer.text], (caller, answer.text)


@pytest.mark.parametrize("key", OF_A_CASE)
async def test_somebody_else_s_case_answers_like_none(network: Network, key: str) -> None:
    await _look_alike(network, key, str(network.case))


@pytest.mark.parametrize("key", OF_A_REFERRAL)
async def test_somebody_else_s_referral_answers_like_none(network: Network, key: str) -> None:
    await _look_alike(network, key, str(network.referral))


@pytest.mark.parametrize("key", OF_A_PATIENT)
async def test_somebody_else_s_patient_answers_like_none(network: Network, key: str) -> None:
    await _look_alike(network, key, network.patient, but=("client",))


WHOSE = {"consultation": "doctor", "case": "coordinator", "referral": "receiver", "fid": "doctor"}
"""Who has a right to what is named in an address."""
NOT_OF_A_PATIENT = {"Encounter/{fid}/$everything", "$meta-add", "$meta-delete"}
OWN = [
    key
    for key in (*OF_A_CASE, *OF_A_REFERRAL, *OF_A_PATIENT)
    if key.startswith("GET ") and not any(part in key for part in NOT_OF_A_PATIENT)
]


@pytest.mark.parametrize("key", OWN)
async def test_one_s_own_is_answered_and_to_nobody_else(network: Network, key: str) -> None:
    """The three ways of the matrix for one address: one's own, another's, and nobody's."""
    [named] = re.findall(r"\{(consultation|case|referral|fid)\}", key)
    theirs = {"consultation": str(network.case), "case": str(network.case), "referral": str(network.referral)}
    id_ = theirs.get(named, network.patient)
    method, template = key.split(" ", 1)
    async with browser(network.app) as client:
        cookie = {"Cookie": f"{COOKIE}={network.own[WHOSE[named]]}"}
        own = await client.request(method, address(template, id_), headers={**MATRIX[key].headers, **cookie})
        none = await client.request(method, address(template), headers={**MATRIX[key].headers, **cookie})
    foreign = await network.call("doctor", key, fid=id_)
    assert own.status_code == 200, own.text
    if "{rtype}" not in template or template.endswith("{fid}"):
        assert none.status_code in (404, 200)
    assert foreign.status_code in (403, 404) or not json_entries(foreign), foreign.text


def json_entries(answer: httpx.Response) -> list[Any]:
    """Return what a Bundle holds."""
    entries: list[Any] = answer.json().get("entry", [])
    return entries


async def _look_alike(network: Network, key: str, theirs: str, *, but: tuple[str, ...] = ()) -> None:
    """Compare byte by byte what each caller gets for another's id and for nobody's; the id itself aside."""
    for caller in CALLERS:
        if caller in but:
            continue  # a system client's scope spans all tenants: it may see them
        other = await network.call(caller, key, fid=theirs)
        none = await network.call(caller, key)
        assert other.status_code == none.status_code, caller
        assert other.text.replace(theirs, NOBODY) == none.text, caller
        assert _comparable(other) == _comparable(none), caller


def _comparable(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "content-length"}


async def test_another_station_s_case_is_unknown_to_a_doctor_of_the_same_hospital(network: Network) -> None:
    """Being of the same house is no right: who was neither rung nor chosen knows of no case."""
    callers = network.callers
    bystander = await add_person(callers.hub, Role.DOCTOR, specialties=("dental",))
    cookies = callers.sessions | {"doctor": await session_of(callers.hub, bystander)}
    nearby = replace(network, callers=replace(callers, sessions=cookies))
    for key in OF_A_CASE:
        other = await nearby.call("doctor", key, fid=str(network.case))
        none = await nearby.call("doctor", key)
        assert (other.status_code, other.text) == (none.status_code, none.text), key


async def test_an_interface_says_with_which_credential_to_come_back(network: Network) -> None:
    for key in (
        "GET /fhir/{rtype}",
        "POST /sync/v1/push",
        "GET /access/v1/session",
        "GET /fleet/v1/stations",
    ):
        answer = await network.call("out", key)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="clinic-net"', key
    forged = replace(network, callers=replace(network.callers, bearers={"client": "forged"}))
    answer = await forged.call("client", "GET /fhir/{rtype}")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="clinic-net", error="invalid_token"'


@pytest.mark.parametrize(("mount", "file"), STATIC.items())
async def test_what_anybody_may_load_is_files_and_nothing_around_them(
    app: FastAPI, mount: str, file: str
) -> None:
    async with browser(app) as client:
        assert (await client.get(f"{mount}/{file}")).status_code == 200
        for around in ("", "/", "/..%2f..%2fapp.py", "/%2e%2e/%2e%2e/app.py", "/../routes.py", "/nothing"):
            assert (await client.get(mount + around)).status_code in (303, 307, 404), around
