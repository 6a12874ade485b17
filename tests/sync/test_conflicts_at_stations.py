"""Stations that disagree, with their own stores and the hub in between: everybody is shown it, one decision ends it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from clinic_net.access import StationPrincipal
from clinic_net.access.policy import hub_scope
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import Pull, Push
from clinic_net.protocol.sync.comparing import UndecidedError
from clinic_net.protocol.sync.merge import Side
from clinic_net.protocol.sync.texts import read, write
from clinic_net.records import service as records
from clinic_net.sync import service
from station_agent import reviewing
from station_agent.errors import UnknownRecord
from station_agent.reviewing import ChangedMeanwhileError, Decision
from station_agent.service import Doing
from station_agent.store import Database, feed, outbox, reviews, settings
from station_agent.store.records import Desk
from station_agent.store.records import find as held

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
MAI = Doing("Điều dưỡng Mai", NOW)


class Station:
    """A station's computer: its database, and the way to the hub when there is a link."""

    def __init__(self, hub: Hub, path: Path, site: str) -> None:
        self.hub = hub
        self.database = Database(path, NOW)
        self.principal = StationPrincipal(site=site, device=uuid4())

    def writes(self, resource: dict[str, Any]) -> None:
        with self.database.transaction() as tx:
            Desk(tx, now=NOW, by=MAI.by).put(resource, text=write(resource))

    async def links_up(self) -> None:
        """Push all that waits and pull all that is new."""
        while True:
            with self.database.transaction() as tx:
                batch = outbox.next_batch(tx, max_ops=50, max_bytes=100_000)
                epoch = settings.get(tx, "db_epoch")
            if batch is None:
                break
            await self._push(*batch, UUID(epoch))
        await self.hub.jobs.run_pending()
        for _ in range(2):  # what the hub has is taken on once nothing here stands against it
            with self.database.transaction() as tx:
                feed.adopt_hub_copies(tx)
                pull = Pull(station=self.principal.site, cursor=settings.cursor(tx), max_bytes=1024 * 1024)
            async with self.hub.sessions() as session, session.begin():
                page = await service.pull(session, pull, station=self.principal, now=NOW)
            with self.database.transaction() as tx:
                feed.store(tx, page, NOW)

    async def _push(self, lane: Any, ops: Any, epoch: UUID) -> None:
        push = Push(station=self.principal.site, db_epoch=epoch, batch=uuid4(), lane=lane, ops=ops)
        answer = await service.push_form_1(self.hub, push, station=self.principal)
        with self.database.transaction() as tx:
            outbox.answered(tx, answer.results, NOW)

    def asks(self) -> list[str]:
        with self.database.transaction() as tx:
            return [review.task for review in reviews.listing(tx)]

    def looks(self, task: str) -> reviewing.Looked:
        with self.database.transaction() as tx:
            return reviewing.look(tx, task)

    def decides(
        self, task: str, *, whole: Side | None = None, answers: dict[int, Side] | None = None, seen: str = ""
    ) -> bool:
        looked = self.looks(task)
        binary = looked.sibling.text if looked.sibling else None
        decision = Decision(task, binary, seen or looked.seen, whole, answers or {})
        with self.database.transaction() as tx:
            return reviewing.settle(tx, decision, site=self.principal.site, doing=MAI)

    def state_of(self, resource: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        with self.database.transaction() as tx:
            found = held(tx, resource["resourceType"], resource["id"])
            row = reviews.text(tx, resource["resourceType"], resource["id"])
        assert found is not None
        assert row is not None
        shown = read(row[0])
        shown.pop("meta", None)
        return found.state, shown


@pytest.fixture
def stations(hub: Hub, tmp_path: Path) -> Iterator[list[Station]]:
    """Three computers of one site."""
    site = f"03325-{uuid4().hex[:6]}"
    made = [Station(hub, tmp_path / f"{number}.sqlite3", site) for number in range(3)]
    yield made
    for station in made:
        station.database.close()


@pytest.fixture
async def allergy(stations: list[Station]) -> dict[str, Any]:
    """An allergy that all three have; the first has since said that it is dangerous, the second that it is not."""
    patient = {"resourceType": "Patient", "id": str(uuid4()), "gender": "female"}
    resource = {
        "resourceType": "AllergyIntolerance", "id": str(uuid4()), "patient": {"reference": f"Patient/{patient['id']}"},
        "code": {"text": "Penicillin"},
        "extension": [{"url": "urn:dose", "valueDecimal": Decimal("72.50")}],
    }  # fmt: skip
    stations[0].writes(patient)
    stations[0].writes(resource)
    for station in stations:
        await station.links_up()
    for station, says in ((stations[0], "high"), (stations[1], "low")):
        _, now = station.state_of(resource)
        station.writes({**now, "criticality": says})
    for station in (*stations, *stations):
        await station.links_up()
    return resource


async def at_hub(hub: Hub, resource: dict[str, Any]) -> bytes:
    async with hub.sessions() as session, session.begin():
        stored = await records.read(
            session, resource["resourceType"], resource["id"], scope=hub_scope(), now=NOW
        )
    return stored.text


async def test_every_station_is_shown_the_question_with_both_versions(
    stations: list[Station], allergy: dict[str, Any]
) -> None:
    for station in stations:
        (task,) = station.asks()
        looked = station.looks(task)
        assert looked.theirs_here
        (question,) = looked.differences
        assert (question.path, question.number) == ("criticality", 0)
        assert [line.value for line in (*question.ours, *question.theirs)] == ["high", "low"]
        assert station.state_of(allergy)[0] == "conflict"


@pytest.mark.parametrize("decider", [0, 1, 2])
async def test_what_a_station_decides_without_a_link_holds_everywhere_and_ends_the_question(
    hub: Hub, stations: list[Station], allergy: dict[str, Any], decider: int
) -> None:
    (task,) = stations[decider].asks()

    assert stations[decider].decides(task, answers={0: Side.THEIRS})
    assert stations[decider].state_of(allergy)[1]["criticality"] == "low"
    for station in (*stations[decider:], *stations[:decider], *stations):
        await station.links_up()

    assert b'"criticality":"low"' in (await at_hub(hub, allergy)).replace(b" ", b"")
    assert b"72.50" in await at_hub(hub, allergy)
    for station in stations:
        assert station.asks() == []
        state, shown = station.state_of(allergy)
        assert (state, shown["criticality"]) == ("synced", "low")


async def test_keeping_the_networks_version_sends_no_new_one(
    hub: Hub, stations: list[Station], allergy: dict[str, Any]
) -> None:
    (task,) = stations[1].asks()
    before = await at_hub(hub, allergy)

    stations[1].decides(task, whole=Side.OURS)
    for station in (stations[1], *stations):
        await station.links_up()

    assert await at_hub(hub, allergy) == before
    assert [station.asks() for station in stations] == [[], [], []]
    assert stations[1].state_of(allergy)[1]["criticality"] == "high"


async def test_two_stations_that_decide_otherwise_without_a_link_are_asked_again_not_overwritten(
    hub: Hub, stations: list[Station], allergy: dict[str, Any]
) -> None:
    for station, side in ((stations[0], Side.THEIRS), (stations[1], Side.OURS)):
        (task,) = station.asks()
        station.decides(task, whole=side)
    _, now = stations[2].state_of(allergy)
    stations[2].writes({**now, "criticality": "unable-to-assess"})

    for station in (*stations, *stations):
        await station.links_up()

    assert b'"low"' in await at_hub(hub, allergy)  # the first decision that arrived
    assert [len(station.asks()) for station in stations] == [1, 1, 1]  # the third's own word waits
    values = {line.value for line in stations[0].looks(task).differences[0].theirs}
    assert values == {"unable-to-assess"}


async def test_a_decision_about_what_was_not_seen_or_is_not_complete_is_refused(
    stations: list[Station], allergy: dict[str, Any]
) -> None:
    (task,) = stations[0].asks()

    with pytest.raises(UndecidedError):
        stations[0].decides(task)
    with pytest.raises(ChangedMeanwhileError):
        stations[0].decides(task, whole=Side.OURS, seen="other")
    with pytest.raises(UnknownRecord):
        stations[0].looks(str(uuid4()))
    assert stations[0].state_of(allergy)[0] == "conflict"
