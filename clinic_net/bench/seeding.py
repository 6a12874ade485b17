"""``clinic-net seed``: invented data, the same every time, for demonstrations and measurements."""

import argparse
from collections.abc import Callable
from typing import Any
from zlib import crc32

from clinic_net.access.policy import hub_scope
from clinic_net.bench.communes import Commune, Person, text
from clinic_net.directory import service as directory
from clinic_net.kernel.errors import Refusal
from clinic_net.kernel.hub import Hub
from clinic_net.records import service as records

_TOGETHER = 50
"""People of one transaction."""
_AUTHOR = "system:seed"


async def network(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Fill the directory with the deterministic network."""
    async with hub.sessions() as session, session.begin():
        return dict(await directory.seed_network(session))


async def commune(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Give a site the records of an invented commune; the same command again changes nothing.

    Raises:
        UnknownSite: the directory has no such site.
    """
    async with hub.sessions() as session, session.begin():
        await directory.site(session, arguments.site, as_of=hub.now().date())
    invented = Commune(crc32(arguments.site.encode()), people=arguments.people)
    stored = 0
    portion: list[Person] = []
    for person in invented.people():
        portion.append(person)
        if len(portion) == _TOGETHER:
            stored += await _store(hub, arguments.site, portion)
            portion = []
    stored += await _store(hub, arguments.site, portion)
    return {"site": arguments.site, "people": arguments.people, "stored": stored}


async def _store(hub: Hub, site: str, people: list[Person]) -> int:
    now = hub.now()
    orders = [
        records.Order(
            records.draft(text(resource), rtype=resource["resourceType"], fid=resource["id"], now=now),
            hub_scope(),
            _AUTHOR,
            site,
        )
        for person in people
        for resource in person.records
    ]
    async with hub.sessions() as session, session.begin():
        told = await records.put_many(session, orders, await records.keys_of(session), now=now)
        if (refused := next((each for each in told if isinstance(each, Refusal)), None)) is not None:
            raise refused
        changed = [each for each in told if isinstance(each, records.Stored) and each.changed]
        await records.tell(session, changed)
    return len(changed)


def add_commands(add: Callable[..., argparse.ArgumentParser], task: Callable[..., Any]) -> None:
    """Add what can be filled."""
    add("network", task(network))
    made = add("commune", task(commune))
    made.add_argument("site", help="site code, for example 03325-01")
    made.add_argument("--people", type=int, default=300, help="how many live there")
