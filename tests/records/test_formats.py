"""JSON and XML, plain and gzipped, in and out; and which other origins may ask."""

import gzip
from xml.etree import ElementTree

import httpx
import pytest

from clinic_net.fhir import check, parse, read_xml, to_xml
from clinic_net.records.cors import FhirCors
from tests.records.support import codes, observation, patient, text, visiting

XML = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}

PATIENT = """<?xml version="1.0"?><!-- gone -->
<Patient xmlns="http://hl7.org/fhir">
  <id value="x"/>
  <text><status value="generated"/>
    <div xmlns="http://www.w3.org/1999/xhtml">Hòa <b class="n">&amp; &#169;</b><br/></div>
  </text>
  <extension url="urn:a"><valueDecimal value="72.50"/></extension>
  <active value="true"/>
  <name id="n"><given value="A"/><given><extension url="urn:b"><valueCode value="c"/></extension></given></name>
  <contact><telecom><system value="phone"/><value value="1&#10;2"/></telecom></contact>
  <multipleBirthInteger value="2"/>
</Patient>"""


async def test_a_resource_comes_in_xml_and_goes_out_in_both_formats(fhir: httpx.AsyncClient) -> None:
    created = await fhir.post("/fhir/Patient", content=PATIENT.encode(), headers=XML)
    assert created.status_code == 201, created.text
    address = created.headers["location"].rpartition("/_history")[0]

    as_json = await fhir.get(address)
    as_xml = await fhir.get(address + "?_format=xml")

    assert as_xml.headers["content-type"] == "application/fhir+xml"
    assert b'"valueDecimal":72.50' in as_json.content
    assert as_json.json()["name"][0]["_given"] == [None, {"extension": [{"url": "urn:b", "valueCode": "c"}]}]
    assert as_json.json()["contact"][0]["telecom"][0]["value"] == "1\n2"
    assert as_json.json()["text"]["div"].endswith('Hòa <b class="n">&amp; ©</b><br/></div>')
    assert parse(read_xml(as_xml.content)) == parse(as_json.content)
    order = [element.tag.rpartition("}")[2] for element in ElementTree.fromstring(as_xml.text)]
    assert order[:3] == ["id", "meta", "text"]
    assert order[-2:] == ["multipleBirthInteger", "contact"]


async def test_bundles_refusals_and_the_capability_statement_come_in_xml(fhir: httpx.AsyncClient) -> None:
    await fhir.post("/fhir/Patient", content=text(patient()))
    for path, status in (("metadata", 200), ("Patient?_count=2", 200), ("Patient/unknown", 404)):
        answer = await fhir.get(f"/fhir/{path}", headers={"Accept": "text/html;q=0.1, application/fhir+xml"})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/fhir+xml"
        assert check(parse(read_xml(answer.content))) == []


@pytest.mark.parametrize(
    "body",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><Patient xmlns="http://hl7.org/fhir"/>',
        '<!DOCTYPE Patient SYSTEM "file:///etc/passwd"><Patient xmlns="http://hl7.org/fhir"/>',
        '<Patient xmlns="http://hl7.org/fhir"><birthDate value="&x;"/></Patient>',
        '<Patient xmlns="urn:other"/>',
        "<Patient/>",
        '<Nothing xmlns="http://hl7.org/fhir"/>',
        '<HumanName xmlns="http://hl7.org/fhir"/>',
        '<Patient xmlns="http://hl7.org/fhir"><nothing/></Patient>',
        '<Patient xmlns="http://hl7.org/fhir"><_active/></Patient>',
        '<Patient xmlns="http://hl7.org/fhir"><active value="true" other="1"/></Patient>',
        '<Patient xmlns="http://hl7.org/fhir"><active value="true"/><active value="true"/></Patient>',
        '<Patient xmlns="http://hl7.org/fhir">text</Patient>',
        '<Patient xmlns="http://hl7.org/fhir"><div xmlns="http://www.w3.org/1999/xhtml"/></Patient>',
        '<Patient xmlns="http://hl7.org/fhir">' + "<contained>" * 9,
        '<Patient xmlns="http://hl7.org/fhir">' + "<extension>" * 5000,
        "",
        "\0",
        '<?xml version="1.0" encoding="no-such"?><Patient xmlns="http://hl7.org/fhir"/>',
    ],
)
async def test_xml_that_is_not_fhirs_is_refused(fhir: httpx.AsyncClient, body: str) -> None:
    answer = await fhir.post(
        "/fhir/Patient", content=body.encode(), headers={"Content-Type": "application/fhir+xml"}
    )
    assert (answer.status_code, codes(answer.json())) == (400, ["malformed-xml"])


async def test_wrong_values_in_xml_are_found_by_the_same_check(fhir: httpx.AsyncClient) -> None:
    body = '<Patient xmlns="http://hl7.org/fhir"><active value="yes"/><multipleBirthInteger value="1.5"/></Patient>'
    answer = await fhir.post(
        "/fhir/Patient", content=body.encode(), headers={"Content-Type": "application/fhir+xml"}
    )
    assert (answer.status_code, len(answer.json()["issue"])) == (422, 2)


def test_a_narrative_that_is_no_xml_is_written_as_text() -> None:
    content = patient(text={"status": "generated", "div": "<div>a&nbsp;<b></div>"})
    back = parse(read_xml(to_xml(text(content))))
    assert back["text"]["div"].endswith("&lt;div&gt;a&amp;nbsp;&lt;b&gt;&lt;/div&gt;</div>")


async def test_bodies_are_packed_and_unpacked(fhir: httpx.AsyncClient) -> None:
    note = [{"text": "x" * 5000}]
    body = gzip.compress(text(observation("1", note=note)))
    created = await fhir.post("/fhir/Observation", content=body, headers={"Content-Encoding": "gzip"})
    assert (created.status_code, created.headers["content-encoding"]) == (201, "gzip")
    assert created.json()["note"] == note
    plain = await fhir.get(created.headers["location"], headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in plain.headers
    assert "Accept-Encoding" in plain.headers["vary"]


async def test_a_gzip_bomb_is_stopped_at_the_limit(fhir: httpx.AsyncClient) -> None:
    bomb = gzip.compress(b" " * 200_000_000)
    answer = await fhir.post("/fhir/Patient", content=bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413


async def test_a_head_request_says_what_a_read_would(fhir: httpx.AsyncClient) -> None:
    location = (await fhir.post("/fhir/Patient", content=text(patient()))).headers["location"]
    head = await fhir.head(location.rpartition("/_history")[0])
    assert (head.status_code, head.headers["etag"]) == (200, 'W/"1"')


async def test_only_named_origins_may_ask_and_only_for_records() -> None:
    from fastapi import FastAPI

    app = FastAPI()
    app.add_middleware(FhirCors, origins=["https://app.test"])
    app.add_api_route("/fhir/metadata", lambda: {})
    app.add_api_route("/other", lambda: {})
    async with visiting(app) as browser:
        asked = {"Origin": "https://app.test", "Access-Control-Request-Method": "PUT"}
        allowed = await browser.options("/fhir/Patient/1", headers=asked)
        foreign = await browser.options("/fhir/Patient/1", headers={**asked, "Origin": "https://evil.test"})
        read = await browser.get("/fhir/metadata", headers={"Origin": "https://app.test"})
        other = await browser.get("/other", headers={"Origin": "https://app.test"})
    assert allowed.headers["access-control-allow-origin"] == "https://app.test"
    assert "access-control-allow-credentials" not in allowed.headers
    assert foreign.status_code == 400
    assert "ETag" in read.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in other.headers
