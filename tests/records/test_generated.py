"""Resources of every type through HTTP: sound ones come back byte for byte, one mistake is refused and not stored."""

import re

import httpx

from clinic_net.fhir.definitions import resource_types
from clinic_net.kernel.hub import Hub
from tests.fhir.exactness import apart_from_id_and_meta
from tests.fhir.generate import texts, written
from tests.fhir.mutate import mistakes
from tests.records.support import versions


async def test_a_resource_of_every_type_comes_back_byte_for_byte(fhir: httpx.AsyncClient) -> None:
    for rtype, seed, text in texts(range(7, 8)):
        address = f"/fhir/{rtype}/g-{seed}"
        put = await fhir.put(address, content=text)
        read = await fhir.get(address)
        assert put.status_code == 201, (rtype, put.text)
        assert read.content == put.content
        assert apart_from_id_and_meta(read.content, sent=text) == apart_from_id_and_meta(text, sent=text), (
            rtype
        )
        assert (await fhir.put(address, content=text)).headers["etag"] == 'W/"1"'


async def test_a_resource_with_one_mistake_is_refused_where_it_is_wrong(
    hub: Hub, fhir: httpx.AsyncClient
) -> None:
    before = await versions(hub)
    kinds = set()
    for rtype in sorted(resource_types())[::5]:  # tests/fhir asks of every type
        for mistake in mistakes(rtype, 3):
            answer = await fhir.post(f"/fhir/{rtype}", content=written(mistake.content).encode())
            assert answer.status_code == 422, (rtype, mistake.kind, answer.text)
            issues = answer.json()["issue"]
            said = {re.sub(r"\[\d+\]|\.ofType\(\w+\)", "", issue["expression"][0]) for issue in issues}
            assert any(f"{each}.".startswith(f"{mistake.element}.") for each in said), (
                rtype,
                mistake.kind,
                said,
            )
            stem = "/f:" + mistake.element.replace(".", "/f:")
            places = [re.sub(r"\[\d+\]", "", issue["location"][0]) for issue in issues]
            assert any(place.startswith(stem) for place in places), (rtype, mistake.kind, places)
            kinds.add(mistake.kind)
    assert len(kinds) == 15, kinds
    assert await versions(hub) == before
