"""Attachments by tus: real client, real nodes over loopback, real PostgreSQL."""

import asyncio
import base64
import hashlib
import io
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image
from sqlalchemy import text
from tusclient.client import TusClient

from clinic_net.kernel.hub import Hub
from clinic_net.kernel.settings import HubSettings
from clinic_net.protocol.sync.files import FILES_PATH, MAX_FILE_BYTES, STORED_PATH, binary_url
from clinic_net.records import service as records
from clinic_net.sync import files, files_jobs
from tests.app.callers import Callers, callers_of
from tests.app.process import Process, serving
from tests.console import support
from tests.consultations.support import CENTRE
from tests.kernel.test_uploads import claimed_png, pdf
from tests.sync.at_hub import AtHub, two_stations

TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = {**TUS, "Content-Type": "application/offset+octet-stream"}


@pytest.fixture(scope="module")
def settings(settings: HubSettings, tmp_path_factory: pytest.TempPathFactory) -> HubSettings:
    return settings.model_copy(update={"files": tmp_path_factory.mktemp("parts")})


@pytest.fixture(scope="module")
def app(hub: Hub) -> FastAPI:
    return support.app_of(hub)


@pytest.fixture(scope="module")
async def stations(hub: Hub, app: FastAPI) -> tuple[AtHub, AtHub]:
    return await two_stations(hub, app)


@pytest.fixture(scope="module")
def station(stations: tuple[AtHub, AtHub]) -> AtHub:
    return stations[0]


@pytest.fixture(scope="module")
async def callers(hub: Hub, app: FastAPI, stations: tuple[AtHub, AtHub]) -> Callers:
    return await callers_of(hub, app, facility=CENTRE)


@pytest.fixture(scope="module")
def served(settings: HubSettings, stations: tuple[AtHub, AtHub]) -> Iterator[Process]:
    with serving(settings, "--no-worker") as process:
        yield process


def a_picture(side: int = 300) -> bytes:
    """A JPEG that no other call returns, some 100 kB of noise."""
    out = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(side * side * 3)).save(out, "JPEG", quality=60)
    return out.getvalue()


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def metadata(content: bytes, *, kind: str = "image/jpeg", **other: str) -> dict[str, str]:
    named = {
        "filename": digest_of(content),
        "filetype": kind,
        "document": str(uuid4()),
        "patient": str(uuid4()),
    }
    return {**named, **other}


def encoded(said: dict[str, str]) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items())


