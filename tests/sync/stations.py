"""Stations as the hub hears them: batches of form 2, numbered by lane, with records of a commune in them."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from clinic_net.access import StationPrincipal
from clinic_net.access.policy import hub_scope
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import BatchAnswer, Lane, OpHead, OpResult, Outcome, PushHead, PushReply, frames
from clinic_net.records import service as records
from clinic_net.sync import service
from clinic_net.sync.batches import read_batch
from clinic_net.sync.taking import Forked, Missing

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)

_UNSETTLED = "select count(*) from sync_batch where db_epoch = :e and settled_at is null"

Frame = tuple[OpHead, bytes]


def resource(rtype: str, fid: str | None = None, **members: Any) -> dict[str, Any]:
    return {"resourceType": rtype, "id": fid or str(uuid4()), **members}


def patient(fid: str | None = None, **members: Any) -> dict[str, Any]:
    return resource("Patient", fid, **{"gender": "female", **members})


def visit(of: str, fid: str | None = None, **members: Any) -> dict[str, Any]:
    return resource(
        "Encounter",
        fid,
        **{
            "status": "in-progress",
            "class": {"code": "AMB"},
            "subject": {"reference": f"Patient/{of}"},
            **members,
        },
    )


def pulse(of: str, at: str | None = None, fid: str | None = None, value: int = 72) -> dict[str, Any]:
    found = resource(
        "Observation",
        fid,
        status="final",
        code={"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        subject={"reference": f"Patient/{of}"},
        valueQuantity={"value": value},
    )
    return found if at is None else {**found, "encounter": {"reference": f"Encounter/{at}"}}


@dataclass
class Station:
    """A station's outbox, as far as the hub hears of it."""

    principal: StationPrincipal = field(
        default_factory=lambda: StationPrincipal(site=f"03325-{uuid4().hex[:6]}", device=uuid4())
    )
    epoch: UUID = field(default_factory=uuid4)
    last_op: int = 0
    last: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))

    def copy(self) -> "Station":
        """Return the same station from a copy of its disk."""
        return Station(self.principal, self.epoch, self.last_op, dict(self.last))

    def op(
        self,
        content: Mapping[str, Any] | str,
        *,
        rtype: str = "",
        fid: str = "",
        base: int | None = None,
        kind: str = "put",
        tx: int = 0,
        number: int | None = None,
    ) -> Frame:
        """Return the next operation: a resource to be put, or any text under a type and id."""
        if number is None:
            self.last_op += 1
            number = self.last_op
        said = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        if not isinstance(content, str):
            rtype, fid = content["resourceType"], content["id"]
        body = said.encode() if kind == "put" else b""
        head = OpHead(
            op=number, tx=tx, kind=kind, type=rtype, id=fid, base=base, at=NOW, by="nurse", size=len(body)
        )
        return head, body

    def gone(self, rtype: str, fid: str, *, base: int | None = None) -> Frame:
        """Return the next operation: a deletion."""
        return self.op("", rtype=rtype, fid=fid, kind="delete", base=base)

    def batch(self, *ops: Frame, lane: Lane = Lane.CARE, seq: int | None = None, offset_ms: int = 0) -> bytes:
        """Return the next batch of a lane."""
        if seq is None:
            self.last[lane] += 1
            seq = self.last[lane]
        head = PushHead(
            station=self.principal.site,
            db_epoch=self.epoch,
            lane=lane,
            seq=seq,
            count=len(ops),
            agent="2.0.0",
            offset_ms=offset_ms,
        )
        return frames.write(head, ops)

    async def send(self, hub: Hub, stream: bytes) -> PushReply | Missing | Forked:
        """Push a batch and return what is said at once."""
        pushed = service.Pushed(read_batch(stream, "identity", 2), stream, "identity", b"s" * 64)
        told = await service.push(hub, pushed, station=self.principal)
        assert isinstance(told, PushReply | Missing | Forked)
        return told

    async def push(self, hub: Hub, *ops: Frame, lane: Lane = Lane.CARE) -> dict[int, OpResult]:
        """Push operations as the next batch, and return what became of each."""
        seq = self.last[lane] + 1
        told = await self.send(hub, self.batch(*ops, lane=lane))
        assert isinstance(told, PushReply), told
        for _ in range(3000):
            if not await count(hub, _UNSETTLED, e=self.epoch):
                break
            await asyncio.sleep(0.02)
        return results(await self.answer(hub, lane, seq))

    async def answer(self, hub: Hub, lane: Lane, seq: int) -> BatchAnswer:
        """Ask what became of a batch."""
        async with hub.sessions() as session:
            (answer,) = await service.answers(session, self.principal, self.epoch, [(lane, seq)])
        return answer


def results(answer: BatchAnswer) -> dict[int, OpResult]:
    """Return what an answer says of each operation."""
    found = {
        op: OpResult(op=op, outcome=Outcome.APPLIED, version=version)
        for first, count, version in answer.runs
        for op in range(first, first + count)
    }
    return found | {result.op: result for result in answer.others}


def outcomes(told: Mapping[int, OpResult]) -> list[str]:
    return [str(told[op].outcome) for op in sorted(told)]


async def version_at(hub: Hub, rtype: str, fid: str) -> tuple[int, bytes] | None:
    """Return the current version and text of a record, None when there is none."""
    async with hub.sessions() as session, session.begin():
        try:
            stored = await records.read(session, rtype, fid, scope=hub_scope(), now=hub.now())
        except records.UnknownResource:
            return None
        return stored.version, stored.text


async def count(hub: Hub, sql: str, **values: Any) -> int:
    async with hub.sessions() as session:
        return int((await (await session.connection()).execute(text(sql), values)).scalar_one())


async def versions_of(hub: Hub, fids: Sequence[str]) -> int:
    """Return how many versions there are of these records."""
    return await count(
        hub,
        "select count(*) from records_version v join records_resource r on r.rid = v.rid where r.fid = any(:fids)",
        fids=list(fids),
    )
