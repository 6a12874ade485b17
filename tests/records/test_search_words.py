"""``_text`` and ``_content``: words are read behind the writes, every version once, whatever the order of commits."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text as sql

from clinic_net.kernel.hub import Hub
from clinic_net.records import derived, service
from tests.records.support import Records, ids, observation, text


def condition(about: str, said: str, **more: Any) -> dict[str, Any]:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{said}</p></div>'
    return {
        "resourceType": "Condition",
        "subject": {"reference": f"Patient/{about}"},
        "text": {"status": "generated", "div": div},
        **more,
    }


@pytest.fixture(scope="module")
async def ward(hub: Hub) -> dict[str, str]:
    records = Records(hub)
    about = await records.new_patient()
    made = {
        "lung": condition(about, "Viêm phổi nặng, thở nhanh", note=[{"text": "chuyển tuyến"}]),
        "liver": condition(about, "Ung thư gan di căn", code={"text": "bướu"}),
        "bone": condition(about, "Bone metastases"),
    }
    found = {"patient": about}
    for name, content in made.items():
        found[name] = (await records.put(content)).fid
    found["plain"] = (await records.put(observation(about, note=[{"text": "Viêm phổi?"}]))).fid
    await service.derive(hub)
    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Condition?_text=viem phoi", {"lung"}),
        ("Condition?_text=VIÊM AND phổi", {"lung"}),
        ("Condition?_text=phổi OR gan", {"lung", "liver"}),
        ("Condition?_text=(bone OR gan) and (metastases OR căn)", {"bone", "liver"}),
        ("Condition?_text=phổi,gan", {"lung", "liver"}),
        ("Condition?_text=căn not bone", {"liver"}),
        ("Condition?_text=metas*", {"bone"}),
        ("Condition?_text=div", set()),
        ("Condition?_text=tuyến", set()),
        ("Condition?_content=tuyến", {"lung"}),
        ("Condition?_content=bướu gan", {"liver"}),
        ("Condition?_content=phổi&subject=Patient/{patient}", {"lung"}),
        ("Observation?_content=phổi", {"plain"}),
        ("Observation?_text=phổi", set()),
        ("Condition?_text:missing=false", {"lung", "liver", "bone"}),
        ("Observation?_text:missing=true", {"plain"}),
        ("Condition?_filter=_content co tuyến or _text co bone", {"lung", "bone"}),
        ("Patient?_has:Condition:subject:_text=phổi", {"patient"}),
    ],
)
async def test_words_find_a_resource(
    fhir: httpx.AsyncClient, ward: dict[str, str], query: str, expected: set[str]
) -> None:
    address, _, rest = query.format(**ward).partition("?")
    answer = await fhir.get(f"/fhir/{address}", params=httpx.QueryParams(rest))

    assert answer.status_code == 200, answer.text
    by_id = {fid: name for name, fid in ward.items()}
    assert {by_id[fid] for fid in ids(answer.json())} == expected


async def found(fhir: httpx.AsyncClient, word: str) -> list[str]:
    return ids((await fhir.get("/fhir/Condition", params={"_content": word})).json())


async def test_an_update_changes_the_words_and_a_deletion_takes_them(
    hub: Hub, fhir: httpx.AsyncClient, records: Records
) -> None:
    about, fid = await records.new_patient(), str(uuid4())
    await records.put(condition(about, "lao hạch", id=fid))
    await service.derive(hub)
    assert await found(fhir, "lao hạch") == [fid]

    await records.put(condition(about, "hen suyễn", id=fid))
    await service.derive(hub)
    assert (await found(fhir, "lao hạch"), await found(fhir, "hen suyễn")) == ([], [fid])

    await records.delete("Condition", fid)
    await service.derive(hub)
    assert await found(fhir, "hen suyễn") == []


async def test_a_version_that_commits_late_is_not_passed_over(
    hub: Hub, fhir: httpx.AsyncClient, records: Records
) -> None:
    about = await records.new_patient()
    body = text(condition(about, "khởi phát muộn"))
    async with hub.sessions() as slow, slow.begin():
        stored = await service.put(
            slow,
            body,
            rtype="Condition",
            fid=None,
            scope=records.scope,
            author="user:test",
            tenant=records.tenant,
            now=records.now,
        )
        for _ in range(3):
            await records.put(condition(about, "người khác"))
            await service.derive(hub)
        async with hub.sessions() as s, s.begin():
            done = (
                await (await s.connection()).execute(sql("select done from records_derived_mark"))
            ).scalar_one()
        assert await found(fhir, "khởi phát muộn") == []
    await service.derive(hub)

    assert await found(fhir, "khởi phát muộn") == [stored.fid]
    await service.derive(hub)
    async with hub.sessions() as s, s.begin():
        connection = await s.connection()
        later = (await connection.execute(sql("select done from records_derived_mark"))).scalar_one()
        newest = (await connection.execute(sql("select max(vseq) from records_version"))).scalar_one()
    assert done < later == newest


async def test_many_batches_are_read_and_nobody_reads_twice_at_once(
    hub: Hub, fhir: httpx.AsyncClient, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derived, "BATCH", 3)
    about = await records.new_patient()
    made = {(await records.put(condition(about, f"đợt ba số {number}"))).fid for number in range(10)}

    async with hub.sessions() as held, held.begin():
        await (await held.connection()).execute(sql("select 1 from records_derived_mark for update"))
        await service.derive(hub)
    await service.derive(hub)

    assert set(await found(fhir, "đợt ba")) == made
