"""``make demo-check``: the main job, end to end, without a person.

A hub and two stations run as processes of their own, two people sit at headless browsers. One station's link
is cut before its patient is registered; the hub is killed during the call. One JSON line a step, the case's
timeline at the end; exit 1 if a step is missing or a record that a station saw taken is not at the hub.
"""

import argparse
import json
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from shutil import rmtree

import httpx
from playwright.sync_api import Browser, Page

from station_agent.store.database import FILE_NAME, read_only
from tools.demo.__main__ import PEOPLE
from tools.demo.link import Link
from tools.demo.network import STATIONS, DemoNetwork
from tools.demo.programs import DemoFailed
from tools.demo_check.browser import STATS, browser, person
from tools.demo_check.doctor import Doctor, arriving, sign_in
from tools.demo_check.nurse import Nurse
from tools.demo_check.report import Report, StepFailed, until

SIGNAL_LOSS_S = 60
"""A call outlives the loss of a signalling socket for this long (the promise), and longer."""

_ACKNOWLEDGED = "select distinct rtype, id from outbox where leg = 'applied'"


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def running_network(folder: Path, report: Report) -> Iterator[tuple[DemoNetwork, Link, dict[str, str]]]:
    """Start the hub, enrol two stations (the first behind a link that can be cut), start their agents."""
    network = DemoNetwork(folder, hub_port=free_port(), station_ports=(free_port(), free_port()))
    link = Link(int(network.hub_url.rsplit(":", 1)[1]))
    with ExitStack() as cleaning:
        cleaning.callback(network.stop)
        with report.step("hub started"):
            network.start_hub()
        link.start()
        cleaning.callback(link.stop)
        with report.step("directory seeded") as facts:
            facts.update(network.clinic_net("seed", "network"))
        with report.step("people added"):
            passwords = network.add_people(PEOPLE)
        with report.step("stations enrolled"):
            network.enrol(0, STATIONS[0], hub_url=f"http://127.0.0.1:{link.port}")
            network.enrol(1, STATIONS[1])
        with report.step("stations started"):
            network.start_agent(0)
            network.start_agent(1)
        yield network, link, passwords


def play(
    report: Report, network: DemoNetwork, link: Link, passwords: dict[str, str], chromium: Browser
) -> str:
    """Play the main job and return the case's id."""
    coordinator = person(chromium, network.hub_url)
    doctor_page = person(chromium, network.hub_url)
    nurse = Nurse(person(chromium, network.station_url(0)))
    doctor = Doctor(doctor_page)
    with report.step("coordinator watches the board"):
        sign_in(coordinator, "dieuphoi.dienbien", passwords["dieuphoi.dienbien"])
        coordinator.wait_for_selector("#live")
    with report.step("doctor on duty"):
        sign_in(doctor_page, "bacsi.mai", passwords["bacsi.mai"])
        doctor.go_on_duty()
    with report.step("nurse signed in"):
        nurse.sign_in()
    case = ask_offline(report, link, nurse)
    answer(report, link, nurse, doctor, coordinator, case)
    survive(report, network, link, nurse, doctor)
    decide(report, nurse, doctor, coordinator, case)
    other = Nurse(person(chromium, network.station_url(1)))
    other.sign_in()
    ask_online(report, other, doctor)
    return case


def ask_offline(report: Report, link: Link, nurse: Nurse) -> str:
    """With the link cut: register, examine, ask for a doctor. Everything is saved, and waits."""
    with report.step("link cut"):
        until("the station knows the hub", lambda: nurse.link() == "online")
        link.cut()
        until("the station notices", lambda: nurse.link() != "online")
    with report.step("patient registered offline") as facts:
        nurse.register(
            name="Lò Thị Hoà", sex="female", birth_year="1968", cccd="011168004321", allergies="Penicillin",
            address="Bản Che Căn",
        )  # fmt: skip
        facts["waiting"] = nurse.waiting()
    with report.step("vital signs and triage offline") as facts:
        nurse.open_visit("Đau ngực, khó thở từ sáng")
        facts["colour"] = nurse.measure(
            respiratory_rate="26", spo2="90", pulse="132", temperature="38.6", systolic="92", diastolic="60"
        )
        assert facts["colour"] in ("red", "orange"), "a patient this ill is urgent"
    with report.step("doctor asked for offline") as facts:
        nurse.ask_for_doctor("Nhờ bác sĩ xem giúp, nghi nhồi máu cơ tim", "emergency")
        facts["state"] = nurse.state()
        facts["waiting"] = nurse.waiting()
        assert facts["state"] == "waiting", "the request waits for the link"
        assert nurse.waiting() >= 5, "patient, visit, measurements and request wait"
    return nurse.case


