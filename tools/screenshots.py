"""``make screenshots``: play the main job and picture its pages, at a telephone's and a desk's width."""

import argparse
import sys
import tempfile
from pathlib import Path
from shutil import rmtree

from playwright.sync_api import Browser, Page

from tools.demo import sample
from tools.demo.__main__ import PEOPLE
from tools.demo.network import STATIONS, DemoNetwork
from tools.demo_check.__main__ import free_port
from tools.demo_check.browser import browser, person
from tools.demo_check.doctor import Doctor, arriving, sign_in
from tools.demo_check.nurse import Nurse
from tools.demo_check.report import until

WIDTHS = {360: 780, 1440: 900}
"""Width of the window: its height. A picture shows what fits, as a person first sees it."""

_SETTLE_MS = 700
"""Pages fetch their live parts after they are loaded."""


def picture(page: Page, name: str, folder: Path) -> None:
    """Take a page at every width, without disturbing it."""
    for width, height in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(_SETTLE_MS)
        file = folder / f"{name}-{width}.png"
        page.screenshot(path=file)
        print(file, flush=True)


def in_english(*pages: Page) -> None:
    """Choose English on each page's site."""
    for page in pages:
        page.goto("/")
        page.get_by_role("button", name="English").click()
        page.get_by_role("button", name="Tiếng Việt").wait_for()


def play(
    network: DemoNetwork, passwords: dict[str, str], chromium: Browser, folder: Path, *, english: bool
) -> None:
    """Play the main job once, stopping for pictures."""
    coordinator, desk = person(chromium, network.hub_url), person(chromium, network.hub_url)
    nurse, doctor = Nurse(person(chromium, network.station_url(0))), Doctor(desk)
    if english:
        in_english(coordinator, desk, nurse.page)
    nurse.page.goto("/sign-in")
    picture(nurse.page, "station-sign-in", folder)
    nurse.sign_in()
    desk.goto("/sign-in")
    picture(desk, "sign-in", folder)
    sign_in(coordinator, "dieuphoi.dienbien", passwords["dieuphoi.dienbien"])
    sign_in(desk, "bacsi.mai", passwords["bacsi.mai"])
    doctor.go_on_duty()

    until("the sample patients are at the hub", lambda: nurse.waiting() == 0, seconds=60)
    nurse.page.goto("/patients")
    nurse.page.fill("input[type=search]", "lo thi hoa")
    nurse.page.locator("a.row", has_text="Lò Thị Hoà").first.click()
    nurse.page.wait_for_url("**/patients/*-*")
    picture(nurse.page, "station-patient", folder)
    nurse.open_visit("Đau ngực, khó thở từ sáng")
    nurse.measure(
        respiratory_rate="26", spo2="90", pulse="132", temperature="38.6", systolic="92", diastolic="60"
    )
    picture(nurse.page, "station-visit", folder)
    nurse.ask_for_doctor("Nhờ bác sĩ xem giúp, nghi nhồi máu cơ tim", "emergency")
    doctor.picture_of(nurse.case)
    picture(desk, "doctor-ring", folder)
    picture(coordinator, "board", folder)
    doctor.accept(nurse.case)
    arriving(desk, "doctor")
    arriving(nurse.page, "station")
    picture(nurse.page, "station-case", folder)
    picture(desk, "consultation", folder)
    coordinator.goto(f"/cases/{nurse.case}")
    picture(coordinator, "case", folder)
    doctor.write_note("Nghi hội chứng vành cấp", "Aspirin, chuyển bệnh viện tỉnh ngay")
    doctor.decide("transfer")
    doctor.end()
    nurse.page.goto("/")
    picture(nurse.page, "station-home", folder)
    nurse.page.goto("/waiting")
    picture(nurse.page, "station-waiting", folder)


def main() -> int:
    """Take the pictures. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--english", action="store_true", help="picture the English pages")
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="clinic-net-pictures-"))
    network = DemoNetwork(folder, hub_port=free_port(), station_ports=(free_port(), free_port()))
    try:
        network.start_hub()
        network.clinic_net("seed", "network")
        passwords = network.add_people(PEOPLE)
        for index, site in enumerate(STATIONS):
            network.enrol(index, site)
            sample.enter_now(network.station_data(index))
            network.start_agent(index)
        with browser() as chromium:
            play(network, passwords, chromium, given.to, english=given.english)
    finally:
        network.stop()
    rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