class Sender:
    """A station that sends, chunk by chunk."""

    def __init__(self, process: Process, station: AtHub) -> None:
        self.web = httpx.Client(base_url=process.url, headers=station.headers, timeout=30, trust_env=False)

    def begin(
        self, content: bytes, said: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        wanted = {
            **TUS,
            "Upload-Length": str(len(content)),
            "Upload-Metadata": encoded(said or metadata(content)),
        }
        return self.web.post(FILES_PATH, headers={**wanted, **(headers or {})})

    def begun(self, content: bytes, said: dict[str, str] | None = None) -> str:
        answer = self.begin(content, said)
        assert answer.status_code == 201, answer.text
        return httpx.URL(answer.headers["Location"]).path

    def chunk(self, path: str, data: bytes, offset: int, **headers: str) -> httpx.Response:
        return self.web.patch(path, content=data, headers={**CHUNK, "Upload-Offset": str(offset), **headers})

    def offset(self, path: str) -> int:
        return int(self.web.head(path, headers=TUS).headers["Upload-Offset"])

    def send(self, content: bytes, said: dict[str, str] | None = None) -> httpx.Response:
        return self.chunk(self.begun(content, said), content, 0)

    def stored(self, content: bytes, **other: str) -> bool:
        ask = {"digest": digest_of(content), "document": str(uuid4()), "patient": str(uuid4()), **other}
        return bool(self.web.post(STORED_PATH, json=ask).raise_for_status().json()["stored"])


Lines = Callable[[Process, AtHub], Sender]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Opens lines to hubs and closes them at the end."""
    with ExitStack() as opened:

        def line(process: Process, station: AtHub) -> Sender:
            sender = Sender(process, station)
            opened.callback(sender.web.close)
            return sender

        yield line


@pytest.fixture
def sender(served: Process, station: AtHub, lines: Lines) -> Sender:
    return lines(served, station)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_kept_client_sends_a_picture_in_checked_chunks(
    hub: Hub, served: Process, station: AtHub, sender: Sender
) -> None:
    content = a_picture()
    client = TusClient(served.url + FILES_PATH, headers=station.headers)
    uploader = client.uploader(
        file_stream=io.BytesIO(content),
        chunk_size=32 * 1024,
        metadata=metadata(content),
        upload_checksum=True,
    )

    uploader.upload()

    assert uploader.offset == len(content)
    assert sender.stored(content)
    assert hub.settings.files is not None
    assert list(hub.settings.files.iterdir()) == []  # the parts are gone: PostgreSQL has them


def test_what_is_there_is_not_sent_again(sender: Sender) -> None:
    content = a_picture(40)
    assert not sender.stored(content)
    sender.send(content)
    assert sender.stored(content)


def test_a_power_cut_in_the_middle_loses_nothing_and_another_node_goes_on(
    settings: HubSettings, station: AtHub, sender: Sender, lines: Lines
) -> None:
    content = a_picture()
    half = len(content) // 2
    with serving(settings, "--no-worker") as first:
        one = lines(first, station)
        path = one.begun(content)
        assert one.chunk(path, content[:half], 0).status_code == 204
        first.running.kill()
        first.running.wait()

    assert sender.offset(path) == half
    assert sender.chunk(path, content[half:], half).status_code == 204
    assert sender.stored(content)


def test_a_chunk_cut_off_on_the_way_is_kept_as_far_as_it_came(
    served: Process, station: AtHub, sender: Sender
) -> None:
    content = a_picture()
    path = sender.begun(content)
    head = (
        f"PATCH {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {station.token}\r\n"
        f"Tus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    arrived = 0
    for patience in (0.3, 1.0, 3.0, 9.0):  # a cut while the hub still asks who it is leaves nothing
        with socket.create_connection(("127.0.0.1", served.port)) as line:
            line.sendall(head.encode() + content[:20_000])
            time.sleep(patience)
        time.sleep(0.3)
        if arrived := sender.offset(path):
            break

    assert arrived == 20_000
    assert sender.chunk(path, content[arrived:], arrived).status_code == 204
    assert sender.stored(content)


def test_an_answer_that_was_lost_is_asked_for_by_an_empty_chunk(
    hub: Hub, station: AtHub, sender: Sender
) -> None:
    """The parts are whole and the hub was killed before it took them."""
    content = a_picture(60)
    path = sender.begun(content)
    assert hub.settings.files is not None
    (hub.settings.files / path.rsplit("/", 1)[-1]).write_bytes(content)

    assert sender.offset(path) == len(content)
    assert sender.chunk(path, b"", len(content)).status_code == 204
    assert sender.stored(content)


def test_a_wrong_digest_is_refused_and_nothing_is_kept(sender: Sender) -> None:
    content = a_picture(40)
    path = sender.begun(content, {**metadata(content), "filename": "0" * 64})
    assert code(sender.chunk(path, content, 0)) == (422, "digest-wrong")
    assert sender.web.head(path, headers=TUS).status_code == 404
    assert not sender.stored(content)


def test_a_damaged_chunk_is_refused_and_the_upload_stays_where_it_was(sender: Sender) -> None:
    """Attack 50: a checksum that does not match keeps nothing of the chunk."""
    content = a_picture(60)
    path = sender.begun(content)
    wrong = base64.b64encode(hashlib.sha1(b"other").digest()).decode()
    refused = sender.chunk(path, content[:1000], 0, **{"Upload-Checksum": f"sha1 {wrong}"})
    assert code(refused) == (460, "chunk-damaged")
    assert sender.offset(path) == 0
    right = base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert sender.chunk(path, content, 0, **{"Upload-Checksum": f"sha256 {right}"}).status_code == 204


def test_chunks_that_skip_or_overlap_are_refused(sender: Sender) -> None:
    """Attack 50: an offset that is not where the upload is."""
    content = a_picture(60)
    path = sender.begun(content)
    assert sender.chunk(path, content[:1000], 0).status_code == 204
    for offset in (0, 999, 1001, len(content)):
        assert sender.chunk(path, content[:10], offset).status_code == 409
    assert sender.offset(path) == 1000
    assert sender.chunk(path, content[1000:] + b"more", 1000).status_code == 400
    assert sender.offset(path) == 1000


def test_another_stations_upload_is_as_unknown_as_none(
    served: Process, stations: tuple[AtHub, AtHub], sender: Sender, lines: Lines
) -> None:
    content = a_picture(40)
    path = sender.begun(content)
    other = lines(served, stations[1])
    nothing = f"{FILES_PATH}/{uuid4().hex}"
    asking: tuple[Callable[[str], httpx.Response], ...] = (
        lambda where: other.chunk(where, content, 0),
        lambda where: other.web.delete(where, headers=TUS),
        lambda where: other.web.head(where, headers=TUS),
    )
    for ask in asking:
        foreign, unknown = ask(path), ask(nothing)
        assert (
            (foreign.status_code, foreign.content)
            == (unknown.status_code, unknown.content)
            == (404, foreign.content)
        )
    assert sender.offset(path) == 0


@pytest.mark.parametrize(
    "where", ["%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "x" * 32, "0" * 31, "0" * 32 + ".info", ".locks"]
)
def test_an_upload_is_a_number_and_never_a_path(sender: Sender, where: str) -> None:
    answer = sender.web.head(f"{FILES_PATH}/{where}", headers=TUS)
    assert answer.status_code in (404, 405)


def test_nobody_but_a_station_sends(served: Process) -> None:
    answer = httpx.post(served.url + FILES_PATH, headers={**TUS, "Upload-Length": "1"}, trust_env=False)
    assert answer.status_code == 401


async def test_a_person_or_a_system_sends_nothing(served: Process, callers: Callers) -> None:
    for who in ("doctor", "client"):
        headers = {**await callers.headers_of(who), **TUS, "Upload-Length": "1", "Origin": "http://hub.test"}
        async with httpx.AsyncClient(base_url=served.url, headers=headers, trust_env=False) as client:
            assert (await client.post(FILES_PATH)).status_code == 403


def test_what_is_too_large_is_refused_before_a_byte_of_it(sender: Sender) -> None:
    content = a_picture(40)
    answer = sender.begin(content, headers={"Upload-Length": str(MAX_FILE_BYTES + 1)})
    assert code(answer) == (413, "file-too-large")
    path = sender.begun(content)
    assert code(sender.chunk(path, b"\0" * (1024 * 1024 + 1), 0)) == (413, "file-too-large")


def test_what_is_not_offered_is_refused(sender: Sender) -> None:
    content = a_picture(40)
    for name, value in (
        ("Upload-Concat", "partial"),
        ("Upload-Defer-Length", "1"),
        ("Upload-Checksum", "md5 AAAA"),
    ):
        assert code(sender.begin(content, headers={name: value})) == (400, "malformed-upload")
    path = sender.begun(content)
    override = {**TUS, "X-HTTP-Method-Override": "DELETE"}
    assert code(sender.web.post(path, headers=override)) == (400, "malformed-upload")
    assert sender.offset(path) == 0
    assert code(sender.web.post(FILES_PATH, content=b"x", headers={**TUS, "Upload-Length": "1"})) == (
        400,
        "malformed-upload",
    )


@pytest.mark.parametrize("name", ["filename", "filetype", "document", "patient"])
def test_metadata_that_cannot_be_used_is_refused_with_its_place(sender: Sender, name: str) -> None:
    content = a_picture(40)
    answer = sender.begin(content, {**metadata(content), name: "../../etc/passwd\n"})
    assert code(answer) == (400, "malformed-upload")
    assert [place["path"] for place in answer.json()["places"]] == [f"Upload-Metadata.{name}"]


@pytest.mark.parametrize(
    ("content", "kind", "expected"),
    [
        (b"<html><script>alert(1)</script></html>", "image/jpeg", "upload-unknown-kind"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", "upload-unknown-kind"),
        (a_picture(20), "image/png", "upload-mismatch"),
        (a_picture(20) + b"<script>alert(1)</script>", "image/jpeg", "upload-active"),
        (claimed_png(60_000, 60_000), "image/png", "upload-too-many-pixels"),
        (pdf(b"/OpenAction << /S /JavaScript /JS (1) >>"), "application/pdf", "upload-active"),
    ],
    ids=["page", "svg", "other-kind", "polyglot", "pixel-flood", "active-pdf"],
)
def test_what_could_do_something_is_refused_and_thrown_away(
    sender: Sender, content: bytes, kind: str, expected: str
) -> None:
    """Attacks 46 and 48: the whole is looked at before it is taken."""
    path = sender.begun(content, metadata(content, kind=kind))
    answer = sender.chunk(path, content, 0)
    assert answer.json()["code"] == expected
    assert sender.web.head(path, headers=TUS).status_code == 404
    assert not sender.stored(content)


async def test_two_at_once_of_the_same_bytes_are_stored_once(hub: Hub, sender: Sender) -> None:
    content = a_picture(60)
    paths = [sender.begun(content) for _ in range(4)]
    answers = await asyncio.gather(*(asyncio.to_thread(sender.chunk, path, content, 0) for path in paths))
    assert {answer.status_code for answer in answers} == {204}
    async with hub.sessions() as session:
        found = await (await session.connection()).execute(
            text("select count(*), sum(length(body)) from sync_file_part where digest = :d"),
            {"d": digest_of(content)},
        )
        assert found.one() == (1, len(content))


async def test_two_chunks_at_once_for_one_upload_leave_it_whole(sender: Sender) -> None:
    content = a_picture(60)
    path = sender.begun(content)
    answers = await asyncio.gather(
        *(asyncio.to_thread(sender.chunk, path, content[:2000], 0) for _ in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [204, 409, 409, 409]
    assert sender.chunk(path, content[2000:], 2000).status_code == 204
    assert sender.stored(content)


async def test_uploads_left_alone_are_bounded_and_forgotten(
    hub: Hub, served: Process, stations: tuple[AtHub, AtHub], lines: Lines
) -> None:
    """Attack 50: who begins uploads and abandons them runs into a quota; a week later they are gone."""
    other, content = lines(served, stations[1]), a_picture(40)
    answers = [other.begin(content) for _ in range(files.MOST_UNFINISHED + 2)]
    begun = [answer for answer in answers if answer.status_code == 201]
    assert len(begun) == files.MOST_UNFINISHED
    assert code(answers[-1]) == (429, "too-many-uploads")

    await files.sweep(hub, hub.now() + files.KEPT_FOR + timedelta(seconds=1))

    assert hub.settings.files is not None
    kept = {path.name for path in hub.settings.files.iterdir()}
    assert not kept & {httpx.URL(answer.headers["Location"]).path.rsplit("/", 1)[-1] for answer in begun}
    assert other.begin(content).status_code == 201


# -- who reads


async def a_document(hub: Hub, station: AtHub, content: bytes) -> tuple[str, str]:
    """Store a patient and a document of theirs that points to these bytes, as the station's push does."""
    patient, document = str(uuid4()), str(uuid4())
    resources: list[dict[str, Any]] = [
        {"resourceType": "Patient", "id": patient, "gender": "female"},
        {
            "resourceType": "DocumentReference",
            "id": document,
            "status": "current",
            "subject": {"reference": f"Patient/{patient}"},
            "content": [
                {
                    "attachment": {
                        "contentType": "image/jpeg",
                        "url": binary_url(digest_of(content)),
                        "size": len(content),
                    }
                }
            ],
        },
    ]
    async with hub.sessions() as session, session.begin():
        news = records.News()
        for resource in resources:
            await records.put(
                session,
                json.dumps(resource, separators=(",", ":")).encode(),
                rtype=resource["resourceType"],
                fid=resource["id"],
                scope=files.scope_of(station.principal),
                author=station.principal.address,
                tenant=station.site,
                now=hub.now(),
                create_only=True,
                news=news,
            )
        await records.tell(session, news)
    return patient, document


async def test_whoever_may_read_the_document_reads_the_bytes_and_nobody_else(
    hub: Hub, callers: Callers, stations: tuple[AtHub, AtHub], sender: Sender, served: Process, lines: Lines
) -> None:
    """Attack 27: the address of the bytes carries no right, to others it is as unknown as any."""
    content = a_picture()
    patient, document = await a_document(hub, stations[0], content)
    sender.send(content, metadata(content, document=document, patient=patient))
    url = f"/fhir/{binary_url(digest_of(content))}"
    nothing = f"/fhir/{binary_url('0' * 64)}"

    async def get(who: str, path: str, accept: str = "*/*") -> httpx.Response:
        headers = {**await callers.headers_of(who), "Accept": accept}
        async with httpx.AsyncClient(base_url=served.url, headers=headers, trust_env=False) as client:
            return await client.get(path)

    whole = await get("client", url)
    assert (whole.status_code, whole.content) == (200, content)
    assert whole.headers["Content-Type"] == "image/jpeg"
    assert whole.headers["Content-Disposition"].startswith("attachment")
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert whole.headers["Cache-Control"] == "no-store"

    as_fhir = (await get("client", url, "application/fhir+json")).json()
    assert base64.b64decode(as_fhir["data"]) == content
    assert as_fhir["securityContext"]["reference"] == f"DocumentReference/{document}"

    foreign, unknown = await get("doctor", url), await get("doctor", nothing)
    assert (foreign.status_code, foreign.content) == (unknown.status_code, unknown.content)
    assert foreign.status_code == 404
    assert (await get("out", url)).status_code == 401

    own = sender.web.get(f"{STORED_PATH}/{digest_of(content)}")
    assert own.content == content
    other = lines(served, stations[1]).web.get(f"{STORED_PATH}/{digest_of(content)}")
    assert code(other) == (404, "unknown-file")


async def test_a_look_at_the_bytes_is_written_down(
    hub: Hub, stations: tuple[AtHub, AtHub], sender: Sender
) -> None:
    content = a_picture(40)
    patient, document = await a_document(hub, stations[0], content)
    sender.send(content, metadata(content, document=document, patient=patient))
    sender.web.get(f"{STORED_PATH}/{digest_of(content)}").raise_for_status()
    async with hub.sessions() as session:
        found = await (await session.connection()).execute(
            text(
                "select action, actor from audit_event where patient = :p and action like 'file.%' order by at"
            ),
            {"p": patient},
        )
        assert found.all() == [
            ("file.store", stations[0].principal.address),
            ("file.read", stations[0].principal.address),
        ]


async def test_bytes_are_forgotten_with_the_record_unless_another_patient_has_them_too(
    hub: Hub, stations: tuple[AtHub, AtHub], sender: Sender
) -> None:
    content, shared = a_picture(40), a_picture(50)
    patient, document = await a_document(hub, stations[0], content)
    sender.send(content, metadata(content, document=document, patient=patient))
    sender.send(shared, metadata(shared, document=document, patient=patient))
    assert sender.stored(shared)  # and now another patient's document points to it
    on_its_way = sender.begun(a_picture(60), metadata(a_picture(60), patient=patient))

    await files_jobs.forget_files(hub, {"patient": patient})

    assert not sender.stored(content)
    assert sender.stored(shared)
    assert sender.web.head(on_its_way, headers=TUS).status_code == 404
