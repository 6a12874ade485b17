"""Every query about SMS that were taken. Their scope is one device."""

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.sync.files_model import TakenSms


async def take(session: AsyncSession, taken: TakenSms) -> bool:
    """Note an SMS; whether its counter is new or was this very SMS's. A second one at the same moment waits."""
    await session.exec(insert(TakenSms).values(taken.model_dump()).on_conflict_do_nothing())
    statement = select(TakenSms.digest).where(
        TakenSms.device == taken.device, TakenSms.counter == taken.counter
    )
    return (await session.exec(statement)).one() == taken.digest


async def was_cancelled(session: AsyncSession, device: UUID, request: UUID) -> bool:
    """Whether this device took a request back by SMS."""
    statement = select(TakenSms.counter).where(
        TakenSms.device == device, TakenSms.request == request, col(TakenSms.kind) == "cancel"
    )
    return (await session.exec(statement)).first() is not None
