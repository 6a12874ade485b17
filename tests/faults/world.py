"""A hub with its database and real stations, in one process: driven from outside, a step at a time."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import psycopg
from fastapi import FastAPI
from sqlalchemy.engine import URL, make_url

from clinic_net.access import service as access
from clinic_net.access.policy import hub_scope
from clinic_net.app import create_app
from clinic_net.directory import network
from clinic_net.directory import service as directory
from clinic_net.kernel.errors import NotFound
from clinic_net.kernel.hub import Hub, open_hub
from clinic_net.kernel.settings import HubSettings
from clinic_net.protocol.sync import Lane
from clinic_net.records import service as records
from station_agent import clock
from station_agent.agent import Agent, Options
from station_agent.enrolment import enrol
from station_agent.errors import LinkError
from station_agent.store import Tx, outbox
from station_agent.store.records import Desk
from tests.faults.sky import Sky

T = TypeVar("T")
Resource = dict[str, Any]

ROUNDS = 60
"""Exchanges in good weather after which everything must have gone."""
SITES = 400


def run_at(address: URL, statement: str) -> None:
    """Run a statement of an administrator beside a database."""
    place = address.set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(
        place.replace("postgresql+psycopg://", "postgresql://"), autocommit=True
    ) as connection:
        connection.execute(statement)


class World:
    """One hub in a loop of its own thread; a test's own thread tells it what to do next, and waits."""

    def __init__(self, settings: HubSettings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="world", daemon=True)
        self._opened: AsyncExitStack
        self.running: list[Station] = []
        self.hub: Hub
        self.app: FastAPI
        self._sites: Iterator[str] = iter(network.site_codes(sites=SITES))

    @contextmanager
    def turning(self) -> Iterator["World"]:
        """Run it while the block does."""
        self._thread.start()
        try:
            self.do(self._open())
            self.do(self._seed())
            yield self
        finally:
            for station in list(self.running):
                station.stop()
            self.do(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _open(self) -> None:
        self._opened = AsyncExitStack()
        self.hub = await self._opened.enter_async_context(open_hub(self.settings))
        self.app = create_app(self.settings, with_worker=False)
        self.app.state.hub = self.hub

    async def _close(self) -> None:
        await self._opened.aclose()

    async def _seed(self) -> None:
        async with self.hub.sessions() as session, session.begin():
            await directory.seed_network(session, sites=SITES)

    @contextmanager
    def backed_up(self) -> Iterator[Callable[[], None]]:
        """Copy the hub's database; give a function that puts the copy in its place, as after a broken disk."""
        address = make_url(self.settings.database)
        copy = f"copy_{uuid4().hex[:12]}"
        self.do(self._close())
        run_at(address, f"create database {copy} template {address.database}")
        self.do(self._open())

        def restore() -> None:
            self.do(self._close())
            place = address.set(database=copy).render_as_string(hide_password=False)
            self.settings = self.settings.model_copy(update={"database": place})
            self.do(self._open())

        before = self.settings
        try:
            yield restore
        finally:
            self.do(self._close())
            self.settings = before
            run_at(address, f"drop database {copy} with (force)")
            self.do(self._open())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the loop do something, and return what came of it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    def transport(self) -> httpx.AsyncBaseTransport:
        """Return the way to the hub, whichever application is it at the time."""
        return _Hub(self)

    def station(self, site: str | None = None) -> "Station":
        """Enrol a computer of a site that had none, or of ``site``."""
        at = site or next(self._sites)
        folder = self.folder / uuid4().hex
        self.enrol(folder, at)
        return Station(self, at, folder).start()

    def enrol(self, folder: Path, site: str) -> None:
        """Make a folder a site's, with a new code."""
        code = self.do(self._code(site))
        enrol(folder, hub=self.settings.public_url, code=code, now=clock.now(), transport=_Blocking(self))

    async def _code(self, site: str) -> str:
        async with self.hub.sessions() as session, session.begin():
            code, _ = await access.issue_code(
                session, site, by="operator:tests", now=self.hub.now(), key=self.settings.token_key
            )
        return code

    def deliver_news(self) -> None:
        """Let the worker do what the records stored until now make necessary: feeds, among others."""
        self.do(self.hub.jobs.run_pending())

    def at_hub(self, rtype: str, rid: str) -> tuple[Resource, int] | None:
        """Return a record as the hub has it, without what the hub adds, and its version; None where there is none."""
        return self.do(self._read(rtype, rid))

    async def _read(self, rtype: str, rid: str) -> tuple[Resource, int] | None:
        try:
            async with self.hub.sessions() as session, session.begin():
                found = await records.read(session, rtype, rid, scope=hub_scope(), now=self.hub.now())
        except NotFound:
            return None
        resource: Resource = json.loads(found.text)
        resource.pop("meta", None)
        return resource, found.version

    def revoke(self, site: str) -> None:
        """Let a site's device speak no longer."""
        self.do(self._revoke(site))

    async def _revoke(self, site: str) -> None:
        async with self.hub.sessions() as session, session.begin():
            await access.revoke_device(session, site=site, by="operator:tests", now=self.hub.now())

    def writes(self, resource: Resource, tenant: str) -> None:
        """Store a record about a station's patient at the hub, as a doctor there does."""
        self.do(self._write(resource, tenant))

    async def _write(self, resource: Resource, tenant: str) -> None:
        news = records.News()
        async with self.hub.sessions() as session, session.begin():
            await records.put(
                session, json.dumps(resource).encode(), rtype=resource["resourceType"], fid=resource["id"],
                scope=hub_scope(), author="user:tests", tenant=tenant, now=self.hub.now(), news=news,
            )  # fmt: skip
            await records.tell(session, news)
        await self.hub.jobs.run_pending()


class _Hub(httpx.AsyncBaseTransport):
    def __init__(self, world: World) -> None:
        self._world = world

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        app = httpx.ASGITransport(self._world.app, raise_app_exceptions=True)
        answer = await app.handle_async_request(request)
        answer.headers["date"] = format_datetime(
            self._world.hub.now(), usegmt=True
        )  # the server's part, in life
        return answer


class _Blocking(httpx.BaseTransport):
    """The hub for code that does not wait: enrolment is a command."""

    def __init__(self, world: World) -> None:
        self._world = world

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._world.do(self._ask(request.method, str(request.url), request.read(), request.headers))

    async def _ask(self, method: str, url: str, content: bytes, headers: httpx.Headers) -> httpx.Response:
        async with httpx.AsyncClient(transport=self._world.transport()) as client:
            got = await client.request(method, url, content=content, headers=headers)
        kept = {name: value for name, value in got.headers.items() if name != "content-encoding"}
        return httpx.Response(got.status_code, headers=kept, content=got.content)


@dataclass
class Station:
    """One computer: its folder, its agent while it runs, its sky; and what a nurse saved there."""

    world: World
    site: str
    folder: Path
    sky: Sky = field(init=False)
    agent: Agent = field(init=False)
    client: httpx.AsyncClient = field(init=False)
    saved: dict[tuple[str, str], list[Resource]] = field(default_factory=dict)
    """Every version of each good record, oldest first."""
    poisoned: set[tuple[str, str]] = field(default_factory=set)
    order: list[tuple[str, str]] = field(default_factory=list)
    said: str = ""
    """Why the last exchange that failed did."""

    def __post_init__(self) -> None:
        self.sky = Sky(self.world.transport())

    def start(self) -> "Station":
        """Switch the computer on."""
        self.world.do(self._start())
        self.world.running.append(self)
        return self

    async def _start(self) -> None:
        self.agent = Agent(Options(self.folder), transport=self.sky)
        self.client = httpx.AsyncClient(transport=self.sky)

    def stop(self) -> None:
        """Switch it off."""
        self.world.running.remove(self)
        self.world.do(self._stop())

    async def _stop(self) -> None:
        await self.client.aclose()
        self.agent.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    # -- the nurse

    def save(self, *resources: Resource, lane: Lane = Lane.CARE) -> None:
        """Save records together."""
        for resource in resources:
            key = (resource["resourceType"], resource["id"])
            self.saved.setdefault(key, []).append(resource)
            self.order.append(key)
        self._put(resources, lane)

    def save_poison(self, resource: Resource) -> None:
        """Save something that no hub can store."""
        self.poisoned.add((resource["resourceType"], resource["id"]))
        self._put((resource,), Lane.CARE)

    def _put(self, resources: tuple[Resource, ...], lane: Lane) -> None:
        def keep(tx: Tx) -> None:
            desk = Desk(tx, now=clock.now(), by="nurse:tests")
            for resource in resources:
                desk.put(resource, lane=lane)
                if lane is Lane.URGENT:  # as the page does: what a call speaks of goes with it
                    of = resource["subject"]["reference"].removeprefix("Patient/")
                    outbox.promote(tx, [("Patient", of)], lane)

        self.look(keep)

    # -- the link

    def exchange(self) -> bool:
        """Exchange with the hub as far as the weather lets it; whether nothing went wrong."""
        return self.world.do(self._exchange())

    async def _exchange(self) -> bool:
        try:
            await self.agent.syncing.exchange(self.client)
        except (LinkError, httpx.HTTPError) as error:
            self.said = repr(error)
            return False
        return True

    def settle(self) -> None:
        """Exchange in good weather until the hub has told of everything what became of it."""
        self.sky.mishaps.clear()
        self.world.do(self.sky.deliver_late())
        for _ in range(ROUNDS):
            good = self.exchange()
            if good and not self.counts().total:
                self.world.deliver_news()
                self.exchange()
                return
        raise AssertionError(f"{self.counts()} after {ROUNDS} exchanges; the last said {self.said}")

    # -- what is seen

    def look(self, work: Callable[[Tx], T]) -> T:
        return self.world.do(self.agent.database.run(work))

    def counts(self) -> outbox.Counts:
        return self.look(outbox.counts)

    def held(self) -> dict[tuple[str, str], int]:
        """Return what the station holds of what the hub has, with the hub's version."""
        rows = self.look(
            lambda tx: tx.execute(
                "select rtype, id, hub_version from resource where hub_version is not null and state = 'synced'"
            ).fetchall()
        )
        return {(row[0], row[1]): int(row[2]) for row in rows}

    def text_of(self, rtype: str, rid: str) -> Resource:
        row = self.look(
            lambda tx: tx.execute(
                "select text from resource where rtype = ? and id = ?", (rtype, rid)
            ).fetchone()
        )
        resource: Resource = json.loads(row[0])
        resource.pop("meta", None)
        return resource
