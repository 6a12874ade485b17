"""What is inside a record, and the doors that this hub does not have. Attacks 43 to 50 of the checklist."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from clinic_net.kernel.hub import Hub
from tests.app.callers import Callers
from tests.console.patients import chest_pain, send
from tests.console.support import browser, go_on_duty

FHIR = "application/fhir+json"
XHTML = '<div xmlns="http://www.w3.org/1999/xhtml">%s</div>'


@pytest.fixture
async def fhir(app: FastAPI, callers: Callers) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(app) as client:
        client.headers.update({**await callers.headers_of("client"), "Accept": FHIR, "Content-Type": FHIR})
        yield client


def resource(rtype: str, **content: Any) -> bytes:
    return json.dumps({"resourceType": rtype, **content}).encode()


MARKUP = [
    "<script>alert(1)</script>", '<p onclick="x()">a</p>', '<img src="x" onerror="alert(1)"/>',
    '<a href="javascript:alert(1)">a</a>', '<a href=" java&#10;script:alert(1)">a</a>', "<svg onload='x()'>a</svg>",
    '<a href="data:text/html,x">a</a>', '<p style="@import url(x)">a</p>', "<iframe src='x'>a</iframe>",
    '<p style="behavior:url(x)">a</p>', "<style>@import 'x'</style>", '<form action="x"><input/></form>',
    '<object data="x">a</object>', "<math><mi>a</mi></math>", '<base href="x"/>a', "<meta http-equiv='refresh'/>a",
]  # fmt: skip


@pytest.mark.parametrize("markup", MARKUP)
async def test_a_narrative_that_runs_or_fetches_is_not_stored(fhir: httpx.AsyncClient, markup: str) -> None:
    """Attack 43: refused when it is written, in a resource, inside another one, and inside a bundle."""
    text = {"status": "generated", "div": XHTML % markup}
    inside = {"resourceType": "Practitioner", "id": "p", "text": text}
    entry = {
        "resource": {"resourceType": "Patient", "text": text},
        "request": {"method": "POST", "url": "Patient"},
    }
    for path, body in (
        ("/fhir/Patient", resource("Patient", text=text)),
        ("/fhir/Patient", resource("Patient", contained=[inside], generalPractitioner=[{"reference": "#p"}])),
        ("/fhir", resource("Bundle", type="transaction", entry=[entry])),
    ):
        answer = await fhir.post(path, content=body)
        assert answer.status_code in (400, 422), (path, answer.text)
        assert "alert(1)" not in answer.text, "nor is it quoted back"


async def test_words_that_are_markup_stay_words_on_every_page(
    district: Hub, app: FastAPI, callers: Callers
) -> None:
    """Attack 44: a name, a reason and a note that are markup are shown as they are read, to doctor and coordinator."""
    evil = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'><b>"
    doctor = callers.people["doctor"]
    await go_on_duty(district, doctor)
    written = chest_pain(district.now(), specialty="general")
    written.resources[0]["name"] = [{"text": evil}]
    written.resources[-1]["reasonCode"] = [{"text": evil}]
    case = await send(district, written)
    async with browser(app) as client:
        client.headers.update(await callers.headers_of("coordinator"))
        form = {"person": str(doctor.user.id)}
        await client.post(f"/cases/{case}/ring", data=form)
        pages = [
            await client.get(path)
            for path in ("/board", "/board/live", f"/cases/{case}", f"/cases/{case}/live")
        ]
    async with browser(app) as client:
        client.headers.update(await callers.headers_of("doctor"))
        pages += [
            await client.get(path) for path in ("/doctor", "/doctor/cases", f"/consultations/{case}/card")
        ]
        assert (await client.post(f"/consultations/{case}/accept")).status_code == 303
        note = await client.post(f"/consultations/{case}/note", data={"plan": evil, "findings": evil})
        pages += [
            note,
            await client.get(f"/consultations/{case}"),
            await client.get(f"/consultations/{case}/record"),
        ]
    assert {page.status_code for page in pages} == {200}
    for page in pages:
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
    assert any("&lt;script&gt;alert" in page.text for page in pages), "it was there to be shown"


DOORS = [
    ("application/pdf", b"%PDF-1.7\n1 0 obj <</OpenAction <</S /JavaScript /JS (app.alert(1))>> >>"),  # 46
    ("application/dicom", b"MZ" + b"\0" * 126 + b"DICM" + b"\xff" * 40),  # 47
    ("multipart/related; type=application/dicom; boundary=b", b"--b\r\n\r\nDICM\r\n--b--"),
    ("image/png", b"\x89PNG\r\n\x1a\n" + b"\0" * 40),  # 48
    ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
    ("image/jpeg", b"<html><script>alert(1)</script></html>"),
    ("application/zip", b"PK\x03\x04" + b"\0" * 40),  # 49
    ("application/x-tar", b"../../etc/passwd" + b"\0" * 500),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"PK\x03\x04"),
    ("application/offset+octet-stream", b"x" * 100),  # 50
    ("text/html", b"<script>alert(1)</script>"),
    ("application/octet-stream", b"\0" * 100),
]


@pytest.mark.parametrize(("kind", "body"), DOORS, ids=[kind.partition(";")[0] for kind, _ in DOORS])
@pytest.mark.parametrize("path", ["/fhir/Binary", "/fhir/Media", "/fhir/DocumentReference", "/fhir"])
async def test_a_file_has_no_door_here(fhir: httpx.AsyncClient, path: str, kind: str, body: bytes) -> None:
    """Attacks 46 to 48: PDF, DICOM, pictures and archives are refused by their type, before anything reads them."""
    answer = await fhir.post(path, content=body, headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    "path",
    ["/dicom-web/studies", "/wado", "/upload", "/uploads", "/files", "/files/abc", "/attachments",
     "/sync/v1/attachments", "/update", "/fhir/Binary/x/y/z"],
)  # fmt: skip
async def test_there_is_no_upload_to_resume(app: FastAPI, callers: Callers, path: str) -> None:
    """Attacks 49 and 50: no route but the stations' own (``tests/sync/test_files.py``) takes a part of a file."""
    headers = {
        "Tus-Resumable": "1.0.0", "Upload-Offset": "9223372036854775807", "Upload-Length": "1099511627776",
        "Upload-Metadata": "filename Li4vLi4vZXRjL3Bhc3N3ZA==", "Content-Type": "application/offset+octet-stream",
    }  # fmt: skip
    for who in ("out", "client", "station", "doctor"):
        async with browser(app) as client:
            for method in ("POST", "PATCH", "PUT", "HEAD"):
                credential = await callers.headers_of(who)
                answer = await client.request(
                    method, path, headers={**headers, **credential}, content=b"x" * 10
                )
                assert answer.status_code in (401, 404, 405, 406, 415), (method, answer.status_code)


