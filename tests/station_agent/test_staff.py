"""Nurses' accounts: signing in with a PIN, locking, and who wrote what."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from station_agent import clock
from station_agent.errors import StaffRefusal
from station_agent.staff import pins, rules, service, store
from station_agent.staff.service import Handed
from station_agent.staff.sessions import IDLE_LOCK_S, MOST, SHIFT_S, Sessions
from station_agent.store import Database, Tx, records
from tests.station_agent.conftest import NOW, NURSE, Station
from tests.station_agent.test_pages import PATIENT, registered, visiting

ORIGIN = "http://localhost:8090"


class Boot:
    """Seconds since the computer was started, as a test says."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        patch.setattr(clock, "since_boot", lambda: self.seconds)


@pytest.fixture
def boot(monkeypatch: pytest.MonkeyPatch) -> Boot:
    return Boot(monkeypatch)


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Tx]:
    database = Database(tmp_path / "station.sqlite3", NOW)
    with database.transaction() as tx:
        yield tx
    database.close()


@pytest.fixture
async def other(station: Station) -> AsyncIterator[httpx.AsyncClient]:
    """Another browser at the same station."""
    async with httpx.AsyncClient(
        transport=station.browser._transport,
        base_url=ORIGIN,
        headers={"Origin": ORIGIN},
        follow_redirects=True,
    ) as browser:
        yield browser


async def sign_in(browser: httpx.AsyncClient, login: str, pin: str, back: str = "/") -> httpx.Response:
    return await browser.post("/sign-in", data={"login": login, "pin": pin, "back": back})


async def added(station: Station, name: str, *, lead: bool = False) -> tuple[str, str]:
    """The lead adds somebody; return the account and its first PIN, as the page shows them."""
    form = {"name": name, **({"lead": "1"} if lead else {})}
    answer = await station.browser.post("/staff", data=form)
    assert answer.status_code == 200
    pin = answer.text.split('<strong class="pin">')[1].split("<")[0]
    everybody = await station.agent.database.run(store.everybody)
    return next(account.id for account in everybody if account.name == name), pin


# -- rules


@pytest.mark.parametrize("pin", ["000000", "123456", "654321", "890123", "121212", "123123", "99999999"])
def test_a_pin_that_is_guessed_first_is_not_taken(pin: str) -> None:
    assert rules.pin_problem(pin) == "pin-easy"


@pytest.mark.parametrize(
    ("pin", "problem"),
    [("12345", "pin-length"), ("1" * 13, "pin-length"), ("12a456", "pin-digits"), ("", "pin-digits"),
     ("١٢٣٤٥٦", "pin-digits")],
)  # fmt: skip
def test_a_pin_has_six_to_twelve_digits(pin: str, problem: str) -> None:
    assert rules.pin_problem(pin) == problem


@given(st.integers(min_value=0, max_value=400))
def test_guessing_becomes_ever_slower_and_an_account_never_rests_for_more_than_a_quarter_of_an_hour(
    failures: int,
) -> None:
    here, next_one = rules.lock_after(failures), rules.lock_after(failures + 1)
    assert (here is None) == (failures < rules.FREE_TRIES)
    assert (here or timedelta(0)) <= (next_one or timedelta(0)) <= rules.LONGEST_LOCK


def test_accounts_are_named_as_people_are_called(tx: Tx) -> None:
    names = ("Lò Thị Lan", "Vàng Thị Lan", "Đỗ Thuỳ  Lán", "Y Moan Êban", "???")
    made = [service.add(tx, name, by="first", now=NOW).id for name in names]
    assert made == ["lan", "lan2", "lan3", "eban", "nurse"]


def test_a_first_pin_can_always_be_chosen() -> None:
    assert {rules.pin_problem(pins.one_time()) for _ in range(200)} == {None}


# -- guessing


