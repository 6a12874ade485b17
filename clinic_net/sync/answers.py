"""What became of batches: asked by a station that got no answer, or only that its batch is kept."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from clinic_net.access import StationPrincipal
from clinic_net.kernel.links import Database
from clinic_net.protocol.sync import BatchAnswer, Lane, OpIssue, OpResult, Outcome
from clinic_net.sync import inbox_store as store
from clinic_net.sync.inbox_store import Told

_PENDING = frozenset({store.PENDING, Outcome.DEFERRED})


async def answers(
    session: Database, station: StationPrincipal, db_epoch: UUID, asks: Sequence[tuple[Lane, int]]
) -> tuple[BatchAnswer, ...]:
    """Return what became of these batches (lane, number) of one of a station's databases, in their order.

    A batch that is not here, or is another station's, has no answer.
    """
    found = await store.told(session, station.site, db_epoch, asks)
    return tuple(answer_of(lane, seq, found[lane, seq]) for lane, seq in asks if (lane, seq) in found)


def answer_of(lane: Lane, seq: int, ops: Iterable[Told]) -> BatchAnswer:
    """Return a batch's answer; ``pending`` while one of its operations waits to be applied, or for another."""
    runs: list[tuple[int, int, int]] = []
    others: list[OpResult] = []
    pending = False
    for each in sorted(ops, key=lambda told: told.op):
        pending = pending or each.outcome in _PENDING
        if each.outcome == store.PENDING:
            continue
        if each.outcome != Outcome.APPLIED or each.version is None or each.issues:
            others.append(result_of(each))
            continue
        if runs and (runs[-1][0] + runs[-1][1], runs[-1][2]) == (each.op, each.version):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1, each.version)
        else:
            runs.append((each.op, 1, each.version))
    return BatchAnswer(lane=lane, seq=seq, pending=pending, runs=tuple(runs), others=tuple(others))


def result_of(told: Told) -> OpResult:
    """Return what became of one operation that has an outcome."""
    return OpResult(
        op=told.op,
        outcome=Outcome(told.outcome),
        version=told.version,
        issues=tuple(OpIssue.model_validate(issue) for issue in told.issues),
    )
