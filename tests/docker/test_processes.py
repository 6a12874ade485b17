"""The processes of the compose file, with its settings and secrets, started without containers."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from clinic_net.kernel.embedded import EmbeddedServices
from tests.docker.reading import DOCKER, compose, example

pytestmark = pytest.mark.processes

BIN = Path(sys.executable).parent
PATIENCE = 60.0
"""Seconds that a process may take on a busy machine of two cores."""


def _free_port() -> int:
    """Return a free port below the range from which other programs' connections are served."""
    for port in range(18_000, 22_000):
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port
    raise AssertionError("no free port")


@dataclass
class Installation:
    """What the compose file describes, on this machine: addresses replaced, everything else as it says."""

    secrets: Path
    database: str
    services: dict[str, Any]
    ports: dict[str, int]
    running: dict[str, "subprocess.Popen[str]"] = field(default_factory=dict)

    def environment(self, name: str) -> dict[str, str]:
        """Return the variables of a service and nothing else, so that what is missing shows."""
        found = dict(self.services[name]["environment"])
        found["CLINIC_NET_PUBLIC_URL"] = self.url("hub-a")
        return found | {"PATH": f"{BIN}:{os.defpath}", "SECRETS_FOLDER": str(self.secrets)}

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def start(self, name: str, log: Path) -> None:
        """Start a service by the entry point of its image and the command of the compose file."""
        command = list(self.services[name]["command"])
        if name in self.ports:
            command[command.index("--host") + 1] = "127.0.0.1"
            command[command.index("--port") + 1] = str(self.ports[name])
        with log.open("a") as output:
            self.running[name] = subprocess.Popen(
                (str(DOCKER / "with-secrets.sh"), *command),
                env=self.environment(name), stdin=subprocess.DEVNULL, stdout=output, stderr=output, text=True,
            )  # fmt: skip

    def run(self, *arguments: str) -> dict[str, Any]:
        """Run a command of the hub to its end, as ``docker compose run worker clinic-net …`` does."""
        done = subprocess.run(
            (str(DOCKER / "with-secrets.sh"), "clinic-net", *arguments),
            env=self.environment("worker"), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def stop(self, name: str) -> int:
        """End a service as Docker does, within the time that the compose file gives it."""
        process = self.running.pop(name)
        process.terminate()
        return process.wait(float(str(self.services[name]["stop_grace_period"]).removesuffix("s")))

    def waiting_jobs(self) -> int:
        with psycopg.connect(self.database.replace("+psycopg", "")) as connection:
            row = connection.execute(
                "select count(*) from procrastinate_jobs where status = 'todo'"
            ).fetchone()
        assert row is not None
        return int(row[0])


def _until(what: str, condition: Any) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {PATIENCE:.0f} s")


def _ready(url: str) -> bool:
    return httpx.get(f"{url}/readyz", timeout=5).status_code == 200


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Database, Valkey, secrets and schema: what must be there before a node starts."""
    secrets = tmp_path_factory.mktemp("installation") / "secrets"
    subprocess.run((str(DOCKER / "make-secrets.sh"), str(secrets)), check=True, capture_output=True)
    services = compose(example() | {"CLINIC_NET_SECRETS": str(secrets)})["services"]
    with ExitStack() as stack:
        embedded = stack.enter_context(EmbeddedServices.throwaway())
        for name, address in (
            ("CLINIC_NET_DATABASE", embedded.database_url),
            ("CLINIC_NET_REDIS", embedded.redis_url),
        ):
            (secrets / name).chmod(0o600)
            (secrets / name).write_text(address)
        ports = {"hub-a": _free_port()}
        with closing(socket.socket()) as held:
            held.bind(("127.0.0.1", ports["hub-a"]))
            held.listen()
            ports["hub-b"] = _free_port()
        made = Installation(secrets, embedded.database_url, services, ports)
        try:
            assert made.run(*services["migrate"]["command"][1:]) == {"migrated": True}
            yield made
        finally:
            for process in made.running.values():
                process.kill()
                process.wait()


def test_secrets_are_made_once_and_are_long_enough(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    for _ in range(2):
        subprocess.run((str(DOCKER / "make-secrets.sh"), str(folder)), check=True, capture_output=True)
        made = {path.name: path.read_text() for path in folder.iterdir()}
        if _ == 0:
            first = made
    assert made == first
    assert len(made["CLINIC_NET_TOKEN_KEY"]) == len(made["valkey_password"]) == 64
    assert made["postgres_password"] in made["CLINIC_NET_DATABASE"]
    assert folder.stat().st_mode & 0o077 == 0
    assert len({value for value in made.values() if "://" not in value}) == 6


def test_a_variable_that_is_set_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "CLINIC_NET_TOKEN_KEY").write_text("of the file\n")
    (tmp_path / "CLINIC_NET_REDIS").write_text("redis://x:'$(id)\"@h/0\n")
    shell = shutil.which("sh")
    assert shell
    done = subprocess.run(
        (str(DOCKER / "with-secrets.sh"), shell, "-c", 'printf "%s|%s" "$CLINIC_NET_TOKEN_KEY" "$CLINIC_NET_REDIS"'),
        env={"PATH": os.defpath, "SECRETS_FOLDER": str(tmp_path), "CLINIC_NET_TOKEN_KEY": "of the variable"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "of the variable|redis://x:'$(id)\"@h/0"


def test_without_its_secrets_a_node_does_not_start(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "CLINIC_NET_DATABASE").write_text("postgresql+psycopg://nobody@127.0.0.1:1/none")
    environment = installation.environment("hub-a") | {"SECRETS_FOLDER": str(tmp_path)}
    command = (str(DOCKER / "with-secrets.sh"), *installation.services["hub-a"]["command"])
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "CLINIC_NET_TOKEN_KEY" in done.stderr
    assert "nobody@" not in done.stderr


def test_two_nodes_are_one_hub_and_either_may_go(installation: Installation, tmp_path: Path) -> None:
    for name in ("hub-a", "hub-b"):
        installation.start(name, tmp_path / f"{name}.log")
    for name in ("hub-a", "hub-b"):
        _until(name, lambda name=name: _ready(installation.url(name)))

    installation.run("seed", "network")
    password = installation.run("user", "add", "dr.lan", "--role", "doctor", "--facility", "11004")[
        "password"
    ]
    client = installation.run("client", "add", "laboratory", "--scope", "system/*.cruds")

    with httpx.Client(base_url=installation.url("hub-a")) as first:
        signed_in = first.post("/access/v1/session", data={"login": "dr.lan", "password": password})
        assert signed_in.status_code == 200
        cookies = {cookie.name: cookie.value or "" for cookie in first.cookies.jar}
    with httpx.Client(base_url=installation.url("hub-b"), cookies=cookies) as second:
        assert second.get("/access/v1/session").json()["login"] == "dr.lan"

        # A system has no cookie: one that came with a form would make it a page of another site.
        token = httpx.post(
            f"{installation.url('hub-b')}/oauth/token",
            data={"grant_type": "client_credentials", "scope": "system/*.cruds"},
            auth=(client["client_id"], client["client_secret"]),
        ).json()["access_token"]
        created = httpx.post(
            f"{installation.url('hub-b')}/fhir/ServiceRequest",
            json={
                "resourceType": "ServiceRequest",
                "status": "active",
                "intent": "order",
                "subject": {"display": "a person of no record"},
            },
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"},
        )
        assert created.status_code == 201
        assert installation.waiting_jobs() > 0, "nodes run background work that is the worker's"

        installation.start("worker", tmp_path / "worker.log")
        _until("the worker's first work", lambda: installation.waiting_jobs() == 0)

        assert installation.stop("hub-a") == 0, "it ended without leaving in order"
        assert second.get("/access/v1/session").json()["login"] == "dr.lan"
    assert installation.stop("worker") == 0
    assert installation.stop("hub-b") == 0
    logs = "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert password not in logs
    assert (installation.secrets / "CLINIC_NET_TOKEN_KEY").read_text() not in logs
