"""``clinic-net audit``: verify the trail, show its checkpoint, be a witness."""

import argparse
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time
from pathlib import Path

from clinic_net.audit import notes, publishing, witness
from clinic_net.audit.errors import UnknownEvent
from clinic_net.audit.sealing import signer_of
from clinic_net.audit.verifying import Wanted
from clinic_net.audit.verifying import verify as run_verify
from clinic_net.kernel import clock
from clinic_net.kernel.hub import Hub

Task = Callable[[argparse.Namespace, Hub], Awaitable[dict[str, object]]]
Say = Callable[[argparse.Namespace, dict[str, object]], int]
Command = Callable[[argparse.Namespace], int]

_TOLD_EVERY = 100_000
"""Events between two lines of progress."""


def _instant(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time.min, UTC)


async def verify(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Verify that no event of the trail was changed, removed or inserted; exit 1 and say which if one was."""
    outside = None
    if arguments.checkpoint is not None:
        text = arguments.checkpoint.read_text("utf-8")
        outside = publishing.read_outside(text, hub.settings, arguments.key)
    told = 0

    def say(done: int, of: int) -> None:
        nonlocal told
        if done - told >= _TOLD_EVERY:
            told = done
            print(f"{done:,} of {of:,} events verified", file=sys.stderr, flush=True)

    wanted = Wanted(_instant(arguments.since), _instant(arguments.until), outside)
    return (await run_verify(hub.engine, wanted, say)).facts


async def checkpoint(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Print the newest checkpoint, and the key that signs checkpoints."""
    async with hub.engine.connect() as connection:
        note = await publishing.newest(connection)
    if note is None:
        raise UnknownEvent
    if arguments.note is not None:
        arguments.note.write_text(note, "utf-8")
    return {"checkpoint": note, "key": str(signer_of(hub.settings).verifier)}


def witness_key(arguments: argparse.Namespace) -> dict[str, object]:
    """Make a witness's key in a new file; the public half goes into the hub's CLINIC_NET_AUDIT_WITNESSES."""
    return {"key": str(witness.make_key(arguments.file, arguments.name)), "file": str(arguments.file)}


def run_witness(arguments: argparse.Namespace) -> dict[str, object]:
    """Countersign the newest checkpoint of a hub, if it continues the one signed last. Needs no database."""
    log = witness.log_at(arguments.url, notes.read_verifier(arguments.hub_key))
    signer = witness.read_key(arguments.key_file, arguments.name)
    signed = witness.cosign(log, arguments.state, signer, now=clock.now())
    if not arguments.keep:
        witness.hand_in(arguments.url, signed)
    return {"size": notes.read_note(signed).size, "checkpoint": signed}


def add_arguments(
    add: Callable[[str, Command], argparse.ArgumentParser], task: Callable[[Task], Command], say: Say
) -> None:
    """Add the commands: ``task`` makes one of what needs an open hub; ``say`` prints facts."""

    def plain(function: Callable[[argparse.Namespace], dict[str, object]]) -> Command:
        def command(arguments: argparse.Namespace) -> int:
            return say(arguments, function(arguments))

        command.__doc__ = function.__doc__
        return command

    made = add("verify", task(verify))
    made.add_argument(
        "--from", dest="since", type=date.fromisoformat, metavar="DATE", help="events from this day on (UTC)"
    )
    made.add_argument(
        "--to", dest="until", type=date.fromisoformat, metavar="DATE", help="events before this day (UTC)"
    )
    made.add_argument("--checkpoint", type=Path, metavar="FILE", help="a checkpoint that was kept outside")
    made.add_argument("--key", metavar="VKEY", help="the key that signed it, if it is not today's")
    made = add("checkpoint", task(checkpoint))
    made.add_argument("--note", type=Path, metavar="FILE", help="also write the checkpoint's text to a file")
    made = add("witness-key", plain(witness_key))
    made.add_argument("name", help="who the witness is, for example dpo.moh.gov.vn/audit")
    made.add_argument("file", type=Path)
    made = add("witness", plain(run_witness))
    made.add_argument("url", help="the hub's public address")
    made.add_argument("--name", required=True, help="the name that the key was made for")
    made.add_argument("--key-file", type=Path, required=True, metavar="FILE")
    made.add_argument("--hub-key", required=True, metavar="VKEY", help="as `audit checkpoint` prints it")
    made.add_argument("--state", type=Path, required=True, metavar="FILE", help="what was signed last")
    made.add_argument("--keep", action="store_true", help="do not hand the signature in")
