"""Chromium with an invented camera and microphone, that talks to this machine only."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

from tools.chromium import find_chromium

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream", "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
)  # fmt: skip

STATS = "() => window.clinicCall ? window.clinicCall.stats() : null"
"""What really arrives in a page's call (see ``protocol/browser/call.js``)."""


@contextmanager
def browser() -> Iterator[Browser]:
    """Run a headless Chromium.

    Raises:
        FileNotFoundError: there is none on this machine.
    """
    path = find_chromium()
    if path is None:
        raise FileNotFoundError("no Chromium on this machine: see `python -m tools.chromium --install`")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(path), headless=True, args=list(ARGUMENTS))
        try:
            yield chromium
        finally:
            chromium.close()


def person(chromium: Browser, address: str) -> Page:
    """Open a browser profile of its own for one person, at an address."""
    context = chromium.new_context(
        base_url=address,
        locale="vi-VN",
        viewport={"width": 1280, "height": 900},
        permissions=["camera", "microphone"],
    )
    context.set_default_timeout(20_000)
    return context.new_page()
