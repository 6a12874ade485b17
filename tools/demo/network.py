"""The demo's network: its folders, ports, people and programs."""

import json
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from tools.demo import staff
from tools.demo.programs import BIN, Program, run, wait_for

STATIONS = ("03325-01", "03163-01")
"""Mường Phăng and Mường Toong, two communes of Điện Biên (province 11)."""


@dataclass(frozen=True)
class Person:
    """Somebody who signs in at the hub."""

    login: str
    role: str
    name: str
    facility: str
    specialties: tuple[str, ...] = ()


class DemoNetwork:
    """A hub on ``hub_port`` and a station on each of ``station_ports``, below ``folder``.

    The first station reaches the hub ``via`` another address, where a link can be cut.
    """

    def __init__(
        self, folder: Path, *, hub_port: int, station_ports: tuple[int, ...], via: str | None = None
    ) -> None:
        self.folder = folder
        self.hub_url = f"http://127.0.0.1:{hub_port}"
        self.hub_data = folder / "hub"
        self.station_ports = station_ports
        self._log_settings = {"CLINIC_NET_DATA": str(self.hub_data)}
        self.hub = Program(
            "hub",
            [str(BIN / "clinic-net"), "serve", "--port", str(hub_port), "--data", str(self.hub_data)],
            folder / "logs" / "hub.log",
            environment={
                "CLINIC_NET_MFA_ROLES": "[]"
            },  # nobody has a telephone to enrol: said where it is announced
        )
        self.agents = [
            Program(
                f"station {index + 1}",
                [
                    str(BIN / "station-agent"),
                    "run",
                    "--data",
                    str(self.station_data(index)),
                    "--port",
                    str(port),
                    *(("--via", via) if via and index == 0 else ()),
                ],
                folder / "logs" / f"station-{index + 1}.log",
            )
            for index, port in enumerate(station_ports)
        ]

    def station_data(self, index: int) -> Path:
        return self.folder / f"station-{index + 1}"

    def station_url(self, index: int) -> str:
        return f"http://127.0.0.1:{self.station_ports[index]}"

    def start_hub(self) -> None:
        """Start the hub and wait until it is ready."""
        self.hub.start()
        wait_for("the hub", f"{self.hub_url}/readyz", program=self.hub)

    def start_agent(self, index: int) -> None:
        """Start a station's agent and wait until its pages answer."""
        self.agents[index].start()
        wait_for(f"station {index + 1}", f"{self.station_url(index)}/healthz", program=self.agents[index])

    def stop(self) -> None:
        """Stop everything, stations first."""
        for program in (*self.agents, self.hub):
            program.stop()

    def clinic_net(self, *arguments: str) -> dict[str, object]:
        """Run an operator's command against this hub's data."""
        return run("clinic-net", *arguments, "--data", str(self.hub_data))

    def enrol(self, index: int, site: str, *, hub_url: str | None = None) -> None:
        """Give a station its identity, as a technician would, and its nurses their accounts."""
        code = str(self.clinic_net("station", "enrol-code", site)["code"])
        run(
            "station-agent", "enrol", "--hub", hub_url or self.hub_url, "--code", code,
            "--data", str(self.station_data(index)),
        )  # fmt: skip
        staff.add_now(self.station_data(index))

    def add_people(self, people: tuple[Person, ...]) -> dict[str, str]:
        """Create the people and return their passwords by login."""
        passwords: dict[str, str] = {}
        for person in people:
            arguments = ["user", "add", person.login, "--role", person.role]
            arguments += ["--facility", person.facility, "--name", person.name]
            for specialty in person.specialties:
                arguments += ["--specialty", specialty]
            passwords[person.login] = str(self.clinic_net(*arguments)["password"])
        return passwords

    def remember(self, name: str, facts: dict[str, object]) -> None:
        """Keep facts of the demo (logins of invented people) in its own folder, for its owner only."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(json.dumps(facts, ensure_ascii=False, indent=1), "utf-8")

    def start_over(self) -> None:
        """Remove what a preparation that was interrupted left: this network's own folders, nothing else."""
        for path in (self.hub_data, *(self.station_data(index) for index in range(len(self.agents)))):
            rmtree(path, ignore_errors=True)

    def recall(self, name: str) -> dict[str, object] | None:
        path = self.folder / name
        return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else None
