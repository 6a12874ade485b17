"""A picture from the nurse's page to the hub, over a real line: kept at once, sent in pieces, resumed, fetched."""

import hashlib
import io
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clinic_net.access import StationPrincipal
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.settings import HubSettings
from clinic_net.protocol.sync import Entry, Page
from clinic_net.protocol.sync.files import FIRST_CHUNK, LEAST_CHUNK, MOST_CHUNK, next_chunk
from clinic_net.sync import files as at_hub
from station_agent import clock
from station_agent.agent import Agent, Options
from station_agent.condition import summary
from station_agent.enrolment import enrol
from station_agent.errors import FileNotThere
from station_agent.forms import picture as forms
from station_agent.store import Tx, feed, figures, files
from station_agent.web.app import create_app
from tests.access.support import code_for
from tests.app.process import Process, serving
from tests.consultations.support import SITE, make_district
from tests.kernel.test_uploads import claimed_png
from tests.station_agent.conftest import signs_in

NURSE = "http://localhost:8090"


@pytest.fixture(scope="module")
def settings(settings: HubSettings, tmp_path_factory: pytest.TempPathFactory) -> HubSettings:
    return settings.model_copy(update={"files": tmp_path_factory.mktemp("parts")})


@pytest.fixture(scope="module")
async def district(hub: Hub) -> Hub:
    await make_district(hub)
    return hub


@pytest.fixture(scope="module")
def served(district: Hub, settings: HubSettings) -> Iterator[Process]:
    with serving(settings, "--no-worker") as process:
        yield process


@pytest.fixture
async def agent(district: Hub, served: Process, tmp_path: Path) -> AsyncIterator[Agent]:
    """A station with a patient and a visit, in front of the served hub; its link does nothing by itself."""
    code = await code_for(district, SITE, now=district.now())
    enrol(tmp_path / "station", hub=served.url, code=code, now=clock.now())
    agent = Agent(Options(tmp_path / "station"))
    yield agent
    agent.close()


@pytest.fixture
async def line(agent: Agent) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        agent._client = client
        yield client


@pytest.fixture
async def nurse(agent: Agent) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(agent, with_link=False))
    async with httpx.AsyncClient(transport=transport, base_url=NURSE, headers={"Origin": NURSE}) as browser:
        await signs_in(browser)
        yield browser


def a_picture(side: int = 300) -> bytes:
    out = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(side * side * 3)).save(out, "JPEG", quality=60)
    return out.getvalue()


async def a_visit(nurse: httpx.AsyncClient) -> tuple[str, str]:
    patient, visit = str(uuid4()), str(uuid4())
    form = {"id": patient, "name": "Lò Thị Thử", "sex": "female", "birth_year": "1985", "confirmed": "1"}
    assert (await nurse.post("/patients", data=form)).status_code == 303
    assert (
        await nurse.post(f"/patients/{patient}/visits", data={"id": visit, "reason": "Bỏng"})
    ).status_code == 303
    return patient, visit


async def adds(
    nurse: httpx.AsyncClient, visit: str, content: bytes, small: bytes = b""
) -> tuple[str, httpx.Response]:
    document = str(uuid4())
    parts = {"picture": ("picture.jpg", content, "image/jpeg")}
    if small:
        parts["thumbnail"] = ("small.jpg", small, "image/jpeg")
    answer = await nurse.post(
        f"/visits/{visit}/pictures", data={"id": document, "words": "Vết bỏng tay trái"}, files=parts
    )
    return document, answer


async def file_of(agent: Agent, document: str) -> files.File:
    found = await agent.database.run(lambda tx: files.find(tx, document))
    assert found is not None
    return found


async def test_a_picture_is_kept_at_once_and_reaches_the_hub_in_pieces(
    hub: Hub, agent: Agent, line: httpx.AsyncClient, nurse: httpx.AsyncClient
) -> None:
    _, visit = await a_visit(nurse)
    content, small = a_picture(), a_picture(40)
    document, answer = await adds(nurse, visit, content, small)
    assert (answer.status_code, "Vết bỏng tay trái" in answer.text) == (200, True)
    assert (await nurse.get(f"/pictures/{document}")).content == content

    await agent.syncing.exchange(line)
    steps = []
    while (await file_of(agent, document)).leg == "waiting":
        await agent.files.upload_some(line, max_bytes=LEAST_CHUNK * 3)
        steps.append((await file_of(agent, document)).sent)

    assert len(steps) > 1
    assert steps == sorted(steps)
    assert steps[-1] == len(content)
    async with hub.sessions() as session, session.begin():
        stored = await at_hub.read(
            session,
            hashlib.sha256(content).hexdigest(),
            scope=at_hub.scope_of(_station(agent)),
            by=f"station:{SITE}",
            now=hub.now(),
        )
        assert stored.content == content
    assert "100" not in (await nurse.get(f"/visits/{visit}/pictures")).text


