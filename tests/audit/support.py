"""What is in the trail, read as its owner can."""

from typing import Any

from sqlalchemy import text

from clinic_net.kernel.hub import Hub

COLUMNS = "actor, action, subject, outcome, purpose, patient, place, actor_place, detail, request, address"


async def events(hub: Hub, where: str = "true", **values: Any) -> list[dict[str, Any]]:
    """Return events, oldest first, as dictionaries of their columns."""
    async with hub.engine.connect() as connection:
        rows = await connection.execute(
            text(f"select {COLUMNS} from audit_event where {where} order by id"), values
        )
        return [dict(row._mapping) for row in rows]


async def acts(hub: Hub, patient: str) -> list[tuple[str, str]]:
    """Return action and subject of each event about a patient, oldest first."""
    return [(row["action"], row["subject"]) for row in await events(hub, "patient = :p", p=patient)]
