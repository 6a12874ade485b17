"""Whatever of a station's traffic arrives again, in whatever pieces: nothing is lost, nothing is applied twice."""

from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import BatchAnswer, Lane, PushReply
from tests.sync.stations import Frame, Station, patient, pulse, results, visit

KINDS = st.lists(
    st.tuples(st.sampled_from(["patient", "change", "visit", "pulse", "poison", "gone"]), st.integers(0, 2)),
    min_size=1,
    max_size=8,
)
CUTS = st.lists(st.integers(1, 3), min_size=8, max_size=8)
AGAIN = st.lists(st.integers(0, 7), max_size=6)


def traffic(station: Station, kinds: list[tuple[str, int]], cuts: list[int]) -> list[bytes]:
    """Return a station's batches: three people, what is written about them, cut into pieces of these sizes."""
    people, visits = [str(uuid4()) for _ in range(3)], [str(uuid4()) for _ in range(3)]
    ops: list[Frame] = []
    for number, (kind, who) in enumerate(kinds):
        whom, when = people[who], visits[who]
        if kind == "gone":
            ops.append(station.gone("Patient", whom))
            continue
        written = {
            "patient": patient(whom),
            "change": patient(whom, birthDate=f"19{number:02}"),
            "visit": visit(whom, when),
            "pulse": pulse(whom, when),
            "poison": visit(whom, when, status="bad"),
        }
        ops.append(station.op(written[kind]))
    batches, rest = [], ops
    for cut in [*cuts, len(ops)]:
        if rest:
            batches.append(station.batch(*rest[:cut]))
            rest = rest[cut:]
    return batches


@given(kinds=KINDS, cuts=CUTS, again=AGAIN)
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_replaying_any_of_the_traffic_changes_nothing(
    hub: Hub, kinds: list[tuple[str, int]], cuts: list[int], again: list[int]
) -> None:
    station = Station()
    batches = traffic(station, kinds, cuts)
    repeats = iter(again)
    for seq, stream in enumerate(batches, 1):
        assert isinstance(await station.send(hub, stream), PushReply)
        for _ in range(2):
            replayed = next(repeats, None)
            if replayed is not None and replayed < seq:
                assert isinstance(await station.send(hub, batches[replayed]), PushReply)
    answers = [await _last(hub, station, seq) for seq in range(1, len(batches) + 1)]
    before = await _all_of(hub, station)

    for stream in batches:
        assert isinstance(await station.send(hub, stream), PushReply)

    assert [await station.answer(hub, Lane.CARE, seq) for seq in range(1, len(batches) + 1)] == answers
    assert await _all_of(hub, station) == before
    told = {op: result for answer in answers for op, result in results(answer).items()}
    assert sorted(told) == list(range(1, station.last_op + 1)), "every operation has its own answer"


async def _last(hub: Hub, station: Station, seq: int) -> BatchAnswer:
    """Return a batch's answer once nothing of it but what waits for a parent is open."""
    while True:
        answer = await station.answer(hub, Lane.CARE, seq)
        if not answer.pending or any(result.outcome == "deferred" for result in answer.others):
            return answer


async def _all_of(hub: Hub, station: Station) -> list[tuple[int, ...]]:
    async with hub.sessions() as session:
        rows = await (await session.connection()).execute(
            text(
                "select v.rid, v.version, length(v.body) from records_version v"
                " join records_resource r on r.rid = v.rid where r.tenant = :site order by 1, 2"
            ),
            {"site": station.principal.site},
        )
        return [tuple(row) for row in rows]
