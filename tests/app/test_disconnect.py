"""Work whose client has gone away is stopped in the database, and the hub goes on."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import psycopg
import pytest

from clinic_net.access import service as access
from clinic_net.kernel.hub import Hub
from tests.app.process import Process, serving

pytestmark = pytest.mark.processes

WITHIN_S = 10.0
STOPPED_WITHIN_S = 2.0
SLOW = "/fhir/Patient?name=hoa"
EVERYTHING = "/fhir/Patient/p-1/$everything"
BATCH = """{"resourceType": "Bundle", "type": "batch", "entry": [
    {"request": {"method": "GET", "url": "Patient?name=hoa"}}]}"""


@pytest.fixture
def process(hub: Hub) -> Iterator[Process]:
    with serving(hub.settings, "--no-worker") as running:
        yield running


async def token_of(hub: Hub, process: Process) -> str:
    async with hub.sessions() as s, s.begin():
        client_id, secret = await access.add_client(s, name="t", scope="system/*.cruds", now=hub.now())
    form = {"grant_type": "client_credentials", "scope": "system/*.cruds"}
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{process.url}/oauth/token", data=form, auth=(client_id, secret))
    return str(answer.json()["access_token"])


async def until(what: str, holds: Callable[[], bool], *, seconds: float = WITHIN_S) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 -- what another process does sets no event here
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("asked", "body", "table"),
    [
        (f"GET {SLOW}", "", "records_ix_string"),
        (f"GET {EVERYTHING}", "", "records_resource"),
        ("POST /fhir", BATCH, "records_ix_string"),
    ],
    ids=["search", "everything", "batch"],
)
async def test_work_whose_client_has_gone_is_stopped_in_the_database(
    hub: Hub, process: Process, asked: str, body: str, table: str
) -> None:
    token = await token_of(hub, process)
    database = hub.settings.database.replace("+psycopg", "")
    with psycopg.connect(database, autocommit=True) as watching, psycopg.connect(database) as holding:

        def waiting() -> int:
            row = watching.execute(
                "select count(*) from pg_stat_activity where datname = current_database() "
                "and wait_event_type = 'Lock' and state = 'active'"
            ).fetchone()
            assert row is not None
            return int(row[0])

        with holding.transaction():
            holding.execute(f"lock table {table} in access exclusive mode")
            with closing(socket.create_connection(("127.0.0.1", process.port))) as line:
                head = f"{asked} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                form = f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n\r\n"
                line.sendall((head + form + body).encode())
                await until("the database waits", lambda: waiting() == 1)
            await until("it is stopped", lambda: waiting() == 0, seconds=STOPPED_WITHIN_S)

    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
        answers = [await client.get(f"{process.url}{SLOW}") for _ in range(12)]
    assert {answer.status_code for answer in answers} == {200}, "every connection is usable again"
