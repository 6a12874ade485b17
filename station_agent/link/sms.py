"""The last way out for a call for help: an SMS, when the hub has not acknowledged it for too long."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import structlog
from pydantic import ValidationError

from clinic_net.protocol.sync.sms import Ask, Cancel, Forged, SmsKey, Unreadable, decode_answer, encode
from station_agent.errors import LinkError, UnknownRecord
from station_agent.forms import reading
from station_agent.forms.visit import triage_in
from station_agent.ids import is_uuid
from station_agent.link.gateways import GatewayFailed, SmsGateway
from station_agent.link.tokens import Tokens
from station_agent.store import Database, Tx, calls, outbox, records, settings, sms
from station_agent.store.calls import Call
from station_agent.store.sms import Sms

log = structlog.get_logger()

AFTER = timedelta(seconds=60)
"""How long the ordinary link may try before an SMS goes: two of its tries, and the first minute of the six hours."""

UNTIL = timedelta(hours=12)
"""A request that is older is not sent any more: the patient has gone, or somebody has telephoned."""

EVERY_S = 5.0
MOST_TRIES = 20
"""Times that a gateway is asked to take a message."""


@dataclass(frozen=True)
class Way:
    """How the lane reaches the hub in good times, and the world in bad ones."""

    hub: str
    device: str
    gateway: SmsGateway
    after: timedelta = AFTER


class SmsLane:
    """Looks every few seconds for a request that waits too long. ``changed`` hears of calls whose SMS was answered."""

    def __init__(
        self,
        database: Database,
        tokens: Tokens,
        way: Way,
        *,
        clock: Callable[[], datetime],
        changed: Callable[[list[tuple[str, str]]], Awaitable[None]],
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._way = way
        self._clock = clock
        self._changed = changed

    async def run(self, client: httpx.AsyncClient, *, online: Callable[[], bool]) -> None:
        """Look for ever. Only cancellation ends it."""
        while True:
            try:
                if online():
                    await self.learn_key(client)
                await self.look()
            except (GatewayFailed, LinkError, httpx.HTTPError) as error:
                log.info("sms_failed", reason=type(error).__name__)
            except Exception:
                log.exception("sms_failed")  # the lane must outlive every surprise
            await asyncio.sleep(EVERY_S)

    async def learn_key(self, client: httpx.AsyncClient) -> None:
        """Ask the hub for this device's key and the number, while there is a link, if they are not known yet.

        Raises:
            LinkError, httpx.HTTPError: the link failed.
        """
        if await self._database.run(lambda tx: _key(tx, self._way.device)) is not None:
            return
        token = await self._tokens.get(client)
        answer = await client.get(
            f"{self._way.hub}/sync/v1/sms/key", headers={"Authorization": f"Bearer {token.text}"}
        )
        if answer.status_code != 200:
            return  # a hub that has no such lane
        try:
            said = SmsKey.model_validate_json(answer.content)
        except ValidationError:
            raise LinkError("not-a-hub") from None
        device = self._way.device

        def keep(tx: Tx) -> None:
            settings.put(tx, sms.KEY, f"{device} {said.key}")
            settings.put(tx, sms.NUMBER, said.number)

        await self._database.run(keep)

    async def look(self) -> None:
        """Write down what is due, hand over what is written, take in what came.

        Raises:
            GatewayFailed: messages could not be fetched; what was handed over is noted.
        """
        await self._database.run(self._write_due)
        for message in await self._database.run(lambda tx: sms.waiting(tx, most_tries=MOST_TRIES)):
            await self._hand_over(message)
        texts = await self._way.gateway.received()
        answered = [
            call for text in texts if (call := await self._database.run(_taker(self._way.device, text)))
        ]
        if answered:
            await self._changed([("ServiceRequest", call) for call in answered])

    def _write_due(self, tx: Tx) -> None:
        key, now = _key(tx, self._way.device), self._clock()
        if key is None or not settings.get(tx, sms.NUMBER):
            return
        for call in calls.asked_since(tx, now - UNTIL):
            age = now - datetime.fromisoformat(call.asked_at)
            said = {message.kind for message in sms.of_call(tx, call.id)}
            if not call.over and call.state == "waiting" and "ask" not in said and age >= self._way.after:
                self._write(tx, _ask(tx, call, self._way.device, sms.next_counter(tx, now)), call, key, now)
            elif (
                call.over
                and "ask" in said
                and "cancel" not in said
                and outbox.unsettled(tx, "ServiceRequest", call.id)
            ):
                counter = sms.next_counter(tx, now)
                self._write(tx, Cancel(UUID(self._way.device), counter, UUID(call.id)), call, key, now)

    def _write(self, tx: Tx, message: Ask | Cancel | None, call: Call, key: bytes, now: datetime) -> None:
        if message is not None:
            kind = "ask" if isinstance(message, Ask) else "cancel"
            text = encode(message, key)
            sms.add(
                tx, Sms(message.counter, call.id, kind, text, "sending", None, None, None, 0, now.isoformat())
            )

    async def _hand_over(self, message: Sms) -> None:
        number = await self._database.run(lambda tx: settings.get(tx, sms.NUMBER) or "")
        try:
            reference = await self._way.gateway.send(number, message.text)
        except GatewayFailed as error:
            log.warning("sms_not_taken", reason=type(error).__name__)
            await self._database.run(lambda tx: sms.not_taken(tx, message.counter, most_tries=MOST_TRIES))
            return
        await self._database.run(lambda tx: sms.handed_over(tx, message.counter, reference))
        await self._changed([("ServiceRequest", message.call)])


def _key(tx: Tx, device: str) -> bytes | None:
    """Return this device's key; that of a device enrolled before is none."""
    owner, _, key = (settings.get(tx, sms.KEY) or "").partition(" ")
    return bytes.fromhex(key) if owner == device and key else None


def _ask(tx: Tx, call: Call, device: str, counter: int) -> Ask | None:
    """Return a request as an SMS says it; None if its patient's id is none that fits into one."""
    if not is_uuid(call.id) or not is_uuid(call.patient or ""):
        return None
    try:
        request: dict[str, Any] = records.read(tx, "ServiceRequest", call.id).resource
    except UnknownRecord:
        return None
    colour, score = triage_in(request)
    encounter = call.encounter or ""
    return Ask(
        device=UUID(device),
        counter=counter,
        request=UUID(call.id),
        patient=UUID(call.patient or ""),
        encounter=UUID(encounter) if is_uuid(encounter) else None,
        asked=datetime.fromisoformat(call.asked_at),
        specialty=next((code for _, code in reading.codes_in(request.get("performerType"))), "general"),
        colour=colour,
        score=score,
    )


def _taker(device: str, text: str) -> Callable[[Tx], str | None]:
    """Return what notes an SMS that came in, if it is the hub's answer to this device."""

    def take(tx: Tx) -> str | None:
        key = _key(tx, device)
        if key is None:
            return None
        try:
            answer = decode_answer(text, device=UUID(device), key=key)
        except (Unreadable, Forged):
            return None  # advertisements come to every number
        return sms.answered(tx, answer)

    return take
