"""A technician types codes that do not work, at a real terminal, until one does."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from station_agent import keys
from tests.e2e.support import Network, Site, Told, call, json_of

pytestmark = pytest.mark.processes

REFUSED, NOT_ENROLLED = 3, 5
"""Exit codes of ``station-agent``."""


@pytest.fixture(scope="module")
def site(network: Network) -> Site:
    """A station that nobody has enrolled yet."""
    return network.sites[3]


def short_lived_code(network: Network, site: Site) -> str:
    """Return a code that has expired before anybody can type it."""
    return str(network.demo.clinic_net("station", "enrol-code", site.code, "--hours", "0.00001")["code"])


def code_for(network: Network, site: Site) -> str:
    with closing(network.signed_in("operator")) as operator:
        return str(operator.post(f"/fleet/v1/stations/{site.code}/codes").raise_for_status().json()["code"])


def registered(network: Network) -> list[str]:
    """Return the stations that the operator sees."""
    with closing(network.signed_in("operator")) as operator:
        return [row["site"] for row in operator.get("/fleet/v1/stations").raise_for_status().json()]


def is_refused(told: Told, reason: str, code: str) -> None:
    assert told.code == REFUSED
    assert told.out == ""
    assert told.err.startswith("station-agent: ")
    assert len(told.err.splitlines()) == 1, "a sentence for a technician, no traceback"
    assert reason in told.err
    assert f"[{code}]" in told.err


def holds_no_station(data: Path) -> None:
    """See that nothing was left that another try would stumble over, or that speaks for a station."""
    assert not list(data.glob("*.pem*"))
    run = call("station-agent", "run", "--data", str(data), "--port", "1")
    assert run.code == NOT_ENROLLED
    assert "station-agent enrol" in run.err


def test_codes_that_do_not_work_say_why_and_leave_nothing_and_the_next_good_one_does(
    network: Network, site: Site, tmp_path: Path
) -> None:
    expired = short_lived_code(network, site)
    is_refused(site.enrol(expired), "has expired", "enrolment-code-expired")
    is_refused(site.enrol("ZZZZZ-ZZZZZ"), "does not exist", "enrolment-code-unknown")
    is_refused(site.enrol("?"), "8 to 40 letters and digits", "enrolment-code-shape")
    assert site.code not in registered(network)
    holds_no_station(site.data)
    status = json_of(call("station-agent", "status", "--data", str(site.data)))
    assert (status["link"], status["station"]) == ("unenrolled", None)

    good = code_for(network, site)
    first = site.enrol(good)
    assert (first.code, first.err) == (0, "")
    assert site.code in first.out
    assert site.code in registered(network)

    elsewhere = replace(site, folder=tmp_path / "elsewhere")
    is_refused(elsewhere.enrol(good), "has been used", "enrolment-code-used")
    assert not list(elsewhere.data.glob("*.pem*"))
    own_key = (site.data / keys.FILE_NAME).read_bytes()
    is_refused(site.enrol("YYYYY-YYYYY"), "does not exist", "enrolment-code-unknown")
    assert (site.data / keys.FILE_NAME).read_bytes() == own_key, "who is enrolled stays so"
    assert json_of(call("station-agent", "status", "--data", str(site.data)))["station"] == site.code


def test_a_code_tried_many_times_is_throttled_and_says_how_long(
    network: Network, site: Site, tmp_path: Path
) -> None:
    guessing = replace(site, folder=tmp_path / "guessing")
    tries = [guessing.enrol(f"XXXXX-XXXX{letter}") for letter in "ABCDEF"]
    for told in tries[:5]:
        is_refused(told, "does not exist", "enrolment-code-unknown")
    is_refused(tries[5], "try again in", "too-many")
    assert not list(guessing.data.glob("*.pem*"))
