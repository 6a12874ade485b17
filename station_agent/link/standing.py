"""What a station does whose tokens are refused: it asks how it stands, with its key alone, and obeys what is signed."""

import json
import secrets
from uuid import UUID

import httpx
import structlog
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from clinic_net.protocol.sync.standing import (
    EVERYTHING,
    STANDING,
    Receipts,
    Standing,
    StandingAsk,
    proof_input,
)
from station_agent.link.erasing import Erasing
from station_agent.link.signing import Signer
from station_agent.store import Database, erasing, settings
from station_agent.store.erasing import Purge

log = structlog.get_logger()

_OK = 200


class Asking:
    """Asks, erases if told to, and hands in the receipts."""

    def __init__(
        self, database: Database, signer: Signer, carrying_out: Erasing, *, hub: str, device: str
    ) -> None:
        self._database = database
        self._signer = signer
        self._erasing = carrying_out
        self._hub = hub
        self._device = UUID(device)

    async def run(self, client: httpx.AsyncClient) -> bool:
        """Do what the hub says of this device; whether everything was erased now. Raises httpx.HTTPError."""
        told = await self._told(client)
        erased = False
        if told is not None and told.status == "revoked" and told.seq is not None:
            order = Purge(f"dev:{self._device}", told.seq, EVERYTHING)
            erased = await self._database.run(lambda tx: erasing.ordered(tx, order))
        await self._erasing.run()
        receipts = await self._database.run(erasing.receipts)
        if receipts:
            given = Receipts(device=self._device, receipts=receipts)
            answer = await client.post(
                f"{self._hub}/sync/v1/receipts", content=given.model_dump_json(), headers=_JSON
            )
            if answer.status_code == _OK and b"taken" in answer.content:
                await self._database.run(lambda tx: erasing.delivered(tx, receipts))
        return erased

    async def _told(self, client: httpx.AsyncClient) -> Standing | None:
        """Return what the hub says of this device, signed by a key that this station knew before or that the hub
        publishes; None if nobody says anything that can be believed."""
        nonce = secrets.token_urlsafe(24)
        proof = self._signer.words(proof_input(self._device, nonce))
        ask = StandingAsk(device=self._device, nonce=nonce, proof=proof)
        answer = await client.post(
            f"{self._hub}/sync/v1/standing", content=ask.model_dump_json(), headers=_JSON
        )
        if answer.status_code != _OK:
            return None
        known = await self._database.run(lambda tx: settings.get(tx, "hub_keys"))
        told = None if known is None else _believed(answer.text, known)
        if told is None:  # it may sign with a key that it did not have then
            told = _believed(answer.text, (await client.get(f"{self._hub}/oauth/jwks")).text)
        if told is None or (told.device, told.nonce) != (self._device, nonce):
            log.warning("standing_not_believed")
            return None
        return told


def _believed(signed: str, keys: str) -> Standing | None:
    try:
        said = jws.deserialize_compact(signed, KeySet.import_key_set(json.loads(keys)), algorithms=["ES256"])
        told = Standing.model_validate_json(said.payload)
    except (JoseError, ValueError):
        return None
    return told if said.headers().get("typ") == STANDING else None


_JSON = {"Content-Type": "application/json"}