NAMES = [
    "../../../etc/passwd",
    "..\\..\\x",
    "a\0.png",
    "x" * 300 + ".pdf",
    "CON",
    "x.",
    "/etc/passwd",
    "C:\\x",
    "a;b",
    "~",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_a_file_s_name_is_text_and_no_place(fhir: httpx.AsyncClient, name: str) -> None:
    """Attack 49: the title of an attachment is kept as text or refused; it names no file of the hub."""
    attachment = {"contentType": "application/pdf", "title": name, "data": base64.b64encode(b"%PDF").decode()}
    content = [{"attachment": attachment}]
    answer = await fhir.post(
        "/fhir/DocumentReference", content=resource("DocumentReference", status="current", content=content)
    )
    assert answer.status_code in (201, 400, 422)
    if answer.status_code == 201:
        read = await fhir.get(f"/fhir/DocumentReference/{answer.json()['id']}")
        assert read.json()["content"][0]["attachment"]["title"] == name


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/pdf", "application/javascript"])
async def test_what_a_binary_holds_is_never_answered_as_what_it_says_it_is(
    fhir: httpx.AsyncClient, kind: str
) -> None:
    """Attack 48: a page in a Binary stays FHIR: no browser takes it for a page of this hub."""
    data = base64.b64encode(b"<html><script>alert(1)</script></html>").decode()
    made = await fhir.post("/fhir/Binary", content=resource("Binary", contentType=kind, data=data))
    assert made.status_code == 201
    for accept in (kind, "*/*", "text/html,application/xhtml+xml", FHIR):
        answer = await fhir.get(f"/fhir/Binary/{made.json()['id']}", headers={"Accept": accept})
        assert answer.status_code in (200, 406)
        assert answer.headers["content-type"].startswith(FHIR) or answer.status_code == 406
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert b"<script>" not in answer.content