def _station(agent: Agent) -> StationPrincipal:
    assert agent.enrolment is not None
    return StationPrincipal(site=SITE, device=UUID(agent.enrolment["device"]))


async def test_after_a_power_cut_the_upload_goes_on_where_the_hub_is(
    agent: Agent, line: httpx.AsyncClient, nurse: httpx.AsyncClient
) -> None:
    """The hub has a chunk of which the station never heard, and the program begins anew."""
    _, visit = await a_visit(nurse)
    content = a_picture()
    document, _ = await adds(nurse, visit, content)
    await agent.syncing.exchange(line)
    await agent.files.upload_some(line, max_bytes=FIRST_CHUNK)
    await agent.files.upload_some(line, max_bytes=FIRST_CHUNK)
    here = await file_of(agent, document)
    assert 0 < here.sent < here.size
    await agent.database.run(lambda tx: files.came_to(tx, document, 0))
    directory = agent.options.directory
    agent.close()

    offsets: list[int] = []

    async def note(request: httpx.Request) -> None:
        if request.method == "PATCH":
            offsets.append(int(request.headers["upload-offset"]))

    again = Agent(Options(directory))
    with closing(again):
        async with httpx.AsyncClient(trust_env=False, event_hooks={"request": [note]}, timeout=30) as second:
            await again.files.upload_some(second, max_bytes=10**7)
        assert (await file_of(again, document)).leg == "sent"
        assert offsets[0] == here.sent  # nothing that the hub had went again


async def test_what_the_hub_has_is_not_sent_again(
    agent: Agent, line: httpx.AsyncClient, nurse: httpx.AsyncClient
) -> None:
    _, visit = await a_visit(nurse)
    content = a_picture(60)
    one, _ = await adds(nurse, visit, content)
    await agent.syncing.exchange(line)
    await agent.files.upload_some(line, max_bytes=10**7)
    two, _ = await adds(nurse, visit, content)

    assert await agent.files.upload_some(line, max_bytes=10**7) == 0
    assert {(await file_of(agent, each)).leg for each in (one, two)} == {"sent"}


async def test_what_the_hub_does_not_take_is_shown_and_what_is_behind_it_goes(
    agent: Agent, line: httpx.AsyncClient, nurse: httpx.AsyncClient
) -> None:
    _, visit = await a_visit(nurse)
    flood, _ = await adds(nurse, visit, claimed_png(60_000, 60_000))
    good, _ = await adds(nurse, visit, a_picture(60))
    await agent.syncing.exchange(line)
    await agent.files.upload_some(line, max_bytes=10**7)

    assert (await file_of(agent, flood)).problem == "upload-too-many-pixels"
    assert (await file_of(agent, good)).leg == "sent"
    assert summary_of(agent)["files"]["refused"] == 1
    assert 'class="error"' in (await nurse.get(f"/visits/{visit}/pictures")).text


def summary_of(agent: Agent) -> dict[str, Any]:
    with agent.database.transaction() as tx:
        return summary(tx, running=True, now=clock.now())


async def test_an_upload_that_the_hub_forgot_begins_again(
    hub: Hub, agent: Agent, line: httpx.AsyncClient, nurse: httpx.AsyncClient
) -> None:
    _, visit = await a_visit(nurse)
    document, _ = await adds(nurse, visit, a_picture())
    await agent.syncing.exchange(line)
    await agent.files.upload_some(line, max_bytes=FIRST_CHUNK)
    await at_hub.sweep(hub, hub.now() + at_hub.KEPT_FOR * 2)

    await agent.files.upload_some(line, max_bytes=10**7)
    assert (await file_of(agent, document)).leg == "sent"


async def test_attachments_wait_while_something_more_urgent_does_and_within_the_days_budget(
    agent: Agent, line: httpx.AsyncClient, nurse: httpx.AsyncClient
) -> None:
    _, visit = await a_visit(nurse)
    document, _ = await adds(nurse, visit, a_picture())
    await agent.files.turn(line)
    assert (await file_of(agent, document)).upload is None  # patient, visit and document are still here

    await agent.syncing.exchange(line)
    await agent.database.run(lambda tx: figures.put_budget(tx, 1000))
    await agent.database.run(lambda tx: figures.spent(tx, agent.files._day(), 1, 800, 0))
    await agent.files.turn(line)
    assert (await file_of(agent, document)).upload is None

    await agent.database.run(lambda tx: figures.put_budget(tx, 10**8))
    while (await file_of(agent, document)).leg == "waiting":
        assert await agent.files.turn(line) < 10
    spent = await agent.database.run(lambda tx: figures.spent_on(tx, agent.files._day()))
    assert spent[3].up >= (await file_of(agent, document)).size


