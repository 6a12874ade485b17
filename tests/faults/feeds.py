"""What a computer that has nothing would be handed by the hub, page by page."""

from typing import Any

import httpx

from clinic_net.protocol.sync import Page, Pull
from tests.faults.world import Station, World


def fresh_copy(world: World, station: Station) -> dict[tuple[str, str], int]:
    """Return type, id and version of everything in a station's feed."""
    return world.do(_pulled(station))


async def _pulled(station: Station) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    cursor: Any = 0
    async with httpx.AsyncClient(transport=station.world.transport()) as client:
        token = await station.agent.tokens.get(client)
        while True:
            ask = Pull(station=station.site, cursor=cursor, max_bytes=1024 * 1024)
            answer = await client.post(
                f"{station.world.settings.public_url}/sync/v1/pull",
                content=ask.model_dump_json(),
                headers={"authorization": f"Bearer {token.text}", "content-type": "application/json"},
            )
            assert answer.status_code == 200, answer.text
            page = Page.model_validate_json(answer.content)
            for entry in page.entries:
                if entry.kind == "put":
                    found[entry.type, entry.id] = entry.version
                else:
                    found.pop((entry.type, entry.id), None)
            cursor = page.cursor
            if not page.more:
                return found
