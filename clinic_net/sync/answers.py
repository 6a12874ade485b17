"""What became of batches of operations that a station asks after."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import StationPrincipal
from clinic_net.protocol.sync import BatchAnswer, Lane


async def answers(
    session: AsyncSession, station: StationPrincipal, db_epoch: UUID, asks: Sequence[tuple[Lane, int]]
) -> tuple[BatchAnswer, ...]:
    """Return what became of those of ``asks`` that the hub holds: none, while no batch is numbered here."""
    return ()
