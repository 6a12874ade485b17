"""A nation of stations comes back at once: each is let in once, in turn, and the urgent do not wait for the rest."""

import heapq
import random
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.access import StationPrincipal
from clinic_net.app import create_app
from clinic_net.kernel.hub import Hub
from clinic_net.sync import admission
from clinic_net.sync.admission import HEADER, signed, ticket_in
from clinic_net.sync.admission_rules import GRACE_S, OPEN_S, Decision, Limits, Ticket, decide, drawn
from tests.access.support import SITE, browser, fill
from tests.sync.support import enrolled


@dataclass
class Door:
    """Lines in virtual time."""

    limits: Limits

    def __post_init__(self) -> None:
        self.full: dict[str, float] = {}

    def ask(
        self, now: float, ticket: Ticket | None = None, *, urgent: bool = False, chance: float = 0.5
    ) -> Decision:
        deciding = decide(ticket, now=now, urgent=urgent, chance=chance)
        try:
            draw = next(deciding)
            while True:
                interval, burst = self.limits.of(draw.line)
                wait, self.full[draw.line] = drawn(
                    self.full.get(draw.line, float("-inf")), now, interval, burst, only_free=draw.only_free
                )
                draw = deciding.send(wait)
        except StopIteration as done:
            decision: Decision = done.value
            return decision


times = st.lists(st.floats(0, 30), min_size=1, max_size=60)


@given(times, st.floats(0.5, 20), st.floats(1, 10))
def test_never_more_begin_than_the_rate_allows_and_nobody_is_overtaken(
    gaps: list[float], rate: float, burst: float
) -> None:
    door, now, slots = Door(Limits(rate, burst)), 0.0, list[float]()
    for gap in gaps:
        now += gap / rate
        decision = door.ask(now)
        assert decision.ticket is not None
        slots.append(now if decision.admitted else decision.ticket.at)
    assert slots == sorted(slots)
    interval, free = door.limits.of("ordinary")
    for first in range(0, len(slots), 7):
        for last in range(first, len(slots)):
            assert last - first <= (slots[last] - slots[first] + free) / interval + 1.001


@given(st.integers(1, 80), st.floats(0, 1))
def test_who_waited_for_the_slot_is_let_in(ahead: int, chance: float) -> None:
    door = Door(Limits(2.0, 1.0))
    for _ in range(ahead):
        decision = door.ask(100.0)
    if not decision.admitted:
        assert decision.ticket is not None
        again = door.ask(100.0 + decision.retry_after, decision.ticket, chance=chance)
        assert again.admitted
        assert again.ticket is not None
        assert door.ask(100.0 + decision.retry_after + OPEN_S - 1, again.ticket).admitted


def test_who_comes_too_early_keeps_the_slot_and_who_comes_too_late_gets_another() -> None:
    door = Door(Limits(1.0, 1.0))
    for _ in range(30):
        decision = door.ask(0.0)
    early = door.ask(2.0, decision.ticket)
    assert (early.admitted, early.ticket) == (False, decision.ticket)
    assert decision.ticket is not None
    late = door.ask(decision.ticket.at + GRACE_S + 1, decision.ticket)
    assert late.ticket != decision.ticket


@given(st.integers(1, 4000))
def test_an_urgent_one_is_let_in_however_many_wait(waiting: int) -> None:
    door = Door(Limits(20.0, 20.0))
    for _ in range(waiting):
        door.ask(5.0)
    assert door.ask(5.0, urgent=True).admitted


def test_a_national_reconnect_is_drained_in_turn_and_the_urgent_go_first() -> None:
    """12,000 stations, 400 places, 6 s a conversation (``sync.md`` §4.9); 2 % bring an urgent request meanwhile.

    Stations jitter their start by up to 30 s here, a tenth of what they do, and never come before they are told.
    """
    stations, rate = 12_000, 400 / 6
    ideal = stations / rate
    chance = random.Random(4)
    door = Door(Limits(rate, rate))
    events = [(chance.uniform(0, 30), number, False) for number in range(stations)]
    events += [(chance.uniform(0, 60), stations + number, True) for number in range(240)]
    heapq.heapify(events)
    begun = {number: at for at, number, _ in events}
    tickets: dict[int, Ticket | None] = {}
    requests, waited, ended = 0, list[float](), 0.0
    while events:
        now, number, urgent = heapq.heappop(events)
        decision = door.ask(now, tickets.get(number), urgent=urgent, chance=chance.random())
        requests += 1
        tickets[number] = decision.ticket
        if not decision.admitted:
            heapq.heappush(events, (now + decision.retry_after, number, urgent))
        elif urgent:
            waited.append(now - begun[number])
        else:
            ended = max(ended, now + 6)
    waited.sort()
    assert waited[int(len(waited) * 0.95)] <= 30
    assert ended <= 1.3 * ideal
    assert requests <= 3 * stations


@pytest.fixture(scope="module", autouse=True)
async def filled(hub: Hub) -> None:
    await fill(hub)


async def test_a_ticket_is_taken_from_the_device_that_it_was_given_to_and_from_no_other(hub: Hub) -> None:
    ours, other = (StationPrincipal(site=SITE, device=uuid4()) for _ in range(2))
    ticket = Ticket("slot", 1_800_000_000.25)
    text = signed(ticket, ours, hub)
    assert ticket_in(text, ours, hub) == ticket
    assert ticket_in(text, other, hub) is None
    for wrong in (
        "",
        "slot",
        "slot.1.x",
        text.replace("slot", "open"),
        text[:-1],
        "open.²." + "0" * 32,
        "é.é.é",
    ):
        assert ticket_in(wrong, ours, hub) is None


@pytest.mark.parametrize("away", [False, True])
async def test_who_is_one_too_many_is_given_a_slot_and_let_in_with_the_ticket(
    hub: Hub, away: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hub.redis.delete("sync:line:ordinary", "sync:line:urgent")
    few = hub.settings.model_copy(update={"sync_rate": 1.0, "sync_burst": 1.0})
    narrow = replace(hub, settings=few)
    monkeypatch.setattr(admission, "_of_hubs", type(admission._of_hubs)())
    if away:
        monkeypatch.setattr(admission.Lines, "__init__", _without_valkey)
    app = create_app(few, with_worker=False, now=hub.now)
    app.state.hub = narrow
    async with browser(app) as client:
        _, headers = await enrolled(narrow, client, SITE)
        body = {"station": SITE}
        first = await client.post("/sync/v1/pull", json=body, headers=headers)
        second = await client.post("/sync/v1/pull", json=body, headers=headers)
        third = await client.post("/sync/v1/pull", json=body, headers=headers)
        refused = next(answer for answer in (second, third) if answer.status_code == 429)
        assert first.status_code == 200
        assert refused.json()["code"] == "sync-come-back"
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers[HEADER].startswith("slot.")
        on = await client.post("/sync/v1/pull", json=body, headers={**headers, HEADER: first.headers[HEADER]})
        assert on.status_code == 200


def _without_valkey(self: admission.Lines, redis: object) -> None:
    self._full = {}
    self._alone_until = float("inf")
