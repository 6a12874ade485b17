"""Three days of work reach the hub over a link that cuts, repeats and delays, while both programs are killed."""

import json
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from clinic_net.bench.communes import Commune, Resource
from clinic_net.bench.weather import Fault, Mishap
from tests.e2e.bad_link import bad_link
from tests.e2e.support import Network, Site, until
from tools.demo.programs import BIN, Program

pytestmark = pytest.mark.processes

RECORDS = 500
"""Of 72 hours: 20 visits of 8 records a day."""
MISHAPS = (
    Mishap(Fault.TWICE), Mishap(Fault.CUT_ANSWER, 40), Mishap(Fault.CUT_REQUEST, 900), Mishap(Fault.LATE),
    Mishap(Fault.SHORT_ANSWER, 120), Mishap(Fault.PORTAL),
)  # fmt: skip


def saved_offline(site: Site, seed: int) -> list[Resource]:
    """Save three days of a commune's work in a station whose agent does not run."""
    presses, count = [], 0
    for together in Commune(seed).work():
        presses.append(together[: RECORDS - count])
        count += len(presses[-1])
        if count == RECORDS:
            break
    lines = "".join(f"{json.dumps(press, ensure_ascii=False)}\n" for press in presses)
    done = subprocess.run(
        (sys.executable, "-m", "station_agent.measured", "save", "--data", str(site.data)),
        input=lines, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == {"saved": RECORDS}
    return [resource for press in presses for resource in press]


def test_three_days_of_work_arrive_once_over_a_bad_link_while_agent_and_hub_are_killed(
    network: Network,
) -> None:
    site = network.sites[4]
    told = site.enrol()
    assert told.code == 0, told.err
    saved = saved_offline(site, 4711)
    everything = {(each["resourceType"], each["id"]): 1 for each in saved}
    assert network.missing(everything) != []

    with bad_link(urlsplit(network.url).port or 80) as link:
        agent = Program(
            "the agent behind a bad link",
            [
                str(BIN / "station-agent"), "run", "--data", str(site.data),
                "--port", str(network.demo.station_ports[4]), "--via", link.url,
            ],
            network.demo.folder / "logs" / "bad-link.log",
        )  # fmt: skip
        link.weather.rate = 64_000 / 8
        link.weather.mishaps.extend(MISHAPS[:3])
        agent.start()
        try:
            until("something went", lambda: link.up > 8_000, seconds=90)
            agent.kill()
            network.restart_hub()
            link.weather.mishaps.extend(MISHAPS[3:])
            agent.start()  # whose waits between attempts begin anew
            until("more went", lambda: link.up > 20_000, seconds=90)
            agent.kill()
            agent.start()
            until("all arrived", lambda: not network.missing(everything), seconds=90, every=1.0)
        finally:
            agent.stop()
    assert network.missing(everything) == []
