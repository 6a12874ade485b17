"""``clinic-net``: run the hub, and what an operator does to it from a terminal."""

import argparse
import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from datetime import UTC, timedelta
from functools import partial
from pathlib import Path

from pydantic import ValidationError

import clinic_net.worker  # whoever announces news imports its subscribers
from clinic_net import processes, serving
from clinic_net.access import commands as accounts
from clinic_net.access import service as access
from clinic_net.access.commands import OPERATOR
from clinic_net.access.oauth import commands as client_commands
from clinic_net.app import create_app
from clinic_net.audit import command as audit
from clinic_net.bench import audit as bench_audit
from clinic_net.bench import command as bench
from clinic_net.bench import seeding
from clinic_net.bench.sync import command as bench_sync
from clinic_net.clinical import triage
from clinic_net.directory import service as directory
from clinic_net.fhir.definitions import resource_types
from clinic_net.kernel import logging
from clinic_net.kernel.data_keys import WrongMasterKey
from clinic_net.kernel.embedded import DataFolderUnusable, EmbeddedServices, EmbeddedUnavailable
from clinic_net.kernel.embedded.keys import retire, rotate
from clinic_net.kernel.errors import Refusal
from clinic_net.kernel.hub import Hub, open_hub
from clinic_net.kernel.migrations import migrate
from clinic_net.kernel.settings import HubSettings
from clinic_net.privacy import commands as privacy
from clinic_net.records import service as records
from clinic_net.sync import commands as feeds

OK, REFUSED = 0, 1
"""Exit codes; argparse itself exits with 2."""


class _Unready(Exception):
    """The command cannot run as things are; the message says what to change."""


def _remembered() -> Path:
    """Return the file that names the data folder of the last hub started here by this person."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")  # noqa: TID251 -- XDG
    return Path(state) / "clinic-net" / "data"


def _data_folder(given: Path | None, configured: str | None) -> Path:
    """Return the data folder: as given, as configured, of the last hub started here, or ``clinic-net-data``."""
    if given is not None:
        return given
    if configured:
        return Path(configured)
    remembered = _remembered()
    if remembered.is_file():
        return Path(remembered.read_text("utf-8").strip())
    return Path("clinic-net-data")


def _read_settings(given: dict[str, object]) -> HubSettings:
    """Return the settings: ``given``, and the rest from the environment.

    Raises:
        _Unready: names the variables that are missing or wrong, never their values.
    """
    try:
        return HubSettings(**given)  # type: ignore[arg-type]
    except ValidationError as invalid:
        wrong = ", ".join(f"CLINIC_NET_{str(error['loc'][0]).upper()}" for error in invalid.errors())
        raise _Unready(f"settings are missing or wrong: {wrong}") from None


@contextmanager
def _settings(arguments: argparse.Namespace, **overrides: object) -> Iterator[HubSettings]:
    """Give the settings from the environment; with no database configured, start the embedded services."""
    given = {name: value for name, value in overrides.items() if value is not None}
    if os.environ.get("CLINIC_NET_DATABASE"):  # noqa: TID251 -- decides which settings exist at all
        yield _read_settings(given)
        return
    folder = _data_folder(arguments.data, os.environ.get("CLINIC_NET_DATA"))  # noqa: TID251 -- as above
    try:
        with EmbeddedServices(folder) as services, services.watched():
            migrate(services.database_url)
            if arguments.command == "serve":
                remembered = _remembered()
                remembered.parent.mkdir(parents=True, exist_ok=True)
                remembered.write_text(f"{folder.absolute()}\n", "utf-8")
            yield _read_settings({**services.settings, **given})
    except (DataFolderUnusable, EmbeddedUnavailable) as problem:
        raise _Unready(str(problem)) from problem


@asynccontextmanager
async def _opened(arguments: argparse.Namespace) -> AsyncIterator[Hub]:
    with _settings(arguments) as settings:
        async with AsyncExitStack() as stack:
            try:
                hub = await stack.enter_async_context(open_hub(settings))
            except WrongMasterKey as wrong:
                raise _Unready(str(wrong)) from None
            yield hub


def _say(arguments: argparse.Namespace, facts: dict[str, object]) -> int:
    print(json.dumps(facts, ensure_ascii=False, default=str))
    return OK if facts.get("ok", True) else REFUSED


def _end_in_order() -> None:
    """Let SIGTERM end a long-running command as Ctrl-C does: by leaving every ``with``.

    uvicorn raises the signal again once it has shut down; by default that would end the process on the spot, and
    leave the embedded servers running. A shell without job control starts background programs deaf to SIGINT.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


