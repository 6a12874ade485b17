"""People's accounts from a shell on the hub, as its command line reads them."""

import httpx
import pytest
from sqlmodel import select

from clinic_net import cli
from clinic_net.access import commands, service
from clinic_net.access.errors import UnknownUser
from clinic_net.access.principals import Role
from clinic_net.access.proof.errors import PatientMalformed
from clinic_net.audit.model import AuditEvent
from clinic_net.kernel.hub import Hub
from tests.access.support import HOSPITAL, Clock, app_of, browser, fill, sign_in


@pytest.fixture(scope="module", autouse=True)
async def filled(hub: Hub) -> None:
    await fill(hub)


async def add(hub: Hub, login: str, role: str, *more: str) -> str:
    typed = cli.parser().parse_args(["user", "add", login, "--role", role, "--facility", HOSPITAL, *more])
    return str((await commands.add_user(typed, hub))["password"])


async def entering(hub: Hub, login: str, password: str) -> httpx.Response:
    async with browser(app_of(hub, Clock())) as page:
        return await sign_in(page, login, password)


async def test_a_citizen_s_account_names_their_own_patient(hub: Hub) -> None:
    password = await add(hub, "nguoi.dan", "citizen", "--patient", "p-1")
    async with hub.sessions() as session:
        (citizen,) = await service.people(session, role=Role.CITIZEN)
    assert (citizen.patient, citizen.purpose) == ("p-1", "PATRQT")
    assert (await entering(hub, "nguoi.dan", password)).status_code == 200


@pytest.mark.parametrize(
    ("role", "more"),
    [("citizen", ()), ("citizen", ("--patient", "Patient/1")), ("doctor", ("--patient", "p-1"))],
)
async def test_nobody_else_has_one(hub: Hub, role: str, more: tuple[str, ...]) -> None:
    with pytest.raises(PatientMalformed):
        await add(hub, "ai.do", role, *more)


async def test_an_account_is_closed(hub: Hub) -> None:
    password = await add(hub, "dong.lai", "national")
    await add(hub, "con.lai", "national")
    told = await commands.disable_user(cli.parser().parse_args(["user", "disable", "dong.lai"]), hub)
    assert told == {"disabled": "dong.lai"}
    assert (await entering(hub, "dong.lai", password)).status_code == 401


async def test_who_lost_everything_gets_a_password_for_once(hub: Hub) -> None:
    old = await add(hub, "mat.het", "operator")
    told = await commands.reset_user(cli.parser().parse_args(["user", "reset", "mat.het"]), hub)
    assert (await entering(hub, "mat.het", old)).json()["code"] == "wrong-credentials"
    assert (await entering(hub, "mat.het", str(told["password"]))).json()["code"] == "sign-in-unfinished"
    async with hub.sessions() as session:
        done = await session.exec(select(AuditEvent.action).where(AuditEvent.actor == commands.OPERATOR))
        assert {"user.password.reset", "user.factors.reset", "user.sessions.end"} <= set(done.all())


@pytest.mark.parametrize("what", ["disable", "reset"])
async def test_an_account_that_does_not_exist_is_said_to(hub: Hub, what: str) -> None:
    typed = cli.parser().parse_args(["user", what, "khong.co"])
    command = commands.disable_user if what == "disable" else commands.reset_user
    with pytest.raises(UnknownUser):
        await command(typed, hub)
