"""A station's copy of its scopes, as the wire says it is to be kept; and a station that speaks to a hub over HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx

from clinic_net.access import StationPrincipal
from clinic_net.access.policy import hub_scope
from clinic_net.app import create_app
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import EntryHead, PageHead, PullAsk, frames, sums
from clinic_net.records import service as records
from clinic_net.sync import pulling
from tests.access.support import Device, code_for

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


@dataclass
class Held:
    """What a station holds of one scope: (type, id) → version and text."""

    records: dict[tuple[str, str], tuple[int, bytes]] = field(default_factory=dict)

    @property
    def sum(self) -> tuple[int, str]:
        shares = (sums.of_version(*key, version) for key, (version, _) in self.records.items())
        return len(self.records), sums.spelled(sums.total(shares))


@dataclass
class Station:
    """A station's copy of its scopes."""

    principal: StationPrincipal
    epoch: UUID = field(default_factory=uuid4)
    cursors: dict[str, int] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    commands: list[EntryHead] = field(default_factory=list)
    last: PageHead | None = None
    checked: int = 0

    @property
    def scope(self) -> str:
        return f"stn:{self.principal.site}"

    def ask(self, **more: Any) -> PullAsk:
        given = {"station": self.principal.site, "db_epoch": self.epoch, "cursors": self.cursors, **more}
        return PullAsk.model_validate(given)

    def take(self, stream: bytes) -> PageHead:
        """Apply a page, and compare what is held with the sums that it brings."""
        head, start = frames.first_of(stream, PageHead)
        for entry, text in frames.frames_of(stream, start, EntryHead, head.count):
            self.apply(entry, text)
        self.cursors, self.last = dict(head.cursors), head
        for scope, said in head.sums.items():
            assert (said.count, said.sum) == self.held.setdefault(scope, Held()).sum, f"{scope} adds up"
            self.checked += 1
        return head

    def apply(self, entry: EntryHead, text: bytes) -> None:
        copy = self.held.setdefault(entry.scope, Held()).records
        if entry.kind == "put":
            assert json.loads(text)["meta"]["versionId"] == str(entry.version)
            copy[(entry.type, entry.id)] = (entry.version, text)
        else:
            copy.pop((entry.type, entry.id), None)
        if entry.scope.startswith("dev:"):
            self.commands.append(entry)

    async def pull(self, hub: Hub, **more: Any) -> PageHead:
        """Pull one page, as the hub's use case hands it out."""
        async with hub.sessions() as session, session.begin():
            stream = await pulling.pull(session, self.ask(**more), station=self.principal, now=hub.now())
        return self.take(stream)

    async def pull_all(self, hub: Hub, **more: Any) -> int:
        """Pull until nothing follows; return how many entries came."""
        count = 0
        while True:
            head = await self.pull(hub, **more)
            count += head.count
            if not head.more:
                return count


def a_station(site: str | None = None) -> Station:
    return Station(StationPrincipal(site=site or f"03325-{uuid4().hex[:6]}", device=uuid4()))


async def store(
    hub: Hub,
    station: str,
    resource: dict[str, Any],
    *,
    fed: bool = True,
) -> None:
    """Store a record for a site (or another tenant) as the hub itself, and let the feeds know."""
    async with hub.sessions() as session, session.begin():
        await records.put(
            session,
            json.dumps(resource, ensure_ascii=False).encode(),
            rtype=resource["resourceType"],
            fid=resource["id"],
            scope=hub_scope(),
            author="hub",
            tenant=station,
            now=hub.now(),
        )
    if fed:
        await hub.jobs.run_pending()


async def remove(hub: Hub, rtype: str, fid: str) -> None:
    async with hub.sessions() as session, session.begin():
        await records.delete(session, rtype, fid, scope=hub_scope(), author="hub", now=hub.now())
    await hub.jobs.run_pending()


def a_patient(fid: str | None = None, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": fid or str(uuid4()), "gender": "female", **more}


def an_observation(patient: str, fid: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": fid or str(uuid4()),
        "status": "final",
        "code": {"text": "mạch"},
        "subject": {"reference": f"Patient/{patient}"},
        **more,
    }


@asynccontextmanager
async def served(hub: Hub) -> AsyncIterator[httpx.AsyncClient]:
    """The hub's application over HTTP."""
    app = create_app(hub.settings, with_worker=False, now=hub.now)
    app.state.hub = hub
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=hub.settings.public_url) as client:
        yield client


async def enrolled(hub: Hub, client: httpx.AsyncClient, site: str) -> tuple[Device, dict[str, str]]:
    """Enrol a device of a site; return it with the header of its token."""
    device = Device.fresh()
    answer = await device.enrol(client, await code_for(hub, site, now=hub.now()))
    assert answer.status_code == 200, answer.text
    token = await device.ask_token(client, device.assertion(hub.now()))
    return device, {"Authorization": f"Bearer {token.json()['access_token']}"}
