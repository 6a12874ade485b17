"""``station-agent``: enrol this computer, run the station, ask how it is."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TextIO

from station_agent import __version__, clock
from station_agent.agent import Agent, Options
from station_agent.condition import needs_a_person, status
from station_agent.enrolment import enrol
from station_agent.errors import (
    AlreadyRunning,
    EnrolmentRefused,
    HubUnreachable,
    KeyMissing,
    NotEnrolled,
    OtherComputer,
    SealBroken,
    StationRefusal,
    StoreDamaged,
    StoreFull,
)
from station_agent.lan import authority, revoking
from station_agent.lan import serving as lan
from station_agent.logs import log_to
from station_agent.staff.desk import accounts_of, give_first_pin
from station_agent.web.app import create_app

OK, NEEDS_ATTENTION, REFUSED, UNREACHABLE, NOT_ENROLLED, ALREADY_RUNNING = 0, 1, 3, 4, 5, 6
OTHER_COMPUTER, KEYS_UNREADABLE, DISK = 7, 8, 9
"""Exit codes. Monitoring reads these; argparse itself exits with 2."""

EXIT_CODES: dict[type[StationRefusal], int] = {
    EnrolmentRefused: REFUSED,
    HubUnreachable: UNREACHABLE,
    NotEnrolled: NOT_ENROLLED,
    AlreadyRunning: ALREADY_RUNNING,
    OtherComputer: OTHER_COMPUTER,
    SealBroken: KEYS_UNREADABLE,
    KeyMissing: KEYS_UNREADABLE,
    StoreFull: DISK,
    StoreDamaged: DISK,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options, sys.stdout))
    except StationRefusal as refusal:
        print(f"station-agent: {refusal.message} [{refusal.code}]", file=sys.stderr)
        return EXIT_CODES.get(type(refusal), NEEDS_ATTENTION)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="station-agent", description="The agent of a commune health station."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = _command(
        commands, "enrol", _enrol, "make this computer the station's, with the operator's one-time code"
    )
    command.add_argument("--hub", required=True, metavar="URL", help="the hub's address")
    command.add_argument("--code", required=True, help="the one-time code")
    _run_options(_command(commands, "run", _run, "serve the nurse's pages and keep the link to the hub"))
    _device_commands(commands)
    _staff_commands(commands)
    _command(
        commands, "status", _status, "how the station is, as JSON; exits with 1 if something needs a person"
    )
    return parser


_Commands = argparse._SubParsersAction


def _command(
    commands: "_Commands[argparse.ArgumentParser]",
    name: str,
    does: Callable[[argparse.Namespace, TextIO], int],
    help_: str,
) -> argparse.ArgumentParser:
    made = commands.add_parser(name, help=help_)
    made.add_argument(
        "--data", required=True, type=Path, metavar="DIR", help="where the station keeps its records"
    )
    made.set_defaults(command=does)
    return made


def _run_options(run: argparse.ArgumentParser) -> None:
    run.add_argument("--port", type=int, default=8090)
    run.add_argument(
        "--via", metavar="URL", help="reach the hub through this address instead of the enrolled one"
    )
    run.add_argument(
        "--sms",
        metavar="DEVICE",
        help="send urgent requests by SMS through this modem when the link does not; 'record' writes them down",
    )
    run.add_argument(
        "--sms-after", type=float, default=60.0, metavar="SECONDS", help="how long the link may try before"
    )
    run.add_argument(
        "--lan",
        metavar="ADDRESS",
        help="also serve https at this address of the local network, for devices that were added",
    )
    run.add_argument("--lan-port", type=int, default=8490)


def _device_commands(commands: "_Commands[argparse.ArgumentParser]") -> None:
    group = commands.add_parser(
        "device", help="devices that may open the station's pages over the local network"
    )
    actions = group.add_subparsers(required=True, metavar="ACTION")
    command = _command(
        actions, "add", _add_device, "make a certificate for a device: a file, and the password that opens it"
    )
    command.add_argument("name")
    command.add_argument("--out", required=True, type=Path, metavar="FILE", help="for example tablet.p12")
    _command(actions, "list", _list_devices, "the devices that were added, as JSON")
    command = _command(actions, "revoke", _revoke_device, "let one device in no more; restart the station")
    command.add_argument("name")
    _command(
        actions, "reset", _reset_devices, "let no device in any more; restart the station, then add them anew"
    )


def _staff_commands(commands: "_Commands[argparse.ArgumentParser]") -> None:
    group = commands.add_parser("staff", help="the accounts of this station")
    actions = group.add_subparsers(required=True, metavar="ACTION")
    command = _command(
        actions,
        "reset",
        _reset_pin,
        "give an account that leads a new first PIN, when nobody else can; stop the agent first",
    )
    command.add_argument("login", help="as `staff list` shows it")
    _command(actions, "list", _list_staff, "the accounts as JSON")


def _enrol(options: argparse.Namespace, out: TextIO) -> int:
    enrolled = enrol(options.data, hub=options.hub, code=options.code.strip(), now=clock.now())
    print(f"enrolled: {enrolled.name} ({enrolled.station}), {enrolled.facility_name}", file=out)
    print(f"next: station-agent run --data {options.data}", file=out)
    return OK


def _status(options: argparse.Namespace, out: TextIO) -> int:
    found = {**status(options.data), "lan_authority": authority.fingerprint(options.data)}
    print(json.dumps(found, ensure_ascii=False, indent=2), file=out)
    if found["store"]["problem"] == OtherComputer.code:
        return OTHER_COMPUTER
    return NEEDS_ATTENTION if needs_a_person(found) else OK


def _run(options: argparse.Namespace, out: TextIO) -> int:
    log_to(sys.stderr)
    after = timedelta(seconds=options.sms_after)
    while True:
        supervisor = os.environ.get("NOTIFY_SOCKET")  # noqa: TID251 -- systemd says it there
        agent = Agent(
            Options(
                options.data,
                port=options.port,
                via=options.via,
                supervisor=supervisor,
                sms=options.sms,
                sms_after=after,
            )
        )
        print(f"the station's pages: http://localhost:{options.port}/", file=out, flush=True)
        app, beside = create_app(agent, lan=options.lan), None
        if options.lan:
            files = authority.prepare(options.data, [options.lan], now=clock.now())
            beside = lan.door(app, options.lan, options.lan_port, files)
            print(f"and for devices: https://{options.lan}:{options.lan_port}/", file=out, flush=True)
        lan.run(app, agent.options.host, options.port, beside, over=agent.upkeep.over)
        if not agent.upkeep.over.is_set():
            return OK
        print("the store is damaged: it is set aside and built anew", file=out, flush=True)


def _add_device(options: argparse.Namespace, out: TextIO) -> int:
    sealed, password = authority.issue(options.data, options.name, now=clock.now())
    options.out.touch(mode=0o600)
    options.out.write_bytes(sealed)
    told = {"file": str(options.out), "password": password, "authority": authority.fingerprint(options.data)}
    print(json.dumps(told), file=out)
    return OK


def _list_devices(options: argparse.Namespace, out: TextIO) -> int:
    found = revoking.devices(options.data / authority.FOLDER)
    told = [{"name": each.name, "added": each.added, "revoked": each.revoked} for each in found]
    print(json.dumps(told, ensure_ascii=False, indent=2), file=out)
    return OK


def _revoke_device(options: argparse.Namespace, out: TextIO) -> int:
    try:
        authority.revoke(options.data, options.name)
    except revoking.UnknownDevice as unknown:
        print(str(unknown), file=sys.stderr)
        return REFUSED
    print("restart the station: the device is let in no more", file=out)
    return OK


def _reset_devices(options: argparse.Namespace, out: TextIO) -> int:
    authority.renew(options.data)
    print("restart the station, then add each device anew", file=out)
    return OK


def _reset_pin(options: argparse.Namespace, out: TextIO) -> int:
    print(json.dumps({"login": options.login, "pin": give_first_pin(options.data, options.login)}), file=out)
    return OK


def _list_staff(options: argparse.Namespace, out: TextIO) -> int:
    print(json.dumps(accounts_of(options.data), ensure_ascii=False, indent=2), file=out)
    return OK


if __name__ == "__main__":
    sys.exit(main())
