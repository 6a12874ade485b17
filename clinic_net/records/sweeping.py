"""What a worker looks after every few seconds: runs and requests that lost their job, and what has expired."""

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.records import async_requests, reindexing


async def sweep(s: AsyncSession, now: datetime) -> None:
    """Carry on what stands still, and delete what is over."""
    await reindexing.sweep(s, now)
    await async_requests.sweep(s, now)
