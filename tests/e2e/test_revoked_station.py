"""An operator revokes a station's key: it is let go at once, works on alone, and may come back with a new code."""

import time

import pytest

from tests.e2e.support import Network, call, json_of, until

pytestmark = pytest.mark.processes

SOCKETS = "clinic_net_signal_sockets"
PROMISED_S = 10.0
NEEDS_ATTENTION = 1
"""Exit code of ``station-agent status``."""


def test_a_revoked_station_is_let_go_within_ten_seconds_and_works_on_alone_until_it_is_enrolled_anew(
    network: Network,
) -> None:
    site = network.sites[1]
    nurse = site.start()
    before = nurse.register("Vàng Thị Trước")
    until("nothing waits", lambda: nurse.waiting() == 0)
    until("the station has its socket", lambda: network.figure(SOCKETS) >= 1)
    sockets = network.figure(SOCKETS)

    revoked = call("clinic-net", "station", "revoke", site.code, "--data", str(network.demo.hub_data))
    began = time.monotonic()
    assert (revoked.code, json_of(revoked)) == (0, {"revoked": site.code})
    until("its socket is closed", lambda: network.figure(SOCKETS) == sockets - 1, seconds=PROMISED_S)
    until("the station knows", lambda: nurse.link() == "revoked", seconds=PROMISED_S)
    assert time.monotonic() - began < PROMISED_S

    told = call("station-agent", "status", "--data", str(site.data))
    assert (told.code, json_of(told)["link"]) == (NEEDS_ATTENTION, "revoked")
    bar = nurse.web.get("/status-bar").text  # the head of every page
    assert "Bị mạng chặn" in bar
    assert "Mạng không còn chấp nhận máy này" in bar

    alone = nurse.register("Vàng Thị Sau")
    assert nurse.web.get(f"/patients/{alone}").status_code == 200
    nurse.web.post("/waiting/try").raise_for_status()
    time.sleep(1)
    assert nurse.link() == "revoked"
    assert nurse.waiting() == 1
    assert network.read("Patient", before) == 200
    assert network.read("Patient", alone) == 404, "a revoked station hands over nothing"

    site.stop()
    fresh = str(network.demo.clinic_net("station", "enrol-code", site.code)["code"])
    assert site.enrol(fresh).code == 0
    nurse = site.start()
    until("what waited has gone", lambda: nurse.waiting() == 0)
    assert network.missing(site.acknowledged()) == []
    assert network.read("Patient", alone) == 200
    assert call("station-agent", "status", "--data", str(site.data)).code == 0
