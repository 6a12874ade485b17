"""What the nurse does at the station's pages."""

from playwright.sync_api import Page

from tools.demo.staff import NURSES, StationNurse
from tools.demo_check.report import until


class Nurse:
    """A nurse at a station's browser."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.visit = ""
        self.case = ""

    def sign_in(self, who: StationNurse = NURSES[0]) -> None:
        """Sign in with a PIN and arrive at the first page."""
        self.page.goto("/sign-in")
        self.page.check(f"[name=login][value={who.login}]", force=True)
        self.page.fill("#pin", who.pin)
        self.page.click("#sign-in button.primary")
        self.page.wait_for_url(lambda url: "/sign-in" not in url)

    def waiting(self) -> int:
        """Return how many records the station says are waiting for the hub."""
        return int(self.page.request.get("/api/status").json()["waiting_total"])

    def link(self) -> str:
        """Return the state of the link as the page's header says it."""
        return str(self.page.request.get("/api/status").json()["link"])

    def register(self, **fields: str) -> None:
        """Register a patient and arrive at the patient's page."""
        page = self.page
        page.goto("/patients/new")
        sex = fields.pop("sex")
        for name, value in fields.items():
            page.fill(f"[name={name}]", value)
        page.check(f"[name=sex][value={sex}]", force=True)
        page.click("#register button.primary")
        page.wait_for_url("**/patients/*-*")

    def open_visit(self, reason: str) -> None:
        """Open a visit for the patient on the page."""
        self.page.fill("form.visit-new [name=reason]", reason)
        self.page.click("form.visit-new button.primary")
        self.page.wait_for_url("**/visits/*")
        self.visit = self.page.url

    def measure(self, **numbers: str) -> str:
        """Enter vital signs, look for danger signs, and return the colour that the page shows."""
        page = self.page
        for name, value in numbers.items():
            page.fill(f"#{name}", value)
        page.check("[name=consciousness][value=A]", force=True)
        page.check("[name=oxygen][value=no]", force=True)
        page.check("[name=signs_looked]", force=True)
        page.wait_for_selector("#triage .triage:not(.none)")
        return (page.locator("#triage .triage").get_attribute("class") or "").split()[1]

    def ask_for_doctor(self, reason: str, specialty: str) -> None:
        """Press the one button; arrive at the case's page."""
        self.page.fill("#reason", reason)
        self.page.select_option("#specialty", specialty)
        self.page.click("button.urgent[formaction]")
        self.page.wait_for_url("**/cases/*")
        self.case = self.page.url.rsplit("/", 1)[-1].split("?")[0]

    def state(self) -> str:
        """Return the state of the case as the page shows it."""
        return self.page.locator("section.case").first.get_attribute("data-state") or ""

    def letters(self) -> list[str]:
        """Return the titles of what came down from the doctors, on the case's page."""
        self.page.reload()
        return self.page.locator("article.letter h3").all_inner_texts()

    def wait_state(self, *states: str, seconds: float = 30) -> str:
        return until(
            f"the station's page says one of {states}",
            lambda: self.state() if self.state() in states else None,
            seconds=seconds,
        )
