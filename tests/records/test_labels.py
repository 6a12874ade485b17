"""Labels of what an older release wrote: kept closed by the text until reindexing has filled them in."""

from sqlalchemy import text as sql

from clinic_net.access.labels import ACT_CODE, HIV, PROTECTED
from clinic_net.access.policy import RecordScope
from clinic_net.kernel.hub import Hub
from clinic_net.records import reindexing
from clinic_net.records.errors import UnknownResource
from tests.records.support import NOW, SITE, Records, observation

NURSE = RecordScope(frozenset({SITE}), None, writable=False, withheld=PROTECTED)


async def sees(records: Records, fid: str) -> bool:
    try:
        await records.within(NURSE).read("Observation", fid)
    except UnknownResource:
        return False
    return True


async def test_an_older_row_is_judged_by_its_text_until_it_is_reindexed(hub: Hub, records: Records) -> None:
    about = await records.new_patient()
    tagged = {
        "tag": [{"system": "urn:x", "code": "security"}],
        "security": [{"system": "urn:x", "code": "HIV"}],
    }
    hiv = (
        await records.put(observation(about, meta={"security": [{"system": ACT_CODE, "code": "HIV"}]}))
    ).fid
    plain, other = (
        (await records.put(observation(about))).fid,
        (await records.put(observation(about, meta=tagged))).fid,
    )
    assert [await sees(records, fid) for fid in (hiv, plain, other)] == [False, True, True]

    async with hub.sessions() as s, s.begin():
        await (await s.connection()).execute(sql("update records_resource set labels = null"))
    assert [await sees(records, fid) for fid in (hiv, plain, other)] == [False, True, False]

    async with hub.sessions() as s, s.begin():
        run = await reindexing.begin(s, ["Observation"], by="test", now=NOW)
    for _ in range(10):
        async with hub.sessions() as s, s.begin():
            done = await reindexing.step(s, run, now=NOW)
        if done is None or done.finished is not None:
            break
    assert [await sees(records, fid) for fid in (hiv, plain, other)] == [False, True, True]
    async with hub.sessions() as s:
        found = await (await s.connection()).execute(
            sql("select labels from records_resource where fid = :f"), {"f": hiv}
        )
        assert found.scalar_one() == HIV
