"""JSON and XML, plain and gzipped, in and out; and which other origins may ask."""

import gzip
from xml.etree import ElementTree

import httpx
import pytest

from clinic_net.app import create_app
from clinic_net.fhir import check, parse, read_xml, to_xml
from clinic_net.kernel.hub import Hub
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


async def test_a_head_request_says_what_a_get_would(fhir: httpx.AsyncClient) -> None:
    location = (await fhir.post("/fhir/Patient", content=text(patient()))).headers["location"]
    place = location.rpartition("/_history")[0]
    for path in (place, location, f"{place}/_history", "/fhir/Patient?_count=1", "/fhir/metadata"):
        got, head = await fhir.get(path), await fhir.head(path)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-type", "content-length", "etag", "last-modified"):
            assert head.headers.get(name) == got.headers.get(name), (path, name)


NAMES = {
    "json": ("json", "application/json", "application/fhir+json", "text/json", "application/fhir%2Bjson"),
    "xml": (
        "xml",
        "application/xml",
        "application/fhir+xml",
        "text/xml",
        "application/fhir+xml;fhirVersion=4.0",
    ),
}


@pytest.mark.parametrize(
    ("name", "spoken"),
    [(name, f"application/fhir+{kind}") for kind, names in NAMES.items() for name in names],
)
async def test_a_format_has_many_names_and_the_parameter_comes_before_the_header(
    fhir: httpx.AsyncClient, name: str, spoken: str
) -> None:
    """FHIR R4 http §3.1.0.1.10 and §3.1.0.1.11."""
    other = "application/fhir+json" if "xml" in name else "application/fhir+xml"
    answer = await fhir.get(f"/fhir/metadata?_format={name}", headers={"Accept": other})
    assert (answer.status_code, answer.headers["content-type"]) == (200, spoken)
    if "%" not in name:
        accepted = await fhir.get("/fhir/Patient?_count=0", headers={"Accept": name})
        assert accepted.status_code == (200 if "/" in name else 406)


@pytest.mark.parametrize(
    ("accept", "spoken"),
    [
        ("application/fhir+json; fhirVersion=4.0; charset=utf-8", "application/fhir+json"),
        ("application/fhir+xml;fhirVersion=5.0, application/fhir+json;q=0.1", "application/fhir+json"),
        ("application/fhir+json;q=0.4, application/fhir+xml;q=0.5", "application/fhir+xml"),
        ("text/html, */*;q=0.1", "application/fhir+json"),
        ("application/fhir+json;fhirVersion=5.0", None),
        ("application/fhir+json;q=0", None),
        ("text/turtle", None),
        ("text/html", None),
    ],
)
async def test_the_best_format_that_is_there_is_spoken_or_none(
    fhir: httpx.AsyncClient, accept: str, spoken: str | None
) -> None:
    answer = await fhir.get("/fhir/Patient?_count=0", headers={"Accept": accept})
    if spoken is None:
        assert (answer.status_code, codes(answer.json())) == (406, ["unsupported-format"])
    else:
        assert (answer.status_code, answer.headers["content-type"]) == (200, spoken)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/fhir+json; fhirVersion=4.0.1; charset=UTF-8", 201),
        ("application/json", 201),
        ("application/fhir+json;fhirVersion=5.0", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
async def test_a_body_says_what_it_is(fhir: httpx.AsyncClient, content_type: str, status: int) -> None:
    answer = await fhir.post("/fhir/Patient", content=text(patient()), headers={"Content-Type": content_type})
    assert answer.status_code == status


async def test_a_body_that_is_packed_otherwise_is_refused(fhir: httpx.AsyncClient) -> None:
    answer = await fhir.post("/fhir/Patient", content=b"x", headers={"Content-Encoding": "br"})
    assert (answer.status_code, codes(answer.json())) == (415, ["unsupported-content"])


async def test_what_is_read_may_be_indented_or_cut_down(fhir: httpx.AsyncClient) -> None:
    body = text(observation("1", value=0)).replace(b'"value": 0', b'"value": 72.50')
    location = (await fhir.post("/fhir/Observation", content=body)).headers["location"]
    for place in (location, location.rpartition("/_history")[0]):
        pretty = await fhir.get(place, params={"_pretty": "true"})
        assert b'\n    "value": 72.50,\n' in pretty.content
        assert pretty.json() == (await fhir.get(place, params={"_pretty": "false"})).json()
        cut = (await fhir.get(place, params={"_elements": "subject"})).json()
        assert cut.keys() == {"resourceType", "id", "meta", "status", "code", "subject"}
        assert cut["meta"]["tag"][0]["code"] == "SUBSETTED"
        assert "subject" not in (await fhir.get(place, params={"_summary": "text"})).json()
        assert (await fhir.get(place, params={"_summary": "some"})).status_code == 400
    refused = await fhir.get("/fhir/Patient/unknown?_pretty=true")
    assert refused.content.startswith(b'{"resourceType"')  # refusals are short as they are
    assert (await fhir.get("/fhir/metadata?_pretty=yes")).status_code == 400


async def test_only_named_origins_may_ask_and_only_for_records() -> None:
    from fastapi import FastAPI

    app = FastAPI()
    app.add_middleware(FhirCors, origins=["https://app.test"])
    app.add_api_route("/fhir/metadata", lambda: {})
    app.add_api_route("/other", lambda: {})
    async with visiting(app) as browser:
        asked = {"Origin": "https://app.test", "Access-Control-Request-Method": "PUT"}
        foreign = await browser.options("/fhir/Patient/1", headers={**asked, "Origin": "https://evil.test"})
        other = await browser.get("/other", headers={"Origin": "https://app.test"})
        refused = await browser.options("/other", headers=asked)
    assert foreign.status_code == 400
    assert "access-control-allow-origin" not in other.headers
    assert "access-control-allow-origin" not in refused.headers


ASKED = "Accept Authorization Content-Encoding Content-Type If-Match If-Modified-Since If-None-Exist Prefer"
TOLD = "Allow Content-Location ETag Expires Last-Modified Location Retry-After X-Progress"


async def test_a_page_of_another_origin_may_do_all_that_fhir_asks_for_and_see_the_answer(hub: Hub) -> None:
    origin = "https://app.test"
    app = create_app(hub.settings.model_copy(update={"cors_origins": (origin,)}), with_worker=False)
    app.state.hub = hub
    async with visiting(app, Origin=origin) as browser:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
            for header in ASKED.split():
                asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": header}
                allowed = await browser.options("/fhir/Patient/1", headers=asked)
                assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, origin)
                assert method in allowed.headers["access-control-allow-methods"]
                assert "access-control-allow-credentials" not in allowed.headers
        strange = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "X-Strange"}
        assert (await browser.options("/fhir/Patient/1", headers=strange)).status_code == 400
        for path, status in (("metadata", 200), ("Patient/1", 401)):
            answer = await browser.get(f"/fhir/{path}")
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, origin)
            assert set(TOLD.split()) <= set(answer.headers["access-control-expose-headers"].split(", "))
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "Authorization"}
        assert (await browser.options("/oauth/token", headers=asked)).status_code == 200
