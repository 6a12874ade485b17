"""Carrying out the hub's orders to erase a patient; each step is kept: a power cut between two costs nothing."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import structlog

from clinic_net.protocol.sync import Receipt
from station_agent.link.signing import Signer
from station_agent.store import Database, Tx, erasing
from station_agent.store.erasing import Beside
from station_agent.store.scopes import Key

log = structlog.get_logger()


class Erasing:
    """Erases what is due, wipes the file, and signs what was done."""

    def __init__(
        self,
        database: Database,
        signer: Signer,
        *,
        station: str,
        device: str,
        clock: Callable[[], datetime],
        beside: Sequence[Beside] = (),
    ) -> None:
        self._database = database
        self._signer = signer
        self._station = station
        self._device = device
        self._clock = clock
        self._beside = beside

    async def run(self) -> list[Key]:
        """Do what can be done now. Return what is gone; receipts wait for the next pull."""

        def erase(tx: Tx) -> list[Key]:
            return [key for purge in erasing.due(tx) for key in erasing.erase(tx, purge, self._beside)]

        gone = await self._database.run(erase)
        owed = await self._database.run(erasing.unwiped)
        if owed and await self._database.tidy():
            for purge in owed:
                receipt = self._signer.receipt(
                    Receipt(
                        station=self._station,
                        device=UUID(self._device),
                        scope=purge.scope,
                        seq=purge.seq,
                        patient=purge.patient,
                        erased=purge.erased,
                        at=self._clock(),
                    )
                )
                await self._keep(purge, receipt)
            log.info("patients_erased", count=len(owed))
        return gone

    async def _keep(self, purge: erasing.Purge, receipt: str) -> None:
        await self._database.run(lambda tx: erasing.wiped(tx, purge, receipt))
