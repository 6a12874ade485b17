"""The secret key of the index: made once, known to all, never remembered from a write that was undone."""

import asyncio

from sqlalchemy import text as sql
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.fhir import parse_search
from clinic_net.kernel.hub import Hub
from clinic_net.records import service
from clinic_net.records.keys import Keys
from tests.records.support import EVERYWHERE, NOW, Records, patient


async def count_of(s: AsyncSession) -> int:
    asked = parse_search("Patient", [("gender", "female"), ("_summary", "count")])
    return (await service.search(s, asked, scope=EVERYWHERE, now=NOW)).total or 0


async def test_a_database_without_a_key_gets_one_at_its_first_write(hub: Hub, records: Records) -> None:
    async with hub.sessions() as s, s.begin():
        await (await s.connection()).execute(sql("delete from records_index_key"))

    async with hub.sessions() as s, s.begin():
        await service.put(
            s,
            b'{"resourceType":"Patient","gender":"female"}',
            rtype="Patient",
            fid=None,
            scope=EVERYWHERE,
            author="x",
            tenant="x",
            now=NOW,
        )
        assert await count_of(s) == 1
        await s.rollback()
    await asyncio.gather(*(records.put(patient()) for _ in range(8)))

    async with hub.sessions() as s, s.begin():
        keys = await (await s.connection()).execute(sql("select count(*) from records_index_key"))
        assert keys.scalar_one() == 1
        assert await count_of(s) == 8


def test_a_signed_text_opens_only_unchanged_and_with_its_own_key() -> None:
    keys, others = Keys(b"a" * 32), Keys(b"b" * 32)
    signed = keys.sign(b"payload")

    assert keys.unsign(signed) == b"payload"
    assert others.unsign(signed) is None
    for wrong in ("", "x", signed[:-1], "A" + signed[1:], signed + "ă"):
        assert keys.unsign(wrong) is None


def test_hashes_keep_their_parts_apart() -> None:
    keys = Keys(b"a" * 32)

    assert keys.of("ab", "c") != keys.of("a", "bc")
    assert keys.token("P", "n", None, "x") != keys.token("P", "n", "", "x")
    assert keys.token("P", "n", "x", None) != keys.token("P", "n", None, "x")
