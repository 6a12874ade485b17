"""Requests that certainly travel together, because nobody gets through while they are sent."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import text as sql
from sqlmodel import col, select

from clinic_net.access import service as access
from clinic_net.access.model import Client
from clinic_net.kernel.hub import Hub
from clinic_net.records import service
from tests.records.support import Records, client_of, codes, ids, observation, patient, text

GATHERING_S = 0.3
"""Until requests that were sent at once have reached the queue."""

Sending = Coroutine[Any, Any, httpx.Response]


def put(resource: dict[str, Any], **more: str) -> dict[str, Any]:
    """Return the entry of a transaction that stores a resource under its id."""
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url, **more}}


async def transaction(fhir: httpx.AsyncClient, *entries: dict[str, Any]) -> httpx.Response:
    body = {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}
    return await fhir.post("/fhir", content=text(body))


async def store(fhir: httpx.AsyncClient, content: dict[str, Any]) -> httpx.Response:
    return await fhir.put(f"/fhir/{content['resourceType']}/{content['id']}", content=text(content))


async def told_versions(fhir: httpx.AsyncClient, fid: str) -> list[int]:
    """Return every version of a patient that its history tells, oldest first."""
    answer = await fhir.get(f"/fhir/Patient/{fid}/_history?_count=100")
    return [int(entry["resource"]["meta"]["versionId"]) for entry in reversed(answer.json()["entry"])]


async def there(fhir: httpx.AsyncClient, *contents: dict[str, Any]) -> list[bool]:
    answers = [await fhir.get(f"/fhir/{one['resourceType']}/{one['id']}") for one in contents]
    return [answer.status_code == 200 for answer in answers]


def statuses(answer: httpx.Response) -> list[str]:
    return [entry["response"]["status"][:3] for entry in answer.json()["entry"]]


async def disable_newest(hub: Hub) -> None:
    """Disable the client that was made last."""
    async with hub.sessions() as s, s.begin():
        newest = select(Client.id).order_by(col(Client.created_at).desc()).limit(1)
        await access.disable_client(s, (await s.exec(newest)).one(), by="user:test", now=hub.now())


async def together(hub: Hub, first: list[Sending], rest: list[Sending]) -> list[httpx.Response]:
    """Send ``first``, which fill the carriers while nobody can reach a record, then ``rest``; return their answers.

    ``rest`` gather behind the carriers, and so they travel together.
    """
    async with hub.sessions() as s, s.begin():
        await (await s.connection()).execute(sql("lock table records_resource in access exclusive mode"))
        ahead = [asyncio.create_task(one) for one in first]
        await asyncio.sleep(GATHERING_S)
        sent = [asyncio.create_task(one) for one in rest]
        await asyncio.sleep(GATHERING_S)
        assert not any(task.done() for task in ahead)
    assert {answer.is_success for answer in await asyncio.gather(*ahead)} == {True}
    return list(await asyncio.gather(*sent))


async def test_each_caller_of_a_shared_transaction_reads_what_their_scope_allows(
    hub: Hub, records: Records
) -> None:
    about = await records.new_patient()
    seen = (await records.put(observation(about, id=str(uuid4())))).fid
    person, measured = f"/fhir/Patient/{about}", f"/fhir/Observation/{seen}"

    async with AsyncExitStack() as clients:
        everything, patients, measurements, disabled = [
            await clients.enter_async_context(client_of(hub, scope))
            for scope in ("system/*.rs", "system/Patient.rs", "system/Observation.rs", "system/*.rs")
        ]
        await disable_newest(hub)
        callers = (everything, patients, measurements, disabled)
        told = await together(
            hub,
            [everything.get(person)],
            [caller.get(url) for caller in callers for url in (person, measured)]
            + [everything.get(f"/fhir/Patient/{uuid4()}"), patients.get(person)],
        )

    assert [answer.status_code for answer in told] == [200, 200, 200, 403, 403, 200, 401, 401, 404, 200]
    assert [answer.json()["id"] for answer in told if answer.is_success] == [about, seen, about, seen, about]


async def test_each_caller_of_a_shared_transaction_finds_what_their_scope_allows(
    hub: Hub, records: Records
) -> None:
    about, other = await records.new_patient(), await records.new_patient()
    seen = [(await records.put(observation(who, id=str(uuid4())))).fid for who in (about, other)]
    searches = [f"/fhir/Observation?patient={who}" for who in (about, other)]

    async with AsyncExitStack() as clients:
        everything, patients, disabled = [
            await clients.enter_async_context(client_of(hub, scope))
            for scope in ("system/*.rs", "system/Patient.rs", "system/*.rs")
        ]
        await disable_newest(hub)
        await everything.get(searches[0])  # from now on this process knows the hashes of its database
        told = await together(
            hub,
            [everything.get(searches[0])],
            [caller.get(url) for caller in (everything, patients, disabled) for url in searches],
        )

    assert [answer.status_code for answer in told] == [200, 200, 403, 403, 401, 401]
    assert [ids(answer.json()) for answer in told[:2]] == [seen[:1], seen[1:]]


async def test_each_caller_of_a_shared_transaction_writes_what_their_scope_allows(hub: Hub) -> None:
    ahead = [patient(str(uuid4())) for _ in range(2)]
    wanted = [patient(str(uuid4())) for _ in range(4)]

    async with AsyncExitStack() as clients:
        everything, patients, reading, disabled = [
            await clients.enter_async_context(client_of(hub, scope))
            for scope in ("system/*.cruds", "system/Patient.cu", "system/*.rs", "system/*.cruds")
        ]
        await disable_newest(hub)
        callers = (everything, patients, reading, disabled)
        told = await together(
            hub,
            [store(everything, one) for one in ahead],
            [store(caller, one) for caller, one in zip(callers, wanted, strict=True)],
        )
        bundles = await together(
            hub,
            [transaction(everything, put({**one, "gender": "other"})) for one in ahead],
            [
                transaction(caller, put({**one, "gender": "male"}))
                for caller, one in zip(callers, wanted, strict=True)
            ],
        )

        assert [answer.status_code for answer in told] == [201, 201, 403, 401]
        assert [answer.status_code for answer in bundles] == [200, 200, 403, 401]
        assert await there(everything, *wanted) == [True, True, False, False]


async def test_of_transactions_that_travel_together_only_the_refused_one_leaves_nothing(
    hub: Hub, fhir: httpx.AsyncClient, records: Records
) -> None:
    changed = await records.new_patient()
    ahead = [patient(str(uuid4())) for _ in range(2)]
    groups = [[patient(str(uuid4())) for _ in range(3)] for _ in range(5)]
    conflict = put(patient(changed, gender="male"), ifMatch='W/"7"')
    broken = put({**groups[3][1], "gender": "unheard-of"})

    told = await together(
        hub,
        [transaction(fhir, put(one)) for one in ahead],
        [
            transaction(fhir, *map(put, groups[0])),
            transaction(fhir, put(groups[1][0]), put(groups[1][1]), conflict, put(groups[1][2])),
            transaction(fhir, *map(put, groups[2])),
            transaction(fhir, put(groups[3][0]), broken, put(groups[3][2])),
            transaction(fhir, *map(put, groups[4])),
        ],
    )

    assert [answer.status_code for answer in told] == [200, 412, 200, 422, 200]
    assert codes(told[1].json()) == ["version-conflict"]
    assert told[1].json()["issue"][0]["expression"] == ["Bundle.entry[2]"]
    assert told[3].json()["issue"][0]["expression"] == ["Bundle.entry[1].resource.gender"]
    assert [await there(fhir, *group) for group in groups] == [
        [stays] * 3 for stays in (True, False, True, False, True)
    ]
    assert await told_versions(fhir, changed) == [1]


async def test_transactions_at_once_that_change_the_same_resource_all_succeed(
    hub: Hub, fhir: httpx.AsyncClient, records: Records
) -> None:
    shared = await records.new_patient()
    ahead = [patient(str(uuid4())) for _ in range(2)]
    own = [patient(str(uuid4())) for _ in range(4)]

    told = await together(
        hub,
        [transaction(fhir, put(one)) for one in ahead],
        [
            transaction(fhir, put(mine), put(patient(shared, birthDate=f"198{number}")))
            for number, mine in enumerate(own)
        ],
    )

    assert [statuses(answer) for answer in told] == [["201", "200"]] * 4
    assert await told_versions(fhir, shared) == [1, 2, 3, 4, 5]
    assert await there(fhir, *own) == [True] * 4


async def test_of_transactions_that_expect_the_same_version_one_succeeds(
    hub: Hub, fhir: httpx.AsyncClient, records: Records
) -> None:
    shared = await records.new_patient()
    ahead = [patient(str(uuid4())) for _ in range(2)]
    own = [patient(str(uuid4())) for _ in range(3)]

    told = await together(
        hub,
        [transaction(fhir, put(one)) for one in ahead],
        [
            transaction(fhir, put(mine), put(patient(shared, birthDate=f"198{number}"), ifMatch='W/"1"'))
            for number, mine in enumerate(own)
        ],
    )

    assert sorted(answer.status_code for answer in told) == [200, 412, 412]
    assert await there(fhir, *own) == [answer.is_success for answer in told]
    assert await told_versions(fhir, shared) == [1, 2]


async def test_a_transaction_that_loses_a_race_leaves_nothing_behind_beside_another_of_the_same_resource(
    hub: Hub, fhir: httpx.AsyncClient, records: Records
) -> None:
    ahead = [await records.new_patient() for _ in range(2)]
    wanted, own = patient(str(uuid4())), [patient(str(uuid4())) for _ in range(2)]

    async with AsyncExitStack() as somebody:
        s = await somebody.enter_async_context(hub.sessions())
        await somebody.enter_async_context(s.begin())
        other = await somebody.enter_async_context(hub.sessions())
        async with other.begin():
            await (await other.connection()).execute(
                sql("select 1 from records_resource where fid = any(:ahead) for update"), {"ahead": ahead}
            )
            first = []
            for fid in ahead:  # one after the other: each has a carrier to itself
                first.append(asyncio.create_task(transaction(fhir, put(patient(fid, gender="male")))))
                await asyncio.sleep(0.1)
            rest = [
                asyncio.create_task(transaction(fhir, put(mine), put(wanted, ifNoneMatch="*")))
                for mine in own
            ]
            await asyncio.sleep(GATHERING_S)
            await service.put(
                s,
                text({**wanted, "gender": "other"}),
                rtype="Patient",
                fid=wanted["id"],
                scope=records.scope,
                author="user:test",
                tenant=records.tenant,
                now=records.now,
            )
        # They have looked, and wait for what somebody is about to store.
        await asyncio.sleep(0.2)
    assert [answer.status_code for answer in await asyncio.gather(*first)] == [200, 200]
    told = await asyncio.gather(*rest)

    assert [answer.status_code for answer in told] == [412, 412]
    assert await there(fhir, *own) == [False, False]
