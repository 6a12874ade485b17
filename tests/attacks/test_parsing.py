"""What is sent to be read: searches, JSON, XML, packed bodies, text. Attacks 33 to 39 and 42 of the checklist."""

import asyncio
import gzip
import json
import time
import unicodedata
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from tests.app.callers import Callers
from tests.app.process import Process
from tests.attacks.raw import resident

SECONDS = 4.0
"""For one refusal, on a machine of two cores that is busy."""
MIB = 2**20
FHIR = "application/fhir+json"


@pytest.fixture
async def fhir(served: Process, callers: Callers) -> AsyncIterator[httpx.AsyncClient]:
    headers = {**await callers.headers_of("client"), "Accept": FHIR, "Content-Type": FHIR}
    async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=30) as client:
        yield client


@asynccontextmanager
async def bounded(served: Process, *, seconds: float = SECONDS, mib: int = 60) -> AsyncIterator[None]:
    """Hold what happens within to a time, and the hub's process to the memory that it had."""
    before, began = resident(served), time.perf_counter()
    yield
    assert time.perf_counter() - began < seconds
    assert resident(served) - before < mib * MIB


def patient(**changed: Any) -> bytes:
    return json.dumps({"resourceType": "Patient", **changed}, ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


SEARCHES = [
    "Observation?" + "subject:Patient.link:" * 5 + "Patient.name=a",
    "Observation?patient.organization.partof.partof.partof.partof.name=a",
    "Patient?_has:Observation:patient:_has:Provenance:target:_has:AuditEvent:entity:agent=x",
    "Patient?name=" + ",".join("a" * 40),
    "Patient?_count=1000000000",
    "Patient?_offset=1000000000",
    "Patient?" + "&".join(f"x{n}=1" for n in range(500)),
    "Patient?" + "&".join(["name=a"] * 500),
    "Patient?_sort=" + ",".join(["name", "-birthdate"] * 10),
    "Patient?_sort=,,,-",
    "Patient?_sort=name&_sort=-name",
    "Patient?_include=*&_include:iterate=*&_revinclude=*&_count=1000",
    "Patient?_filter=" + "(" * 500 + "name eq a" + ")" * 500,
    "Patient?name:contains=a",
    "Patient?name:contains=%25",
    "Patient?name=_%25_%25_%25_%25",
    "Patient?_content=" + "a" * 5000,
    "Patient?_text=" + "%20or%20".join(["a"] * 300),
    "Observation?value-quantity=" + "9" * 400,
    "Observation?code=" + "|" * 2000,
    "Observation?date=" + ",".join(["gt2020"] * 100),
]


@pytest.mark.parametrize("query", SEARCHES, ids=lambda query: query[:60])
async def test_a_search_that_asks_for_too_much(served: Process, fhir: httpx.AsyncClient, query: str) -> None:
    """Attacks 33 and 34: deep chains, wide lists, huge pages, one letter anywhere: refused or bounded, never a 500."""
    async with bounded(served):
        answer = await fhir.get(f"/fhir/{query}")
    assert answer.status_code < 500, answer.text[:300]
    if answer.status_code == 200:
        assert len(answer.json().get("entry", ())) <= 1500


EVIL = ["a" * 5000 + "!", "1" * 5000 + "x", "0" * 400 + "." * 400, "T" * 3000, "-" * 4000, ("a." * 2000) + "/",
        "urn:oid:" + "0." * 3000, " " * 3000 + "x", "(" * 3000, "\\" * 3000, "%" * 3000, "+" + "0:" * 999]  # fmt: skip


@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
async def test_no_validator_thinks_long_about_a_text(
    served: Process, fhir: httpx.AsyncClient, evil: str
) -> None:
    """Attack 34: texts that make a backtracking expression run for ever."""
    async with bounded(served):
        for content in (
            {"id": evil}, {"birthDate": evil}, {"gender": evil}, {"implicitRules": evil}, {"language": evil},
            {"meta": {"lastUpdated": evil, "profile": [evil]}}, {"managingOrganization": {"reference": evil}},
            {"identifier": [{"system": evil, "value": evil}]}, {"photo": [{"contentType": evil, "data": evil}]},
            {"text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{evil}</div>'}},
            {"text": {"status": "generated", "div": "<div" + evil}}, {"telecom": [{"value": evil, "rank": evil}]},
        ):  # fmt: skip
            answer = await fhir.post("/fhir/Patient/$validate", content=patient(**content))
            assert answer.status_code < 500
        for name in ("birthdate", "_lastUpdated", "_id", "identifier", "general-practitioner", "death-date"):
            answer = await fhir.get("/fhir/Patient", params={name: evil})
            assert answer.status_code < 500


NAMES = ["__proto__", "constructor", "prototype", "%00", "';--", "${jndi:ldap://127.0.0.1:1/a}", "{{7*7}}", "{7*7}",
         "#{7*7}", "<%= 7*7 %>", "$(id)", "`id`", "..\\..\\x", "%0d%0aX-Injected:%201", "%n%n%s", "\u202e"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_that_means_something_elsewhere_means_nothing_here(
    served: Process, fhir: httpx.AsyncClient, name: str
) -> None:
    """Attacks 35 and 71: names and values of other languages, in every place where a text may stand."""
    raw = name if name.startswith("%") else quote(name, safe="")
    for answer in (
        await fhir.get(f"/fhir/Patient?{raw}=1"),
        await fhir.get(f"/fhir/Patient?name={raw}"),
        await fhir.get(f"/fhir/Patient?{raw}:exact=1"),
        await fhir.get(f"/fhir/{raw}"),
        await fhir.get(f"/fhir/Patient/{raw}"),
        await fhir.post("/fhir/Patient", content=patient(**{name: 1})),
        await fhir.post("/fhir/Patient", content=patient(gender=name)),
        await fhir.get("/fhir/Patient", headers={"Prefer": f"handling={quote(name)}"}),
    ):
        assert answer.status_code < 500, answer.text[:300]
        assert "x-injected" not in answer.headers
        assert (
            "49" not in answer.text.replace("1949", "") or "{7*7}" in answer.text or len(answer.text) > 2000
        )


DEEP = 100_000
JSON_BODIES: dict[str, bytes] = {
    "deep lists": b'{"resourceType":"Patient","name":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "a million members": b'{"resourceType":"Patient",' + b",".join(b'"%d":1' % n for n in range(400_000)) + b"}",
    "a long string": patient(name=[{"text": "x" * 4_900_000}]),
    "20 MB": b'"' + b"x" * 20_000_000 + b'"',
    "a member twice": b'{"resourceType":"Patient","gender":"male","gender":"female"}',
    "NaN": b'{"resourceType":"Patient","multipleBirthInteger":NaN}',
    "1e400": b'{"resourceType":"Patient","multipleBirthInteger":1e400}',
    "5,000 digits": b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * 5000 + b"}",
    "NUL": b'{"resourceType":"Patient","gender":"\\u0000"}',
    "half a pair": b'{"resourceType":"Patient","gender":"\\ud800"}',
    "no UTF-8": b'{"resourceType":"Patient","gender":"\xff\xfe"}',
    "UTF-16": '{"resourceType":"Patient"}'.encode("utf-16"),
    "a mark": b"\xef\xbb\xbf" + b'{"resourceType":"Patient"}',
    "a bundle of a million": b'{"resourceType":"Bundle","type":"batch","entry":[' + b"{}," * 1_000_000 + b"{}]}",
}  # fmt: skip


@pytest.mark.parametrize("name", JSON_BODIES)
async def test_json_that_costs_its_reader(served: Process, fhir: httpx.AsyncClient, name: str) -> None:
    """Attack 36: refused, soon, and without growing."""
    path = "/fhir" if "bundle" in name else "/fhir/Patient"
    async with bounded(served, mib=120 if "bundle" in name else 60):
        answer = await fhir.post(path, content=JSON_BODIES[name])
    assert answer.status_code in (400, 413, 422)
    assert len(answer.content) < 20_000


async def test_vietnamese_is_found_however_it_was_typed(fhir: httpx.AsyncClient) -> None:
    """Attack 37: composed and decomposed letters are one text to a search; the received bytes stay as they came."""
    composed = "Nguyễn Thị Hoà Bình"
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed != decomposed
    for text in (composed, decomposed, "𠀋 😀 Lò"):
        made = await fhir.post("/fhir/Patient", content=patient(name=[{"text": text}]))
        assert made.status_code == 201
        assert made.json()["name"][0]["text"] == text
    for asked in (composed, decomposed, "nguyen thi hoa"):
        found = await fhir.get("/fhir/Patient", params={"name": asked})
        assert len(found.json()["entry"]) >= 2, asked


@pytest.mark.parametrize("letter", ["\u200b", "\u202e", "\u2066", "\ufeff", "а", "․", "\u00ad"])
async def test_an_id_has_no_letter_that_looks_like_another(fhir: httpx.AsyncClient, letter: str) -> None:
    """Attack 37: nothing invisible and no look-alike where identity is decided."""
    fid = f"abc{letter}def"
    put = await fhir.put(f"/fhir/Patient/{quote(fid)}", content=patient(id=fid))
    post = await fhir.post("/fhir/Patient", content=patient(id=fid))
    assert put.status_code in (400, 404, 422)
    assert post.status_code == 422


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that notes who comes."""
    heard: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


async def test_xml_reads_no_file_and_calls_nobody(served: Process, fhir: httpx.AsyncClient) -> None:
    """Attack 38: outside entities, outside definitions, inclusion, entity bombs: 400, no file, no connection."""
    root = '<Patient xmlns="http://hl7.org/fhir"><gender value="%s"/></Patient>'
    async with listening() as (port, heard):
        url = f"http://127.0.0.1:{port}/x"
        bomb = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
        for body in (
            f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>{root % "&e;"}',
            f'<!DOCTYPE x [<!ENTITY e SYSTEM "{url}">]>{root % "&e;"}',
            f'<!DOCTYPE x SYSTEM "{url}">{root % "male"}',
            f'<!DOCTYPE x [<!ENTITY % p SYSTEM "{url}"> %p;]>{root % "male"}',
            f'<!DOCTYPE x [<!ENTITY l0 "l">{bomb}]>{root % "&l11;"}',
            f'<?xml-stylesheet href="{url}"?>{root % "male"}',
            f'<Patient xmlns="http://hl7.org/fhir" xmlns:i="http://www.w3.org/2001/XInclude"><i:include href="{url}"/>'
            "</Patient>",
            f'<Patient xmlns="http://hl7.org/fhir" xmlns:s="http://www.w3.org/2001/XMLSchema-instance" '
            f's:schemaLocation="http://hl7.org/fhir {url}"><gender value="male"/></Patient>',
        ):
            async with bounded(served):
                answer = await fhir.post(
                    "/fhir/Patient/$validate", content=body, headers={"Content-Type": "application/fhir+xml"}
                )
            assert answer.status_code < 500
            assert "root:" not in answer.text
        await asyncio.sleep(0.3)
        assert heard == []


def packed(size: int) -> bytes:
    packing = zlib.compressobj(9, wbits=31)
    chunk = b" " * MIB
    return b"".join(packing.compress(chunk) for _ in range(size // MIB)) + packing.flush()


BOMB = packed(300 * MIB)
PACKED: list[tuple[str, str, bytes]] = [
    ("300 MB", "gzip", BOMB),
    ("300 MB twice", "gzip, gzip", gzip.compress(BOMB)),
    ("deflate", "deflate", zlib.compress(b" " * MIB)),
    ("zstd that states 2 GB", "zstd", b"\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x80" + b"\x00" * 50),
    ("brotli", "br", b"\xce\xb2\xcf\x81"),
    ("half of it", "gzip", gzip.compress(patient())[:-5]),
    ("something behind it", "gzip", gzip.compress(patient()) + b"more"),
    ("a wrong sum", "gzip", gzip.compress(patient())[:-8] + b"\0" * 8),
    ("nothing", "gzip", b""),
    ("an unknown one", "x-nothing", patient()),
]


@pytest.mark.parametrize(("name", "encoding", "body"), PACKED, ids=[case[0] for case in PACKED])
@pytest.mark.parametrize("path", ["/fhir/Patient", "/fhir", "/sync/v1/push", "/fhir/Patient/_search"])
async def test_a_packed_body_is_unpacked_within_bounds_or_not_at_all(
    served: Process,
    fhir: httpx.AsyncClient,
    callers: Callers,
    path: str,
    name: str,
    encoding: str,
    body: bytes,
) -> None:
    """Attack 39: bombs, packs in packs, halves and strangers: 400, 413 or 415, and no memory for them."""
    who = await callers.headers_of("station" if path.startswith("/sync") else "client")
    kind = "application/x-www-form-urlencoded" if path.endswith("_search") else FHIR
    async with bounded(served):
        answer = await fhir.post(
            path, content=body, headers={**who, "Content-Encoding": encoding, "Content-Type": kind}
        )
    assert answer.status_code in (400, 413, 415), (name, answer.status_code)


async def test_a_file_in_ten_thousand_ranges_is_no_more_work_than_in_one(served: Process) -> None:
    """Attack 42: ranges do not multiply."""
    ranges = ",".join(f"{n}-{n}" for n in range(9000))
    async with httpx.AsyncClient(base_url=served.url, timeout=30) as client, bounded(served):
        for wanted in (f"bytes={ranges}", "bytes=0-,0-,0-", "bytes=9-1", "bytes=-", "lines=1-2"):
            answer = await client.get("/static/console.css", headers={"Range": wanted})
            assert answer.status_code in (200, 206, 400, 416, 431), wanted[:20]
            assert len(answer.content) < MIB


@pytest.mark.parametrize(
    "body",
    [
        b"".join(b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n' % n for n in range(60_000))
        + b"--b--",
        b'--b\r\nContent-Disposition: form-data; name="' + b"a" * 1_000_000 + b'"\r\n\r\nx\r\n--b--',
        b"--b\r\n" + b"X: y\r\n" * 200_000 + b"\r\nx\r\n--b--",
        b'--b\r\nContent-Disposition: form-data; name="login"; filename="../../x"\r\n\r\n' + b"x" * 4_000_000,
        b"--" + b"b" * 100_000,
    ],
    ids=["parts", "name", "headers", "file", "border"],
)
async def test_a_form_of_many_parts_is_refused(served: Process, body: bytes) -> None:
    """Attack 42: 60,000 parts, a part's head of a megabyte, files where none belong."""
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    async with httpx.AsyncClient(base_url=served.url, timeout=30) as client, bounded(served):
        answer = await client.post("/sign-in", content=body, headers=headers)
    assert 400 <= answer.status_code < 500


async def test_what_was_refused_left_nothing_behind(fhir: httpx.AsyncClient) -> None:
    name = f"Sau Cùng {uuid4().hex}"
    made = await fhir.post("/fhir/Patient", content=patient(name=[{"text": name}]))
    found = await fhir.get("/fhir/Patient", params={"name": name})
    assert [each["resource"]["id"] for each in found.json()["entry"]] == [made.json()["id"]]