async def test_a_picture_that_is_only_at_the_hub_is_fetched_when_somebody_looks(
    agent: Agent, line: httpx.AsyncClient, nurse: httpx.AsyncClient
) -> None:
    _, visit = await a_visit(nurse)
    content = a_picture(60)
    document, _ = await adds(nurse, visit, content)
    await agent.syncing.exchange(line)
    await agent.files.upload_some(line, max_bytes=10**7)
    forgotten = await agent.database.run(lambda tx: files.forget_old(tx, clock.now()))
    assert forgotten == 1
    assert not (await file_of(agent, document)).here

    assert (await nurse.get(f"/pictures/{document}")).content == content
    assert (await file_of(agent, document)).here


async def test_a_picture_that_nobody_has_is_said_to_be_missing(
    agent: Agent, line: httpx.AsyncClient, nurse: httpx.AsyncClient
) -> None:
    _, visit = await a_visit(nurse)
    document, _ = await adds(nurse, visit, a_picture(60), a_picture(40))
    with agent.database.transaction() as tx:
        files.forget_patient(tx, (files.find(tx, document) or pytest.fail("kept")).patient)
    answer = await nurse.get(f"/pictures/{document}")
    assert answer.status_code == 503
    assert "data:image/jpeg;base64," in answer.text
    wanted = files.File(document, "p", "0" * 64, "image/jpeg", 1, "fetched", None, 0, None, False)
    with pytest.raises(FileNotThere):
        await agent.files.fetch(line, wanted)


async def test_bytes_go_with_their_document(
    agent: Agent, nurse: httpx.AsyncClient, line: httpx.AsyncClient
) -> None:
    _, visit = await a_visit(nurse)
    document, _ = await adds(nurse, visit, a_picture(60))
    await agent.syncing.exchange(line)

    def gone(tx: Tx) -> None:
        entry = Entry(seq=10**6, kind="delete", type="DocumentReference", id=document, version=2)
        feed.store(tx, Page(entries=(entry,), cursor=10**6), clock.now())

    await agent.database.run(gone)
    assert await agent.database.run(lambda tx: files.find(tx, document)) is None


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"<html></html>", 422), (b"", 422), (b"\xff\xd8\xff" + b"0" * (1024 * 1024), 413), (b"GIF89a", 422)],
    ids=["page", "nothing", "large", "gif"],
)
async def test_the_page_refuses_what_is_no_picture_or_too_large(
    nurse: httpx.AsyncClient, content: bytes, status: int
) -> None:
    _, visit = await a_visit(nurse)
    _, answer = await adds(nurse, visit, content)
    assert answer.status_code == status
    assert 'role="alert"' in answer.text


async def test_a_picture_leaves_the_station_as_itself_and_never_as_a_page(nurse: httpx.AsyncClient) -> None:
    _, visit = await a_visit(nurse)
    document, _ = await adds(nurse, visit, a_picture(40))
    answer = await nurse.get(f"/pictures/{document}")
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_a_document_of_another_program_is_shown_and_its_small_picture_only_if_it_is_one() -> None:
    whole = {"contentType": "image/jpeg", "url": "Binary/" + "a" * 64, "size": 3}
    for data, kept in (
        ("/9j/4AAQ", True),
        ("PHNjcmlwdD4=", False),
        ("%%%", False),
        ("/9j/" + "A" * 40_000, False),
    ):
        small = {"title": forms.THUMBNAIL, "data": data}
        found = forms.shown({"id": "d", "content": [{"attachment": whole}, {"attachment": small}]})
        assert found is not None
        assert bool(found.thumbnail) is kept
    assert forms.shown({"content": [{"attachment": {"url": "http://elsewhere/x.jpg"}}]}) is None
    assert forms.shown({"content": "x", "author": [None], "subject": []}) is None


@given(st.integers(LEAST_CHUNK, MOST_CHUNK), st.floats(0, 600))
def test_a_chunk_grows_while_it_is_quick_and_never_leaves_its_bounds(size: int, seconds: float) -> None:
    following = next_chunk(size, seconds)
    assert LEAST_CHUNK <= following <= MOST_CHUNK
    assert following >= size if seconds < 1 else following <= size