def test_an_account_rests_after_five_wrong_pins_and_the_others_do_not(tx: Tx) -> None:
    kept = pins.hashed("280791")
    for name in ("Lan", "Hoa"):
        store.put_pin(tx, service.add(tx, name, by="first", now=NOW).id, kept, must_change=False)
    for _ in range(rules.FREE_TRIES):
        service.try_pin(tx, "lan", now=NOW)
    with pytest.raises(StaffRefusal) as refused:
        service.try_pin(tx, "lan", now=NOW + timedelta(seconds=59))
    assert refused.value.code == "locked"
    assert service.try_pin(tx, "hoa", now=NOW).kept == kept
    assert service.try_pin(tx, "lan", now=NOW + timedelta(seconds=61)).kept == kept
    with pytest.raises(StaffRefusal):
        service.try_pin(tx, "lan", now=NOW + timedelta(seconds=61 + 119))


def test_a_clock_that_was_set_back_locks_nobody_out_for_longer(tx: Tx) -> None:
    store.put_pin(tx, service.add(tx, "Lan", by="first", now=NOW).id, "x", must_change=False)
    for _ in range(rules.FREE_TRIES):
        service.try_pin(tx, "lan", now=NOW)
    assert service.try_pin(tx, "lan", now=NOW - timedelta(days=1)).kept == "x"


def test_the_right_pin_forgives_the_wrong_ones(tx: Tx) -> None:
    store.put_pin(tx, service.add(tx, "Lan", by="first", now=NOW).id, "x", must_change=False)
    for _ in range(rules.FREE_TRIES - 1):
        service.try_pin(tx, "lan", now=NOW)
    service.came(tx, "lan", now=NOW)
    for _ in range(rules.FREE_TRIES - 1):
        service.try_pin(tx, "lan", now=NOW)
    assert service.try_pin(tx, "lan", now=NOW).kept == "x"


# -- the pages


async def test_nobody_sees_a_patient_without_a_pin(station: Station, other: httpx.AsyncClient) -> None:
    patient = await registered(station)
    visit = await visiting(station, patient)
    for path in (
        "/",
        "/patients",
        f"/patients/{patient}",
        f"/visits/{visit}",
        "/waiting",
        "/status-bar",
        "/staff",
    ):
        answer = await other.get(path)
        assert answer.url.path == "/sign-in", path
        assert "Vàng" not in answer.text
        assert "Nguyễn" not in answer.text
    found = await other.post("/patients/search", data={"query": "vang"}, headers={"HX-Request": "true"})
    assert found.status_code == 204
    assert found.headers["HX-Redirect"].startswith("/sign-in")
    counts = await other.get("/api/status")
    assert counts.json()["waiting_total"] > 0, "the station goes on working, and says so"
    assert "Vàng" not in counts.text


async def test_without_a_pin_nothing_can_be_saved(station: Station, other: httpx.AsyncClient) -> None:
    answer = await other.post("/patients", data={"id": "0199b4d0-0000-7000-8000-000000000001", **PATIENT})
    assert answer.url.path == "/sign-in"
    assert (
        await station.agent.database.run(lambda tx: tx.execute("select count(*) from resource").fetchone()[0])
        == 0
    )


async def test_after_signing_in_the_page_that_was_asked_for_opens(
    station: Station, other: httpx.AsyncClient
) -> None:
    patient = await registered(station)
    asked = await other.get(f"/patients/{patient}")
    assert asked.url.query == f"back=/patients/{patient}".encode()
    answer = await sign_in(other, "lan", NURSE["pin"], back=f"/patients/{patient}")
    assert answer.url.path == f"/patients/{patient}"
    assert "Vàng Thị Mỷ" in answer.text
    assert "Lò Thị Lan" in answer.text, "the head says who works here"
    for elsewhere in ("//evil.example/", "https://evil.example/", "/\\evil.example"):
        assert (await sign_in(other, "lan", NURSE["pin"], back=elsewhere)).url.path == "/"


