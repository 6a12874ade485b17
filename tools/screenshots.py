"""``make screenshots``: pictures of a running demo's pages, at a telephone's and a desk's width.

Without options it looks for the demo where ``make demo`` leaves it. ``--visit LOGIN:PATH`` adds a page of one
person, such as a consultation; ``--station URL/PATH`` replaces the stations' start pages.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Error, Page, sync_playwright

from tools.chromium import SKIPPED, find_chromium

WIDTHS = (360, 1440)
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)  # fmt: skip
_SETTLE_MS = 1_200
"""Pages fetch their live parts after they are loaded."""


@dataclass(frozen=True)
class Visit:
    """A page to be pictured: ``login`` None needs no sign-in."""

    base: str
    path: str
    name: str
    login: str | None = None
    password: str = ""


def visits(hub: str, stations: list[str], people: dict[str, str], more: list[str]) -> Iterator[Visit]:
    """Return what to picture: the entrance, everybody's own page, the pages asked for, the stations."""
    yield Visit(hub, "/sign-in", "hub-sign-in")
    for login, password in people.items():
        yield Visit(hub, "/", f"hub-{login}", login, password)
    for wanted in more:
        login, _, path = wanted.partition(":")
        yield Visit(hub, path, f"hub-{login}{_slug(path)}", login, people[login])
    for index, address in enumerate(stations, start=1):
        base, slash, path = re.fullmatch(r"(https?://[^/]+)(/?)(.*)", address).groups()  # type: ignore[union-attr]  # checked by the parser
        yield Visit(base, f"{slash or '/'}{path}", f"station-{index}{_slug(path)}")


def _slug(path: str) -> str:
    """Return a path as part of a file name; identifiers of cases say nothing in it."""
    parts = [part for part in path.strip("/").split("/") if part and not re.fullmatch(r"[0-9a-f-]{36}", part)]
    return "".join(f"-{part}" for part in parts)


def take(browser: Browser, visit: Visit, folder: Path) -> None:
    """Picture one page at every width.

    Raises:
        playwright.sync_api.Error: it cannot be opened.
    """
    context = browser.new_context(base_url=visit.base, locale="vi-VN", timezone_id="Asia/Ho_Chi_Minh")
    page = context.new_page()
    if visit.login is not None:
        _sign_in(page, visit.login, visit.password)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(visit.path)
        page.wait_for_timeout(_SETTLE_MS)
        file = folder / f"{visit.name}-{width}.png"
        page.screenshot(path=file, full_page=True)
        print(file)
    context.close()


def _sign_in(page: Page, login: str, password: str) -> None:
    page.goto("/sign-in")
    page.fill("input[name=login]", login)
    page.fill("input[name=password]", password)
    page.click("main button")
    page.wait_for_selector("form[action='/sign-out']")


def _people(given: list[str], data: Path) -> dict[str, str]:
    """Return passwords by login: those given, else those that the demo remembers."""
    if given:
        return dict(each.split("=", 1) for each in given)
    remembered = data / "demo.json"
    return dict(json.loads(remembered.read_text("utf-8"))["passwords"]) if remembered.is_file() else {}


def _address(text: str) -> str:
    if re.fullmatch(r"https?://[^/]+(/.*)?", text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no http address")
    return text


def _credential(text: str) -> str:
    if "=" not in text:
        raise argparse.ArgumentTypeError("give LOGIN=PASSWORD")
    return text


def main() -> int:
    """Take the pictures. Returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hub", default="http://127.0.0.1:8080", type=_address)
    parser.add_argument("--station", action="append", type=_address, metavar="URL")
    parser.add_argument("--as", action="append", type=_credential, metavar="LOGIN=PASSWORD", dest="people")
    parser.add_argument("--visit", action="append", default=[], metavar="LOGIN:PATH")
    parser.add_argument("--data", type=Path, default=Path("demo-data"), help="folder of the demo")
    parser.add_argument("--to", type=Path, default=Path("docs/pictures"))
    given = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        print(SKIPPED, file=sys.stderr)
        return 1
    stations = given.station or ["http://127.0.0.1:8090", "http://127.0.0.1:8091"]
    people = _people(given.people or [], given.data)
    if unknown := [each for each in given.visit if each.partition(":")[0] not in people]:
        parser.error(f"nobody of that name: {unknown[0]}")
    given.to.mkdir(parents=True, exist_ok=True)
    failed = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for visit in visits(given.hub, stations, people, given.visit):
            try:
                take(browser, visit, given.to)
            except Error as error:
                print(f"{visit.name}: {error.message.splitlines()[0]}", file=sys.stderr)
                failed += 1
        browser.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
