"""What the doctor and the coordinator do at the hub's pages."""

from playwright.sync_api import Page

from tools.demo_check.browser import STATS
from tools.demo_check.report import until


def sign_in(page: Page, login: str, password: str) -> None:
    """Sign in and arrive at one's own page."""
    page.goto("/sign-in")
    page.fill("[name=login]", login)
    page.fill("[name=password]", password)
    page.click("main button.primary")
    page.wait_for_url(lambda url: "sign-in" not in url)


class Doctor:
    """A doctor at a browser."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def go_on_duty(self) -> None:
        """Take calls from now on, on a page that is connected."""
        self.page.click("#duty button")
        self.page.wait_for_selector("#duty.on")
        self.page.wait_for_selector("#link[data-state=online]")

    def picture_of(self, call: str) -> str:
        """Wait for the ring of a case, and return what its picture says."""
        return self.page.locator(f'[data-call="{call}"]').inner_text(timeout=30_000)

    def accept(self, call: str) -> None:
        """Take the call; arrive at the consultation."""
        self.page.click(f'[data-call="{call}"] form.accept button')
        self.page.wait_for_url(f"**/consultations/{call}")

    def write_note(self, assessment: str, plan: str) -> None:
        self.page.fill("#note [name=assessment]", assessment)
        self.page.fill("#note [name=plan]", plan)
        self.page.click("#note button.primary")
        self.page.wait_for_selector("#note .notice.good")

    def prescribe(self, **fields: str) -> None:
        row = self.page.locator("#prescription .rows .medicine-row").first
        for name, value in fields.items():
            row.locator(f"[name={name}]").fill(value)
        self.page.click("#prescription > button.primary")
        self.page.wait_for_selector("#prescription .notice.good")

    def refer(self, reason: str) -> str:
        """Send the patient on to the first place offered; return its name."""
        place = self.page.locator("#referral [name=to_facility] option").first.inner_text()
        self.page.fill("#referral [name=reason]", reason)
        self.page.click("#referral button.primary")
        self.page.wait_for_selector("#referral .notice.good")
        return place

    def decide(self, outcome: str) -> None:
        self.page.click(f"#decision [value={outcome}]")
        self.page.wait_for_selector("#decision .notice.good")

    def end(self) -> None:
        """End the call: the button asks once."""
        self.page.click("#end")
        self.page.click("#end")
        self.page.wait_for_selector("#call[data-phase=ended]")

    def timeline(self) -> list[str]:
        """Return what happened, as the page tells it."""
        self.page.reload()
        return self.page.locator(".timeline li").all_inner_texts()


def arriving(page: Page, what: str, *, seconds: float = 30) -> dict[str, float]:
    """Wait until a page's decoded frames and audio energy both grow; return how much they grew.

    Raises:
        TimeoutError: one of them stood still.
    """
    first = until(f"{what}: a call", lambda: page.evaluate(STATS), seconds=seconds)

    def grown() -> dict[str, float] | None:
        now = page.evaluate(STATS)
        frames, energy = (
            now["framesDecoded"] - first["framesDecoded"],
            now["audioEnergy"] - first["audioEnergy"],
        )
        if frames >= 10 and energy > 0:
            return {
                "frames": frames,
                "audio_energy": round(energy, 6),
                "width": now["width"],
                "epoch": now["ep"],
            }
        return None

    return until(f"{what}: frames and sound", grown, seconds=seconds)
