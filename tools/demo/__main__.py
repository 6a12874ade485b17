"""``make demo``: a hub and two stations with invented people, until Ctrl-C."""

import argparse
import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from tools.demo import sample
from tools.demo.link import Link
from tools.demo.network import STATIONS, DemoNetwork, Person
from tools.demo.programs import DemoFailed, step
from tools.demo.staff import NURSES
from tools.demo.switch import Switch

PEOPLE = (
    Person("bacsi.mai", "doctor", "BS. Nguyễn Thu Mai", "11004", ("emergency", "internal", "general")),
    Person("bacsi.son", "doctor", "BS. Lò Văn Sơn", "11002", ("emergency", "internal", "general")),
    Person("bacsi.tim", "doctor", "BS. Trần Minh Tâm", "11001", ("cardiology", "internal")),
    Person("dieuphoi.dienbien", "coordinator", "Hoàng Ngọc Lan", "11001"),
    Person("vanhanh.dienbien", "operator", "Phạm Quốc Hùng", "11001"),
)
_READY = "demo.json"
COMMUNE = 400


def prepare(network: DemoNetwork) -> None:
    """Fill an empty network: directory, people, enrolled stations, patients. Quick when it was done before."""
    if network.recall(_READY) is not None:
        return
    step("directory: 34 provinces, 3,321 communes, 12,000 sites", lambda: _run(network, "seed", "network"))
    passwords: dict[str, str] = {}
    step("people who sign in", lambda: passwords.update(network.add_people(PEOPLE)))

    def stations() -> None:
        for index, site in enumerate(STATIONS):
            network.enrol(index, site)
            sample.enter_now(network.station_data(index))

    step("two stations with their patients", stations)
    step(
        f"the record of a commune of {COMMUNE} people, which {STATIONS[0]} fetches when it comes up",
        lambda: _run(network, "seed", "commune", STATIONS[0], "--people", str(COMMUNE)),
    )
    network.remember(_READY, {"passwords": passwords})


def _run(network: DemoNetwork, *arguments: str) -> None:
    network.clinic_net(*arguments)


def announce(network: DemoNetwork, switch: Switch) -> None:
    """Print where everything is."""
    facts = network.recall(_READY) or {}
    passwords = facts["passwords"]
    assert isinstance(passwords, dict)
    print()
    print(f"  hub               {network.hub_url}")
    for index, site in enumerate(STATIONS):
        print(f"  station {site}  {network.station_url(index)}")
    print(f"  link of {STATIONS[0]}  {switch.url}  cut it, slow it down, connect it again")
    print()
    print("  sign in at the hub as")
    for person in PEOPLE:
        print(f"    {person.role:<12} {person.login:<18} {passwords[person.login]}")
    print()
    print("  sign in at a station as")
    for nurse in NURSES:
        print(f"    nurse        {nurse.name:<18} PIN {nurse.pin}")
    print()
    print("  !! DEMONSTRATION: every role signs in with a password alone (CLINIC_NET_MFA_ROLES=[]).")
    print("  !! A real hub asks coordinators, operators and auditors for a second factor.")
    print()
    print("  1. As a doctor, sign in and go on duty.")
    print("  2. At a station, open a visit, enter vital signs, ask for a doctor.")
    print("  3. Cut the link of the first station, go on working there, connect it again.")
    print("  Ctrl-C stops everything; the data stays in", network.folder, flush=True)


def main() -> int:
    """Run the demo; return its exit code."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, default=Path("demo-data"))
    arguments.add_argument("--port", type=int, default=8080)
    arguments.add_argument("--station-port", type=int, default=8090)
    arguments.add_argument(
        "--link-port",
        type=int,
        default=8095,
        help="where the first station's link runs; its switch is the next",
    )
    given = arguments.parse_args()
    link = Link(given.port, given.link_port)
    switch = Switch(link, station=STATIONS[0], port=given.link_port + 1)
    network = DemoNetwork(
        given.data.absolute(),
        hub_port=given.port,
        station_ports=(given.station_port, given.station_port + 1),
        via=f"http://127.0.0.1:{given.link_port}",
    )
    asked_to_stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_stop.set())
    began = time.monotonic()
    started = ExitStack()
    try:
        if network.recall(_READY) is None:
            network.start_over()
        step("hub", network.start_hub)
        prepare(network)

        link.start()
        started.callback(link.stop)
        switch.start()
        started.callback(switch.stop)

        def agents() -> None:
            for index in range(len(STATIONS)):
                network.start_agent(index)

        step("stations", agents)
        print(f"  ready after {time.monotonic() - began:.1f} s", flush=True)
        announce(network, switch)
        while not asked_to_stop.wait(1):
            for program in (network.hub, *network.agents):
                if not program.is_running():
                    raise DemoFailed(f"{program.name} ended by itself; its log is {program.log}")
    except DemoFailed as failure:
        print(f"  {failure}", file=sys.stderr)
        return 1
    finally:
        network.stop()
        started.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