async def test_a_record_says_which_nurse_wrote_it(station: Station, other: httpx.AsyncClient) -> None:
    login, first = await added(station, "Quàng Văn Bình")
    await sign_in(other, login, first)
    await other.post("/pin", data={"old": first, "pin": "530264", "again": "530264"})
    rid = "0199b4d0-0000-7000-8000-000000000002"
    assert (await other.post("/patients", data={"id": rid, **PATIENT})).status_code == 200

    def wrote(tx: Tx) -> tuple[set[str], set[str]]:
        by = {row[0] for row in tx.execute("select by from outbox")}
        allergies = records.of_patient(tx, rid, ("AllergyIntolerance",))
        return by, {held.resource["recorder"]["display"] for held in allergies}

    assert await station.agent.database.run(wrote) == ({"nurse:binh"}, {"Quàng Văn Bình"})


async def test_the_first_pin_is_good_for_choosing_another_only(
    station: Station, other: httpx.AsyncClient
) -> None:
    login, first = await added(station, "Quàng Văn Bình")
    assert (await sign_in(other, login, first)).url.path == "/pin"
    assert (await other.get("/patients")).url.path == "/pin"
    for pin, again, code in ((first, first, 422), ("123456", "123456", 422), ("530264", "530265", 422)):
        answer = await other.post("/pin", data={"old": first, "pin": pin, "again": again})
        assert answer.status_code == code
    assert (await other.post("/pin", data={"old": first, "pin": "530264", "again": "530264"})).url.path == "/"
    assert (await sign_in(other, login, first)).status_code == 403
    assert (await sign_in(other, login, "530264")).url.path == "/"


async def test_a_desk_that_nobody_touches_locks_and_the_pin_opens_it_where_it_was(
    station: Station, boot: Boot
) -> None:
    await sign_in(station.browser, "lan", NURSE["pin"])
    patient = await registered(station)
    boot.seconds += IDLE_LOCK_S - 1
    assert (await station.browser.get(f"/patients/{patient}")).url.path == f"/patients/{patient}"
    boot.seconds += IDLE_LOCK_S - 1
    bar = await station.browser.get("/status-bar", headers={"HX-Request": "true"})
    assert bar.status_code == 200, "what a page asks by itself keeps nothing open"
    boot.seconds += 2
    here = {"HX-Request": "true", "HX-Current-URL": f"{ORIGIN}/patients/{patient}"}
    bar = await station.browser.get("/status-bar", headers=here)
    assert bar.headers["HX-Redirect"] == f"/sign-in?back=/patients/{patient}"
    locked = await station.browser.get(f"/patients/{patient}")
    assert locked.url.path == "/sign-in"
    assert 'value="lan" required checked' in locked.text
    assert "Vàng" not in locked.text
    opened = await sign_in(station.browser, "lan", NURSE["pin"], back=f"/patients/{patient}")
    assert "Vàng Thị Mỷ" in opened.text


async def test_who_talks_to_a_doctor_is_not_locked_out_of_the_call(station: Station, boot: Boot) -> None:
    await sign_in(station.browser, "lan", NURSE["pin"])
    visit = await visiting(station, await registered(station))
    case = "0199b4d0-0000-7000-8000-000000000003"
    form = {"set_id": "0199b4d0-0000-7000-8000-000000000004", "request_id": case, "reason": "?"}
    await station.browser.post(f"/visits/{visit}/ask", data=form)
    await station.agent.database.run(lambda tx: tx.execute("update call set state = 'active'").rowcount)
    here = {"HX-Request": "true", "HX-Current-URL": f"{ORIGIN}/cases/{case}"}
    for _ in range(5):
        boot.seconds += IDLE_LOCK_S - 1
        assert (await station.browser.get("/status-bar", headers=here)).status_code == 200


async def test_locking_and_leaving_the_desk(station: Station) -> None:
    assert (await station.browser.post("/lock", data={"back": "/patients"})).url.path == "/sign-in"
    assert (await station.browser.get("/patients")).url.path == "/sign-in"
    await sign_in(station.browser, "lan", NURSE["pin"])
    token = station.browser.cookies["station_session_8090"]
    assert (await station.browser.post("/sign-out")).url.path == "/sign-in"
    answer = await station.browser.get("/patients", headers={"Cookie": f"station_session_8090={token}"})
    assert answer.url.path == "/sign-in", "a token that was signed out opens nothing"


