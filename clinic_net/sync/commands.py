"""What an operator does from a terminal to what stations push and are handed."""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import UUID

from clinic_net.access.commands import OPERATOR
from clinic_net.fleet import service as fleet
from clinic_net.fleet.settings import NATIONAL
from clinic_net.kernel.hub import Hub
from clinic_net.sync import erasures, moving, portions

Add = Callable[..., argparse.ArgumentParser]
Task = Callable[..., Any]


async def move_patients(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Have patients go to another site with their records, and see it through; goes on where it was cut off."""
    async with hub.sessions() as session, session.begin():
        if arguments.resume is not None:
            told = await moving.progress(session, arguments.resume)
        else:
            told = await moving.order(
                session, arguments.origin, arguments.target, patients=arguments.patient or None, by=OPERATOR,
                now=hub.now(),
            )  # fmt: skip
    while told.done_at is None:
        async with hub.sessions() as session, session.begin():
            told = await moving.step(session, told.id, now=hub.now())
    return asdict(told)


async def moves(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """List the newest moves, and how far each has come."""
    async with hub.sessions() as session, session.begin():
        return {"moves": [asdict(each) for each in await moving.newest(session)]}


async def owed(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """List the devices that were told to erase something and have not said yet that they did."""
    async with hub.sessions() as session, session.begin():
        return {"owed": [asdict(each) for each in await erasures.owed(session)]}


async def configure(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Set what stations work by: of the nation, a province or a site; replaces what that layer said."""
    given = {"day_bytes": arguments.day_bytes, "pull_every_s": arguments.pull_every}
    switched = {name: True for name in arguments.on} | {name: False for name in arguments.off}
    said = {name: value for name, value in given.items() if value is not None}
    if switched:
        said["features"] = switched
    layer = (
        f"site:{arguments.site}" if arguments.site
        else f"province:{arguments.province}" if arguments.province
        else NATIONAL
    )  # fmt: skip
    async with hub.sessions() as session, session.begin():
        kept = await fleet.configure(session, layer, said, by=OPERATOR, now=hub.now())
    return {"layer": layer, "settings": kept}


def add_commands(add: Add, task: Task) -> None:
    """Add the commands to the group of commune stations."""
    made = add("move-patients", task(move_patients))
    made.add_argument("origin", help="site whose patients go")
    made.add_argument("target", help="site they go to")
    made.add_argument("--patient", action="append", default=[], metavar="ID", help="only these; else all")
    made.add_argument("--resume", type=UUID, metavar="MOVE", help="go on with a move that was ordered before")
    add("moves", task(moves))
    add("owed", task(owed))
    made = add("configure", task(configure))
    made.add_argument("--site")
    made.add_argument("--province", help="two digits; without either, the nation")
    made.add_argument("--day-bytes", type=int, help="bytes a day; the urgent lane is never stopped by it")
    made.add_argument("--pull-every", type=int, metavar="SECONDS")
    made.add_argument("--on", action="append", default=[], metavar="FEATURE")
    made.add_argument("--off", action="append", default=[], metavar="FEATURE")


async def retry(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Try again what stations pushed and could not be stored, after an update of the hub, say."""
    return {"became": await portions.try_again(hub, site=arguments.site, everything=True)}


def add_push_commands(add: Add, task: Task) -> None:
    """Add the commands about what stations push."""
    made = add("retry", task(retry))
    made.add_argument("--site", help="only this station's; all stations' if left out")
