"""The station's half of the conversation about records: who goes next, tried by the thousand without a socket."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from clinic_net.protocol.sync.lanes import QUANTA, Turns
from clinic_net.protocol.sync.messages import Lane
from clinic_net.protocol.sync.station_half import (
    SENT_BEFORE_PULL,
    START_SPREAD_S,
    Do,
    StationHalf,
    Step,
    Work,
    start_slot,
)

BUSY = Work(batches={Lane.CARE: 3000, Lane.ROUTINE: 3000, Lane.BULK: 3000}, file_bytes=8000)
URGENT = Work(batches={**BUSY.batches, Lane.URGENT: 900}, snapshot="stn:1", snapshot_bytes=60_000)

seeds = st.integers(0, 2**32)
sizes = st.integers(400, 16_384)
works = st.builds(
    Work,
    batches=st.dictionaries(st.sampled_from(Lane), st.integers(0, 16_384)),
    suspects=st.lists(st.sampled_from(["nat", "prov:02"]), max_size=1).map(tuple),
    snapshot=st.just("stn:1"),
    snapshot_bytes=st.sampled_from([0, 65_536]),
    file_bytes=st.sampled_from([0, 8192]),
    spent=st.integers(0, 100),
    budget=st.sampled_from([None, 100]),
)


def half() -> StationHalf:
    return StationHalf("03163-01")


@settings(deadline=None)
@given(st.tuples(sizes, sizes, sizes))
def test_busy_lanes_share_the_line_eight_to_two_to_one(each: tuple[int, int, int]) -> None:
    turns, sent = Turns(), dict.fromkeys(QUANTA, 0)
    frames = dict(zip(QUANTA, each, strict=True))
    while sum(sent.values()) < 1_500_000:
        lane = turns.choose(frames)
        assert lane is not None
        sent[lane] += frames[lane]
    whole = sum(sent.values())
    for lane, share in ((Lane.CARE, 8), (Lane.ROUTINE, 2), (Lane.BULK, 1)):
        assert abs(sent[lane] / whole - share / 11) < 0.02


@settings(deadline=None)
@given(st.sampled_from(list(QUANTA)), st.integers(1, 300_000))
def test_a_lane_alone_has_the_whole_line(lane: Lane, size: int) -> None:
    turns = Turns()
    assert [turns.choose({lane: size}) for _ in range(5)] == [lane] * 5
    assert turns.choose({}) is None


@settings(deadline=None)
@given(st.lists(works, max_size=40), seeds)
def test_an_urgent_batch_is_next_whatever_went_before(before: list[Work], seed: int) -> None:
    chance = random.Random(seed)
    it, now = half(), 0.0
    for work in before:
        step = it.next(now, work)
        now += chance.uniform(0, 30)
        if step.do is not Do.WAIT:
            it.done(step, now, more=chance.random() < 0.5)
    assert it.next(now, URGENT) == Step(Do.PUSH, Lane.URGENT)


@settings(deadline=None)
@given(st.integers(1, 400), seeds)
def test_an_urgent_batch_waits_four_seconds_at_most_however_long_the_line_is_down(
    failures: int, seed: int
) -> None:
    chance = random.Random(seed)
    it, now, asked = half(), 0.0, 0.0
    for _ in range(failures):
        step = it.next(now, URGENT)
        if step == Step(Do.PUSH, Lane.URGENT):
            assert now - asked <= 4.0 + 1e-6
            asked = now
        if step.do is Do.WAIT:
            assert now < step.until <= asked + 4.0 + 1e-6
            now = step.until
        else:
            it.failed(step, now, chance.random, answered=False)


@settings(deadline=None)
@given(st.lists(works.filter(lambda w: any(w.batches.values())), min_size=1, max_size=60))
def test_a_pull_that_is_due_waits_for_few_pushes(many: list[Work]) -> None:
    it, pushes = half(), 0
    for now, work in enumerate(many):
        it.poked(float(now), pull=True)
        step = it.next(float(now), work)
        pushes = pushes + 1 if step.do is not Do.PULL and step.lane is not Lane.URGENT else 0
        assert pushes <= SENT_BEFORE_PULL
        it.done(step, float(now))


@settings(deadline=None)
@given(st.sampled_from([True, False]), seeds)
def test_pulls_go_on_while_no_push_is_answered(urgent: bool, seed: int) -> None:
    chance = random.Random(seed)
    it, now, pulls = half(), 0.0, 0
    work = URGENT if urgent else BUSY
    while now < 1800:
        step = it.next(now, work)
        if step.do is Do.WAIT:
            now = step.until
        elif step.do is Do.PUSH:
            it.failed(step, now, chance.random, answered=True)
        else:
            pulls += step.do is Do.PULL
            it.done(step, now)
            now += 5.0
    assert pulls >= 10


@settings(deadline=None)
@given(seeds)
def test_pushes_go_on_while_no_pull_is_answered(seed: int) -> None:
    chance = random.Random(seed)
    it, now, pushes = half(), 0.0, 0
    for _ in range(200):
        step = it.next(now, BUSY)
        if step.do is Do.WAIT:
            now = step.until
        elif step.do is Do.PULL:
            it.failed(step, now, chance.random, answered=True)
        else:
            pushes += step.do is Do.PUSH
            it.done(step, now)
            now += 0.1
    assert pushes >= 50


@settings(deadline=None)
@given(st.floats(1, 900), st.floats(0, 0.99), st.booleans())
def test_the_hubs_wish_to_wait_is_kept_except_by_the_urgent_lane(
    wish: float, chance: float, poked: bool
) -> None:
    it = half()
    it.failed(Step(Do.PUSH, Lane.CARE), 0.0, lambda: chance, answered=True, retry_after=wish)
    if poked:
        it.poked(0.0, pull=True)
    step = it.next(0.0, BUSY)
    assert step.do is Do.WAIT
    assert wish <= step.until <= 1.1 * wish
    assert it.next(0.0, URGENT) == Step(Do.PUSH, Lane.URGENT)
    assert it.next(step.until, BUSY).do is not Do.WAIT


def test_after_a_long_outage_every_station_has_its_own_place_within_five_minutes() -> None:
    slots = {start_slot(f"{n:05}-01") for n in range(3000)}
    assert len(slots) > 250
    assert max(slots) < START_SPREAD_S
    it = half()
    it.began(0.0, 1801)
    assert it.next(0.0, URGENT) == Step(Do.PUSH, Lane.URGENT)
    it.poked(0.0, pull=True)
    wait = it.next(0.0, BUSY)
    assert (wait.do, wait.until) == (Do.WAIT, start_slot("03163-01"))
    short = half()
    short.began(0.0, 1799)
    assert short.next(0.0, BUSY).do is not Do.WAIT


@settings(deadline=None)
@given(st.integers(0, 200))
def test_what_is_large_stops_at_four_fifths_of_the_day_and_routine_at_all_of_it(spent: int) -> None:
    it = half()
    it.done(Step(Do.PULL), 0.0)
    seen = set()
    work = Work(
        batches=BUSY.batches, snapshot="nat", snapshot_bytes=500, file_bytes=500, spent=spent, budget=100
    )
    for _ in range(60):
        step = it.next(1.0, work)
        seen.add(step.lane)
        it.done(step, 1.0)
    assert Lane.CARE in seen
    assert (Lane.ROUTINE in seen) == (spent < 100)
    assert (Lane.BULK in seen) == (spent < 80)
    assert it.next(1.0, URGENT).lane is Lane.URGENT


@settings(deadline=None)
@given(st.lists(works, max_size=60), seeds)
def test_a_wait_ends_and_nothing_that_may_go_is_waited_for(many: list[Work], seed: int) -> None:
    chance = random.Random(seed)
    it, now = half(), 0.0
    for work in many:
        step = it.next(now, work)
        if step.do is Do.WAIT:
            assert step.until > now
            now = step.until
        elif chance.random() < 0.5:
            it.failed(
                step, now, chance.random, answered=chance.random() < 0.5,
                retry_after=chance.choice([None, None, 20.0]),
            )  # fmt: skip
        else:
            it.done(step, now, more=chance.random() < 0.3)


def test_a_snapshot_goes_before_attachments_and_a_repair_after_the_pull() -> None:
    it = half()
    work = Work(snapshot="stn:1", snapshot_bytes=500, file_bytes=500, suspects=("nat",))
    assert it.next(0.0, work) == Step(Do.SNAPSHOT, Lane.BULK, "stn:1")
    it.done(Step(Do.PULL), 0.0)
    for _ in range(SENT_BEFORE_PULL):
        it.done(Step(Do.PUSH), 0.0)
    assert it.next(0.0, work) == Step(Do.REPAIR, scope="nat")
    assert it.next(0.0, Work(file_bytes=5)) == Step(Do.FILE, Lane.BULK)
