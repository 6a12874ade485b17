"""An operation that was made from another version than the hub's: nothing is overwritten, and nothing is lost."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import access
from clinic_net.access import StationPrincipal
from clinic_net.kernel.errors import NotFound
from clinic_net.protocol.sync import OpHead, Outcome
from clinic_net.records import service as records
from clinic_net.sync import apply_store as store
from clinic_net.sync.apply_store import Aside


@dataclass(frozen=True)
class Incoming:
    """A station's change of a record. ``text`` None deletes it.

    ``base`` is the hub's version that it was made from. Where the station did not know the outcome of an earlier
    operation of its own on the record, ``base`` is None, and ``after`` is that operation's number, if that one was
    merged or clashed: this change was made from that one's text.
    """

    rtype: str
    fid: str
    text: bytes | None
    at: datetime
    by: str
    epoch: UUID
    op: int
    base: int | None = None
    after: int | None = None


@dataclass(frozen=True)
class Reconciled:
    """What became of a change. ``version`` is the hub's current one, None where the station may not see it."""

    outcome: Outcome
    version: int | None


async def reconcile(
    session: AsyncSession, op: Incoming, *, station: StationPrincipal, now: datetime, news: records.News
) -> Reconciled:
    """Keep a change beside the record, which stays as it is: a person decides.

    ``news`` takes what a way of reconciling stores; this one stores nothing among the records.
    """
    try:
        current = await records.read(session, op.rtype, op.fid, scope=access.scope_of(station), now=now)
        version: int | None = current.version
    except NotFound:
        version = None
    head = OpHead(
        op=op.op,
        kind="delete" if op.text is None else "put",
        type=op.rtype,
        id=op.fid,
        base=op.base,
        at=op.at,
        by=op.by,
    )
    aside = Aside(station.site, op.epoch, op.op, None, None)
    await store.set_aside(session, aside, head.model_dump(mode="json"), op.text or b"", now)
    return Reconciled(Outcome.CONFLICT, version)
