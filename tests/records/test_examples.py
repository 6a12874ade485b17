"""What a client sent is what it gets back: HL7's published examples through HTTP, by every way out, in both formats."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from uuid import uuid4

import httpx
import pytest

from tests.fhir.exactness import apart_from_id_and_meta, canonical_xml, exactly
from tests.fhir.examples import DEFINITIONS, INVALID, Example, examples

XML = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
OF_EACH_DEFINITION = 12
IN_XML_OF_EACH_TYPE = 1


def chosen() -> list[Example]:
    """Every example of a resource that people exchange, and some of the standard's definitions of itself."""
    found: list[Example] = []
    taken: defaultdict[str, int] = defaultdict(int)
    for example in examples():
        taken[example.rtype] += 1
        if example.name not in INVALID and (
            example.rtype not in DEFINITIONS or taken[example.rtype] <= OF_EACH_DEFINITION
        ):
            found.append(example)
    return found


def identity(example: Example) -> str:
    return str(json.loads(example.text)["id"])


def batches(found: Sequence[Example], most: int = 3_000_000) -> Iterator[list[Example]]:
    batch: list[Example] = []
    for example in found:
        if batch and (sum(len(each.text) for each in batch) + len(example.text) > most or len(batch) == 250):
            yield batch
            batch = []
        batch.append(example)
    yield batch


def transaction(batch: Sequence[Example]) -> bytes:
    entries = []
    for example in batch:
        request = json.dumps({"method": "PUT", "url": f"{example.rtype}/{identity(example)}"}).encode()
        entries.append(b'{"resource":' + example.text + b',"request":' + request + b"}")
    return b'{"resourceType":"Bundle","type":"transaction","entry":[' + b",".join(entries) + b"]}"


@pytest.fixture(scope="module")
def taken() -> dict[str, Example]:
    """The examples by type and id."""
    return {f"{example.rtype}/{identity(example)}": example for example in chosen()}


async def test_every_example_comes_back_as_it_was_sent_by_every_way_out(
    fhir: httpx.AsyncClient, taken: dict[str, Example]
) -> None:
    for batch in batches(list(taken.values())):
        answer = await fhir.post("/fhir", content=transaction(batch))
        assert answer.status_code == 200, answer.text[:2000]

    changed = []
    stored: dict[str, list[bytes]] = defaultdict(list)
    for address, example in taken.items():
        read = (await fhir.get(f"/fhir/{address}")).content
        want = apart_from_id_and_meta(example.text, sent=example.text)
        if apart_from_id_and_meta(read, sent=example.text) != want:
            changed.append(example.name)
        stored[example.rtype].append(read)
    assert changed == []
    for rtype, texts in stored.items():
        for way in (f"/fhir/{rtype}?_count=100", f"/fhir/{rtype}/_history?_count=100"):
            found = await everything(fhir, way)
            assert all(b'"resource":' + text in found for text in texts), way


async def everything(fhir: httpx.AsyncClient, address: str) -> bytes:
    """Return the texts of all pages of a search or history, one after the other."""
    pages = []
    following: str | None = address
    while following is not None:
        answer = await fhir.get(following)
        assert answer.status_code == 200, answer.text
        pages.append(answer.content)
        links = answer.json().get("link", [])
        following = next((link["url"] for link in links if link["relation"] == "next"), None)
    return b"".join(pages)


async def test_an_example_sent_by_itself_is_stored_as_in_a_transaction(
    fhir: httpx.AsyncClient, taken: dict[str, Example]
) -> None:
    one_of_each = {example.rtype: (address, example) for address, example in taken.items()}
    for address, example in one_of_each.values():
        put = await fhir.put(f"/fhir/{address}", content=example.text)
        version = await fhir.get(f"/fhir/{address}/_history/1")
        posted = await fhir.post(f"/fhir/{example.rtype}", content=example.text)
        assert (put.status_code, posted.status_code) == (200, 201), example.name
        assert put.headers["etag"] == 'W/"1"', "the same text makes no new version"
        for answer in (put, version, posted):
            assert apart_from_id_and_meta(answer.content, sent=example.text) == apart_from_id_and_meta(
                example.text, sent=example.text
            )


async def test_an_example_sent_in_xml_comes_back_as_the_same_infoset(
    fhir: httpx.AsyncClient, taken: dict[str, Example]
) -> None:
    seen: defaultdict[str, int] = defaultdict(int)
    for address, example in taken.items():
        seen[example.rtype] += 1
        if seen[example.rtype] > IN_XML_OF_EACH_TYPE or len(example.text) > 300_000:
            continue
        fid = str(uuid4())
        sent = (await fhir.get(f"/fhir/{address}", headers=XML)).text.replace(
            f'<id value="{identity(example)}"/>', f'<id value="{fid}"/>', 1
        )
        put = await fhir.put(f"/fhir/{example.rtype}/{fid}", content=sent.encode(), headers=XML)
        got = await fhir.get(f"/fhir/{example.rtype}/{fid}", headers=XML)
        as_json = await fhir.get(f"/fhir/{example.rtype}/{fid}")
        assert put.status_code == 201, (example.name, put.text)
        assert canonical_xml(unstamped(got.text)) == canonical_xml(unstamped(sent)), example.name
        assert plain(as_json.content) == plain(example.text), example.name


def unstamped(xml: str) -> str:
    """Return a resource's XML without its date of last update, which every write sets."""
    before, mark, after = xml.partition('<lastUpdated value="')
    return before + after.partition('"/>')[2] if mark else xml


def plain(text: bytes) -> dict[str, object]:
    content = exactly(text)
    return {name: value for name, value in content.items() if name not in ("id", "meta")}


async def test_an_example_that_is_not_valid_is_refused_and_the_refusal_names_the_element(
    fhir: httpx.AsyncClient,
) -> None:
    for example in examples():
        if example.name in INVALID and len(example.text) < 3_000_000:
            rtype = json.loads(example.text)["resourceType"]
            answer = await fhir.post(f"/fhir/{rtype}", content=example.text)
            assert answer.status_code == 422, example.name
            assert all(issue["expression"][0].startswith(f"{rtype}.") for issue in answer.json()["issue"])
