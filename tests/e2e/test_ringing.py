"""Doctors at real sockets of a hub process: who is first, nobody at all, and a hub that dies while it rings."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from uuid import UUID

import pytest

from clinic_net.access.http import COOKIE
from tests.e2e.support import Network, until
from tests.signalling.support import Peer, page

pytestmark = pytest.mark.processes


@dataclass(frozen=True)
class Address:
    """Where the hub's sockets are."""

    url: str


@asynccontextmanager
async def on_duty(network: Network, *logins: str) -> AsyncIterator[list[Peer]]:
    """Give the pages of doctors who are on duty, and let them go off duty afterwards."""
    peers = []
    for login in logins:
        with closing(network.signed_in(login)) as web:
            peer = page(web.cookies[COOKIE], network.url)
            await peer.connect(address(network))
            await peer.until(lambda peer=peer: peer.welcomes)
            assert web.post("/doctor/duty", data={"on": "true"}).status_code == 303
            peers.append(peer)
    try:
        yield peers
    finally:
        for login, peer in zip(logins, peers, strict=True):
            with closing(network.signed_in(login)) as web:
                assert web.post("/doctor/duty", data={"on": "false"}).status_code == 303
            await peer.close()


def address(network: Network) -> Address:
    return Address(network.url.replace("http", "ws", 1) + "/signal")


def asked(network: Network, specialty: str) -> UUID:
    """Have a nurse ask for a doctor at her station's page; return the case."""
    nurse = network.sites[0].start()
    return UUID(nurse.ask_for_doctor(nurse.register(f"Giàng Thị {specialty}"), specialty))


def board(network: Network) -> str:
    with closing(network.signed_in("coordinator")) as web:
        return web.get("/board").raise_for_status().text


def row(network: Network, case: UUID) -> str:
    """Return the case's row on the coordinator's board, or nothing."""
    rows = board(network).split('<li class="case')
    return next((text for text in rows if f'href="/cases/{case}"' in text), "")


async def test_of_two_doctors_who_accept_at_the_same_instant_one_wins_and_the_other_learns_the_name(
    network: Network,
) -> None:
    async with on_duty(network, "first", "second") as pages:
        case = asked(network, "cardiology")
        for peer in pages:
            await peer.hears("call.invite", within=20)
        answers = await asyncio.gather(*(peer.ask("call.accept", call=case, within=20) for peer in pages))

        [winner] = [number for number, answer in enumerate(answers) if answer.ok]
        name = ("BS. first", "BS. second")[winner]
        loser = pages[1 - winner]
        assert answers[1 - winner].d == {"code": "answered_elsewhere", "by": name}
        cancelled = await loser.hears("call.cancelled", within=20)
        assert cancelled.d == {"reason": "answered_elsewhere", "by": name}
        assert name in row(network, case)
        assert (await pages[winner].ask("call.end", {"reason": "completed"}, call=case, within=20)).ok


async def test_nobody_answers_and_the_hub_dies_while_it_rings_yet_the_ladder_ends_with_the_coordinator(
    network: Network,
) -> None:
    async with on_duty(network, "of-the-centre", "of-the-province", "of-the-nation") as pages:
        centre, province, nation = pages
        case = asked(network, "neurology")
        first = await centre.hears("call.invite", within=20)
        assert (first.d["tier"], first.call) == (1, case)
        assert row(network, case)
        network.demo.hub.kill()
        for peer in pages:
            await peer.is_closed()
        await asyncio.to_thread(network.demo.start_hub)
        assert row(network, case), "a case never leaves the list by itself"
        for peer in pages:
            await peer.connect(address(network))

        assert (await province.hears("call.invite", within=20)).d["tier"] == 2
        assert (await nation.hears("call.invite", within=20)).d["tier"] == 3
        await asyncio.to_thread(until, "the coordinator owns the case", is_owed(network, case))
        assert (await nation.ask("call.accept", call=case, within=20)).ok, "a late answer is better than none"
        assert (await nation.ask("call.end", {"reason": "completed"}, call=case, within=20)).ok


def is_owed(network: Network, case: UUID) -> Callable[[], bool]:
    return lambda: "owed" in row(network, case).split("\n", 1)[0]