async def test_only_who_leads_adds_people_and_somebody_always_leads(
    station: Station, other: httpx.AsyncClient
) -> None:
    login, first = await added(station, "Quàng Văn Bình")
    await sign_in(other, login, first)
    await other.post("/pin", data={"old": first, "pin": "530264", "again": "530264"})
    assert (await other.get("/staff")).status_code == 404
    for path in ("/staff", "/staff/lan/pin", "/staff/lan/go"):
        assert (await other.post(path, data={"name": "X"})).status_code == 404
    refused = await station.browser.post("/staff/lan/go")
    assert refused.status_code == 422
    gone = await station.browser.post(f"/staff/{login}/go")
    assert gone.status_code == 200
    assert (await other.get("/patients")).url.path == "/sign-in", "who was let go sits at no browser any more"
    assert (await sign_in(other, login, "530264")).status_code == 403
    await station.browser.post(f"/staff/{login}/back")
    assert (await sign_in(other, login, "530264")).url.path == "/"


async def test_a_forgotten_pin_is_given_anew(station: Station, other: httpx.AsyncClient) -> None:
    login, _ = await added(station, "Quàng Văn Bình")
    again = await station.browser.post(f"/staff/{login}/pin")
    pin = again.text.split('<strong class="pin">')[1].split("<")[0]
    assert (await sign_in(other, login, pin)).url.path == "/pin"


async def test_what_happened_with_accounts_is_kept_and_never_a_pin(
    station: Station, other: httpx.AsyncClient
) -> None:
    await sign_in(other, "lan", "999000")
    await sign_in(other, "lan", NURSE["pin"])
    events = await station.agent.database.run(store.events)
    assert [(who, what) for _, who, what, _ in events][:2] == [("lan", "came"), ("lan", "refused")]
    held = await station.agent.database.run(
        lambda tx: str(
            [tuple(row) for table in ("staff", "staff_event") for row in tx.execute(f"select * from {table}")]
        )
    )
    assert NURSE["pin"] not in held
    assert "999000" not in held
    assert "$argon2id$" in held


# -- sessions, and what the hub says


def test_a_session_ends_with_the_shift_and_there_is_never_an_endless_number() -> None:
    sessions = Sessions()
    tokens = [
        sessions.start("lan", "Lan", lead=False, must_change=False, at=float(n)) for n in range(MOST + 1)
    ]
    assert sessions.find(tokens[0], at=70.0) is None
    assert sessions.find(tokens[1], at=70.0) is not None
    assert sessions.find(tokens[1], at=SHIFT_S + 2) is None
    assert len(set(tokens)) == len(tokens)


def test_people_whom_the_hub_names_get_an_account_and_their_pin_here(tx: Tx) -> None:
    service.first(tx, "Lò Thị Lan", "x", now=NOW)
    people = [Handed("hoa", "Vàng Thị Hoa"), Handed("lan", "Somebody Else", lead=False)]
    assert service.handed(tx, people, now=NOW) == 1
    assert service.handed(tx, people, now=NOW) == 0
    hoa, lan = store.find(tx, "hoa"), store.find(tx, "lan")
    assert hoa is not None
    assert (hoa.has_pin, hoa.source) == (False, "hub")
    assert lan is not None
    assert (lan.name, lan.lead) == ("Lò Thị Lan", True), "the station's own accounts stay as they are"
    assert service.try_pin(tx, "hoa", now=NOW).kept is None
    service.handed(tx, [Handed("hoa", "Vàng Thị Hoà", active=False)], now=NOW)
    gone = store.find(tx, "hoa")
    assert gone is not None
    assert (gone.name, gone.active) == ("Vàng Thị Hoà", False)
