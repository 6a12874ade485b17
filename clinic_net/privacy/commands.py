"""What an operator does about privacy from a terminal."""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from clinic_net.kernel.hub import Hub
from clinic_net.privacy import service, statistics
from clinic_net.privacy.calendar import VIET_NAM

OPERATOR = "operator:terminal"


async def export_statistics(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Write pseudonymised figures of consultations as CSV; groups of fewer than five people are widened or left out."""
    since, until = (datetime.combine(day, time(), VIET_NAM) for day in (arguments.since, arguments.until))
    with arguments.out.open("w", encoding="utf-8-sig", newline="") as out:
        async with hub.sessions() as session, session.begin():
            made = await statistics.export(
                session,
                out,
                statistics.Wanted(arguments.project, since, until + timedelta(days=1)),
                key=hub.settings.token_key,
                by=OPERATOR,
                now=hub.now(),
            )
    return {"file": str(arguments.out), **asdict(made)}


async def review_retention(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Enter a request for erasure for each record that need not be kept any more; a person decides each."""
    async with hub.sessions() as session, session.begin():
        entered = await service.begin_retention(
            session, keep=hub.settings.record_retention, by=OPERATOR, now=hub.now()
        )
    return {"entered": entered}


def add_commands(
    group: Callable[[str, str], Any], add: Callable[..., argparse.ArgumentParser], task: Any
) -> None:
    """Add this capability's commands to the command line."""
    made = add(group("statistics", "figures that leave the hub"), "export", task(export_statistics))
    made.add_argument("--from", dest="since", type=date.fromisoformat, required=True, metavar="DAY")
    made.add_argument("--to", dest="until", type=date.fromisoformat, required=True, metavar="DAY")
    made.add_argument("--project", required=True, help="names the use; other projects get other pseudonyms")
    made.add_argument("--out", type=Path, required=True, metavar="FILE")
    add(group("retention", "records that need not be kept any more"), "review", task(review_retention))