def serve(arguments: argparse.Namespace) -> int:
    """Run the hub until it is told to stop."""
    _end_in_order()
    if arguments.lifeline is not None:
        processes.end_with_parent(arguments.lifeline)
    if bool(arguments.tls_cert) != bool(arguments.tls_key):
        raise _Unready("--tls-cert and --tls-key belong together")
    address = f"{'https' if arguments.tls_cert else 'http'}://{arguments.host}:{arguments.port}"
    configured = os.environ.get("CLINIC_NET_PUBLIC_URL")  # noqa: TID251 -- the flag only fills a gap
    unnamed = {} if configured else {"public_url": address, "follow_host": True}
    with _settings(arguments, **unnamed) as settings:
        if arguments.processes > 1:
            return _serve_many(arguments, settings, address)
        app = create_app(settings, with_worker=not arguments.no_worker)
        if arguments.lifeline is None:
            print(json.dumps({"serving": address, "data": str(settings.data or "")}), flush=True)
        shared = arguments.lifeline is not None
        serving.serve(
            app,
            sockets=[processes.shared_socket(arguments.host, arguments.port)] if shared else None,
            host=arguments.host,
            port=arguments.port,
            trusted_proxies=arguments.trusted_proxy or ["127.0.0.1"],
            ssl_certfile=arguments.tls_cert,
            ssl_keyfile=arguments.tls_key,
        )
    return OK


def _serve_many(arguments: argparse.Namespace, settings: HubSettings, address: str) -> int:
    """Run several processes on one port; the first of them also works in the background."""
    with closing(processes.shared_socket(arguments.host, arguments.port)):
        print(json.dumps({"serving": address, "data": str(settings.data or "")}), flush=True)
        command = ["serve", "--host", arguments.host, "--port", str(arguments.port)]
        for proxy in arguments.trusted_proxy:
            command += ["--trusted-proxy", proxy]
        if arguments.tls_cert:
            command += ["--tls-cert", str(arguments.tls_cert), "--tls-key", str(arguments.tls_key)]
        quiet = [*command, "--no-worker"]
        first = quiet if arguments.no_worker else command
        environment = processes.environment_of(settings)
        return processes.run(quiet, first=first, count=arguments.processes, environment=environment)


def run_worker(arguments: argparse.Namespace) -> int:
    """Run a worker until it is told to stop."""
    _end_in_order()

    async def work() -> None:
        async with _opened(arguments) as hub:
            await clinic_net.worker.run(hub)

    with asyncio.Runner() as runner:
        runner.run(work())
    return OK


def run_migrate(arguments: argparse.Namespace) -> int:
    """Bring the database to this release's schema."""
    with _settings(arguments) as settings:
        migrate(settings.database)
    return _say(arguments, {"migrated": True})


def rotate_keys(arguments: argparse.Namespace) -> int:
    """Make a new token key and a new identifier key; what the old ones made still counts until `keys retire`.

    Restart every process: the first that starts wraps the data keys by the new key and makes another to seal with.
    """
    if os.environ.get("CLINIC_NET_DATABASE"):  # noqa: TID251 -- then the settings are somebody else's to keep
        names = ("CLINIC_NET_TOKEN_KEY", "CLINIC_NET_IDENTIFIER_KEY")
        return _say(arguments, {name: secrets.token_urlsafe(32) for name in names})
    rotate(_data_folder(arguments.data, os.environ.get("CLINIC_NET_DATA")))  # noqa: TID251 -- as above
    return _say(
        arguments,
        {"rotated": True, "next": "restart every process; after three days: clinic-net keys retire"},
    )


def retire_keys(arguments: argparse.Namespace) -> int:
    """Forget the keys before these: nothing that they signed or wrapped counts any more. Restart every process."""
    folder = _data_folder(arguments.data, os.environ.get("CLINIC_NET_DATA"))  # noqa: TID251 -- as above

    async def wrap() -> None:
        async with _opened(arguments):  # opening wraps every data key by the key that stays
            pass

    if not os.environ.get("CLINIC_NET_DATABASE"):  # noqa: TID251 -- as above
        asyncio.run(wrap())
    return _say(arguments, {"retired": retire(folder)})