def answer(report: Report, link: Link, nurse: Nurse, doctor: Doctor, coordinator: Page, case: str) -> None:
    """The link comes back: the request leaves first, the doctor is rung, sees, accepts; both see and hear."""
    with report.step("link restored, request received"):
        link.restore()
        restored = time.monotonic()
        nurse.wait_state("received", "queued", "ringing", "accepted", seconds=40)
    with report.step("doctor rung, the picture of the case on screen") as facts:
        picture = doctor.picture_of(case)
        facts["seconds_since_link_restored"] = round(time.monotonic() - restored, 2)
        assert "Penicillin" in picture, "the allergy is in the picture"
        facts["lines"] = len(picture.splitlines())
    with report.step("coordinator sees the case without reload"):
        coordinator.wait_for_selector(f'#live a[href="/cases/{case}"]')
    with report.step("doctor accepts"):
        doctor.accept(case)
    with report.step("picture and sound at the doctor") as facts:
        facts.update(arriving(doctor.page, "doctor"))
    with report.step("picture and sound at the station") as facts:
        facts.update(arriving(nurse.page, "station"))
    with report.step("record open beside the call"):
        record = doctor.page.locator("#consultation").inner_text()
        assert "Lò Thị Hoà" in record, "the patient's name is on the page"
        assert "Penicillin" in record, "the allergy is on the page"
    with report.step("everything of the station is at the hub"):
        until("nothing waits", lambda: nurse.waiting() == 0)


def survive(report: Report, network: DemoNetwork, link: Link, nurse: Nurse, doctor: Doctor) -> None:
    """The hub is killed, then the station's link to it is cut for a minute: the call goes on."""
    epoch = doctor.page.evaluate(STATS)["ep"]
    with report.step("hub killed; the call goes on without it") as facts:
        network.hub.kill()
        facts.update(arriving(doctor.page, "doctor without a hub"))
        arriving(nurse.page, "station without a hub")
    with report.step("hub started again, both pages reconnected"):
        network.start_hub()
        until("the doctor's signalling", lambda: _signalling(doctor.page) == "online", seconds=60)
        until("the station's link", lambda: nurse.link() == "online", seconds=60)
    with report.step("signalling lost for a minute; the call goes on") as facts:
        link.cut()
        until("the station notices", lambda: nurse.link() != "online")
        began = time.monotonic()
        while time.monotonic() - began < SIGNAL_LOSS_S:
            arriving(doctor.page, "doctor")
            arriving(nurse.page, "station")
            time.sleep(5)
        link.restore()
        until("the station's link", lambda: nurse.link() == "online", seconds=60)
        facts["lost_for"] = round(time.monotonic() - began, 1)
        facts["rebuilt"] = doctor.page.evaluate(STATS)["ep"] != epoch
        facts.update(arriving(doctor.page, "doctor afterwards"))


def _signalling(page: Page) -> str:
    return str(page.evaluate("() => window.clinicCall.state().signalling"))


