"""What consultations do on news: a stored request becomes a case, a timer fires, a person comes or goes."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from clinic_net.access.policy import hub_scope
from clinic_net.consultations import calls, ladder, ringing, steps, store
from clinic_net.consultations.cases import STEP
from clinic_net.consultations.errors import NotAConsultationRequest, UnknownConsultation
from clinic_net.consultations.requests import is_consult_request, is_withdrawn, read_request
from clinic_net.directory.errors import UnknownSite
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.jobs import Payload, on
from clinic_net.records import service as records
from clinic_net.records.errors import ResourceDeleted

log = structlog.get_logger()


def _holds_requests(payload: Payload) -> bool:
    return any(record["rtype"] == "ServiceRequest" for record in payload["records"])


@on("record.stored", when=_holds_requests)
async def take_requests(hub: Hub, payload: Payload) -> None:
    """Turn each teleconsultation request that was stored into a case, once."""
    for record in payload["records"]:
        if record["rtype"] == "ServiceRequest":
            await _take_request(hub, record)


async def _take_request(hub: Hub, record: dict[str, Any]) -> None:
    async with hub.sessions() as session, session.begin():
        now = hub.now()
        try:
            stored = await records.read(session, "ServiceRequest", record["fid"], scope=hub_scope(), now=now)
        except ResourceDeleted:
            return
        resource = json.loads(stored.text)
        if not is_consult_request(resource):
            return
        try:
            if is_withdrawn(resource):
                await calls.withdraw_request(session, UUID(record["fid"]), site=record["tenant"], now=now)
                return
            asked = read_request(
                resource, site=record["tenant"], received=now, ring_after=hub.settings.ring_tier_after
            )
            await ringing.request(session, asked, now)
        except UnknownConsultation:
            return
        except (NotAConsultationRequest, UnknownSite) as refusal:
            log.error("consultation_request_unusable", consultation=record["fid"], code=refusal.code)


@on(STEP)
async def fire_timer(hub: Hub, payload: Payload) -> None:
    """Carry a case on whose next step is due."""
    async with hub.sessions() as session, session.begin():
        await steps.step_when_due(
            session,
            UUID(payload["consultation"]),
            due=datetime.fromisoformat(payload["due"]),
            now=hub.now(),
        )


@on("consultation.availability")
async def match_waiting_cases(hub: Hub, payload: Payload) -> None:
    """Ring a person for what waits, or take back what rings for one who has gone. A transaction a case."""
    user = UUID(payload["user"])
    async with hub.sessions() as session:
        reachable = await store.ready(session, user=user)
        if reachable:
            cases = [
                case.id
                for case in await store.waiting(session)
                if ladder.suited(case.specialty, case.urgency, reachable)
            ]
        else:
            cases = [case.id for _, case in await store.rings_of(session, user)]
    for consultation in cases:
        async with hub.sessions() as session, session.begin():
            if reachable:
                await steps.offer(session, user, consultation, hub.now())
            else:
                await steps.withdraw(session, user, consultation, hub.now())
