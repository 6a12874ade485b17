"""The worker: delivers news, fires timers, sweeps what is overdue. Any number may run, on any node.

It imports every module that subscribes to news, so whoever announces (the hub, a command) imports it too.
"""

import asyncio
import time
from contextlib import suppress

import structlog

import clinic_net.consultations.jobs
import clinic_net.records.jobs
import clinic_net.referrals.jobs
import clinic_net.signalling.jobs
import clinic_net.sync.feeds.jobs
import clinic_net.sync.files.jobs
import clinic_net.sync.inbox.erased  # noqa: F401 -- imported for what they subscribe to
from clinic_net.audit import keeping, sealing
from clinic_net.consultations import service as consultations
from clinic_net.kernel.hub import Hub
from clinic_net.records import service as records
from clinic_net.referrals import service as referrals
from clinic_net.sync import service as sync
from clinic_net.sync.files import files

log = structlog.get_logger()

_SWEEP_EVERY_S = 2.0
"""How late a step may be whose timer was lost; timers themselves fire within a second."""

_SEAL_EVERY_S = 2.0
"""How late an event of the audit trail gets its place in the chain."""
_KEEP_EVERY_S = 3600.0
"""How often the trail's months are looked at."""

_TAKE_OVER_EVERY_S = 2.0
"""How late what a dead process took is applied by another, after the two seconds it is given."""

_DERIVE_EVERY_S = 2.0
"""How late a resource may be found by its words."""


async def run(hub: Hub) -> None:
    """Run until cancelled. A failure of the database is waited out; nothing is lost meanwhile."""
    beside = [
        asyncio.create_task(_sweep(hub), name="sweep"),
        asyncio.create_task(_take_over(hub), name="take over"),
        asyncio.create_task(_derive(hub), name="derive"),
        asyncio.create_task(_seal(hub), name="seal"),
    ]
    try:
        while True:
            try:
                await hub.jobs.run()
            except Exception as failure:  # noqa: BLE001 -- the worker outlives whatever its parts do
                log.warning("worker_restarts", error=type(failure).__name__)
                await asyncio.sleep(1)
    finally:
        for task in beside:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _sweep(hub: Hub) -> None:
    looked = False
    while True:
        try:
            if not looked:
                async with hub.sessions() as session, session.begin():
                    await records.begin_reindex_where_needed(session, now=hub.now())
                looked = True
            async with hub.sessions() as session, session.begin():
                await records.sweep(session, hub.now())
            async with hub.sessions() as session, session.begin():
                await consultations.sweep(session, hub.now())
                await referrals.sweep(session, hub.now())
            await files.sweep(hub, hub.now())
        except Exception as failure:  # noqa: BLE001 -- the next sweep tries again
            log.warning("sweep_failed", error=type(failure).__name__)
        await asyncio.sleep(_SWEEP_EVERY_S)


async def _take_over(hub: Hub) -> None:
    """A task of its own: after an outage, days of work of many stations may wait."""
    while True:
        try:
            await sync.take_over(hub)
        except Exception as failure:  # noqa: BLE001 -- the next round tries again
            log.warning("taking_over_failed", error=type(failure).__name__)
        await asyncio.sleep(_TAKE_OVER_EVERY_S)


async def _derive(hub: Hub) -> None:
    """A task of its own: after an upgrade there are years of records to read."""
    while True:
        try:
            await records.derive(hub)
        except Exception as failure:  # noqa: BLE001 -- the next round tries again
            log.warning("derive_failed", error=type(failure).__name__)
        await asyncio.sleep(_DERIVE_EVERY_S)


async def _seal(hub: Hub) -> None:
    """A task of its own: whatever else is late, the chain goes on."""
    kept: float | None = None
    while True:
        try:
            if kept is None or time.monotonic() - kept >= _KEEP_EVERY_S:
                await keeping.keep(hub)
                kept = time.monotonic()
            await sealing.tend(hub)
        except Exception as failure:  # noqa: BLE001 -- the next round tries again
            log.warning("audit_seal_failed", error=type(failure).__name__)
        await asyncio.sleep(_SEAL_EVERY_S)