def decide(report: Report, nurse: Nurse, doctor: Doctor, coordinator: Page, case: str) -> None:
    """Note, prescription, referral, decision; all of it arrives at the station."""
    with report.step("note written"):
        doctor.write_note("Nghi hội chứng vành cấp", "Aspirin, chuyển bệnh viện tỉnh ngay")
    with report.step("medicine prescribed"):
        doctor.prescribe(
            medicine="Aspirin 81 mg",
            dose="4 viên",
            frequency="một lần, nhai",
            quantity="4",
            unit="viên",
            days="1",
        )
    with report.step("referral sent") as facts:
        place = doctor.refer("Đau ngực, SpO2 thấp, cần can thiệp")
        facts["to"] = place
    with report.step("decided"):
        doctor.decide("transfer")
    with report.step("call ended"):
        doctor.end()
        nurse.wait_state("ended", seconds=30)
    with report.step("note, prescription and referral at the station") as facts:
        facts["letters"] = until(
            "three letters", lambda: found if len(found := nurse.letters()) >= 3 else None
        )
    with report.step("case left the list, referral is on it"):
        coordinator.wait_for_selector(f'#live a[href="/cases/{case}"]', state="detached")
        assert place in coordinator.locator("#live").inner_text(), "the referral is on the board"


def ask_online(report: Report, nurse: Nurse, doctor: Doctor) -> None:
    """The other station, whose link is up: the number that judges the network."""
    with report.step("second station: from the request to a doctor's eyes") as facts:
        doctor.page.goto("/doctor")
        doctor.page.wait_for_selector("#link[data-state=online]")
        nurse.register(name="Quàng Văn Dũng", sex="male", birth_year="1956")
        nurse.open_visit("Ho, khó thở")
        nurse.measure(
            respiratory_rate="24", spo2="93", pulse="104", temperature="38.2", systolic="118", diastolic="76"
        )
        pressed = time.monotonic()
        nurse.ask_for_doctor("Xin hội chẩn", "internal")
        doctor.picture_of(nurse.case)
        facts["request_to_eyes_seconds"] = round(time.monotonic() - pressed, 2)
        doctor.accept(nurse.case)
        doctor.decide("advice")
        doctor.end()
        nurse.wait_state("ended")
        until("nothing waits", lambda: nurse.waiting() == 0)


def compare(report: Report, network: DemoNetwork) -> None:
    """Every record that a station saw acknowledged is at the hub."""
    with report.step("every acknowledged record is at the hub") as facts:
        client = network.clinic_net("client", "add", "demo-check", "--scope", "system/*.rs")
        form = {"grant_type": "client_credentials"}
        secret = (str(client["client_id"]), str(client["client_secret"]))
        token = httpx.post(f"{network.hub_url}/oauth/token", data=form, auth=secret).raise_for_status().json()
        checked, missing = 0, []
        with httpx.Client(
            base_url=f"{network.hub_url}/fhir", headers={"Authorization": f"Bearer {token['access_token']}"}
        ) as fhir:
            for index in range(len(STATIONS)):
                with closing(read_only(network.station_data(index) / FILE_NAME)) as station:
                    for rtype, rid in station.execute(_ACKNOWLEDGED).fetchall():
                        checked += 1
                        if fhir.get(f"/{rtype}/{rid}").status_code != 200:
                            missing.append(f"{rtype}/{rid}")
        facts.update(checked=checked, missing=missing)
        assert checked >= 5, "the station's records were acknowledged"
        assert not missing, "records that were acknowledged are missing"


def tell(report: Report, doctor: Doctor) -> None:
    """Print the case's timeline as the doctor's page shows it."""
    with report.step("timeline") as facts:
        facts["timeline"] = [" ".join(line.split()) for line in doctor.timeline()]
        assert len(doctor.timeline()) >= 8, "requested, received, rung, seen, accepted, media, decided, ended"


def main() -> int:
    """Run the check; return its exit code."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--keep", action="store_true", help="keep the data and logs")
    given = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="clinic-net-check-"))
    report = Report()
    began = time.monotonic()
    try:
        with running_network(folder, report) as (network, link, passwords), browser() as chromium:
            case = play(report, network, link, passwords, chromium)
            compare(report, network)
            page = person(chromium, network.hub_url)
            sign_in(page, "bacsi.mai", passwords["bacsi.mai"])
            page.goto(f"/consultations/{case}")
            tell(report, Doctor(page))
    except (StepFailed, DemoFailed) as failure:
        print(json.dumps({"passed": False, "failed": str(failure), "logs": str(folder / "logs")}), flush=True)
        return 1
    print(
        json.dumps(
            {"passed": True, "steps": len(report.steps), "seconds": round(time.monotonic() - began, 1)}
        )
    )
    if not given.keep:
        rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