async def enrol_code(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Issue a one-time code with which a station registers its key."""
    now = hub.now()
    async with hub.sessions() as session, session.begin():
        site = await directory.site(session, arguments.site, now.date())
        code, expires = await access.issue_code(
            session,
            site.code,
            by=OPERATOR,
            now=now,
            key=hub.settings.token_key,
            lifetime=timedelta(hours=arguments.hours),
        )
    return {
        "code": code,
        "expires": expires.astimezone(UTC).isoformat(),
        "site": site.code,
        "name": site.name,
    }


async def revoke_station(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Revoke a station's key: its sockets close within 10 s, it gets no token any more."""
    async with hub.sessions() as session, session.begin():
        await access.revoke_device(session, site=arguments.site, by=OPERATOR, now=hub.now())
    return {"revoked": arguments.site}


async def reindex(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Make what resources are found by anew from what is stored; a line of progress a second."""
    types = arguments.type or sorted(resource_types())
    async with hub.sessions() as session, session.begin():
        run = await records.begin_reindex(session, types, by=OPERATOR, now=hub.now())
    told, done = hub.now(), -1
    while True:
        async with hub.sessions() as session, session.begin():
            step = await records.step_of_reindex(session, run, now=hub.now())
        if step is None or step.finished is not None:
            break
        if hub.now() - told >= timedelta(seconds=1):
            told = hub.now()
            _say(arguments, _shown(step))
        await asyncio.sleep(0.2 if step.done == done else 0)  # somebody writes what is next, or nobody waits
        done = step.done
    async with hub.sessions() as session, session.begin():
        found = await records.progress_of_reindex(session, run)
    assert found is not None
    return _shown(found)


def _shown(progress: records.ReindexProgress) -> dict[str, object]:
    counts = ("state", "total", "done", "changed", "failed")
    return {name: getattr(progress, name) for name in counts}


def run_triage(arguments: argparse.Namespace) -> int:
    """Read one JSON object from standard input and print how urgent it is."""
    try:
        given = json.load(sys.stdin)
    except ValueError:
        print(json.dumps({"error": "malformed-json"}), file=sys.stderr)
        return REFUSED
    try:
        result = triage.assess(arguments.chart, triage.read_vitals(given))
    except triage.InvalidVitals as invalid:
        issues = [{"code": issue.code, "field": issue.field} for issue in invalid.issues]
        print(json.dumps({"error": invalid.code, "issues": issues}), file=sys.stderr)
        return REFUSED
    print(result.model_dump_json())
    return OK


_Task = Callable[[argparse.Namespace, Hub], Awaitable[dict[str, object]]]


def _with_hub(task: _Task) -> Callable[[argparse.Namespace], int]:
    """Make a command of something that needs an open hub and tells facts."""

    def command(arguments: argparse.Namespace) -> int:
        async def work() -> dict[str, object]:
            async with _opened(arguments) as hub:
                return await task(arguments, hub)

        return _say(arguments, asyncio.run(work()))

    return command


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    top = argparse.ArgumentParser(prog="clinic-net", description="The hub of a national telehealth network.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--data", type=Path, help="folder of the embedded database and Valkey")
    shared.add_argument("--json", action="store_true", help="print JSON (the default)")

    def add(
        within: "argparse._SubParsersAction[argparse.ArgumentParser]",
        name: str,
        run: Callable[[argparse.Namespace], int],
    ) -> argparse.ArgumentParser:
        made = within.add_parser(name, parents=[shared], help=(run.__doc__ or "").strip())
        made.set_defaults(run=run)
        return made

    def group(name: str, description: str) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
        return commands.add_parser(name, help=description).add_subparsers(
            dest="action", required=True, metavar="ACTION"
        )

    def task(function: _Task) -> Callable[[argparse.Namespace], int]:
        made = _with_hub(function)
        made.__doc__ = function.__doc__
        return made

    serving.add_arguments(add(commands, "serve", serve))
    add(commands, "worker", run_worker)
    add(commands, "migrate", run_migrate)
    add(commands, "triage", run_triage).add_argument("--chart", default="auto", choices=sorted(triage.CHARTS))

    made = add(commands, "reindex", task(reindex))
    made.add_argument(
        "--type", action="append", metavar="TYPE", help="a resource type; may be given several times"
    )
    measures = group("bench", "measure")
    for name, work in (("records", bench), ("audit", bench_audit), ("sync", bench_sync)):
        work.add_arguments(add(measures, name, work.run))
    seeding.add_commands(partial(add, group("seed", "fill with invented data")), task)
    people = group("user", "people who sign in")
    add(people, "disable", task(accounts.disable_user)).add_argument("login")
    add(people, "reset", task(accounts.reset_user)).add_argument("login")
    accounts.describe_person(add(people, "add", task(accounts.add_user)))
    client_commands.add_link_arguments(add(people, "link", task(client_commands.link_user)))
    add(people, "unlink", task(client_commands.unlink_user)).add_argument("login")
    clients = group("client", "systems and programs that use the API")
    client_commands.add_arguments(add(clients, "add", task(client_commands.add_client)))
    add(clients, "disable", task(client_commands.disable_client)).add_argument("client", help="its id")
    privacy.add_commands(group, add, task)
    keys = group("keys", "the keys that sign tokens and wrap data keys")
    add(keys, "rotate", rotate_keys)
    add(keys, "retire", retire_keys)
    _add_stations(partial(add, group("station", "commune stations")), task)
    feeds.add_push_commands(partial(add, group("sync", "what stations push")), task)
    audit.add_arguments(partial(add, group("audit", "the audit trail: verify it, watch over it")), task, _say)
    return top


def _add_stations(add: Callable[..., argparse.ArgumentParser], task: Callable[..., object]) -> None:
    made = add("enrol-code", task(enrol_code))
    made.add_argument("site", help="site code, for example 03325-01")
    made.add_argument("--hours", type=float, default=72, help="how long the code is valid")
    made = add("revoke", task(revoke_station))
    made.add_argument("site")
    feeds.add_commands(add, task)


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = parser().parse_args(argv)
    logging.configure(json=True)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except (_Unready, processes.AddressTaken) as unready:
        print(str(unready), file=sys.stderr)
    except Refusal as refusal:
        print(json.dumps({"error": refusal.code, "message": refusal.message}), file=sys.stderr)
    except KeyboardInterrupt:
        return OK
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
