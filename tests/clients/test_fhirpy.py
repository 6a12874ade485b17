"""fhirpy, awaited and not: what a programmer does with it in a day."""

from uuid import uuid4

import pytest
from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import (
    AuthorizationError,
    MultipleResourcesFound,
    OperationOutcome,
    ResourceNotFound,
)

from tests.clients.support import Service, identified, whole_case


@pytest.fixture(scope="module")
def authorization(service: Service) -> str:
    return f"Bearer {service.token()}"


@pytest.fixture
def client(service: Service, authorization: str) -> AsyncFHIRClient:
    return AsyncFHIRClient(service.base, authorization=authorization)


@pytest.fixture
def system() -> str:
    """Whose identifiers a test uses: they are nobody else's."""
    return f"urn:uuid:{uuid4()}"


async def test_what_the_hub_can_do_is_told_without_credentials(service: Service) -> None:
    statement = await AsyncFHIRClient(service.base).execute("metadata", method="get")
    assert statement.fhirVersion == "4.0.1"
    assert statement.implementation.url == service.base


async def test_a_resource_is_created_read_changed_and_deleted(client: AsyncFHIRClient, system: str) -> None:
    patient = client.resource("Patient", identifier=identified(system, "1"), name=[{"text": "Trần Văn Bình"}])
    await patient.save()
    assert (await client.reference("Patient", patient.id).to_resource()).name == patient.name

    patient["gender"] = "male"
    await patient.update()
    await patient.patch(birthDate="1971", name=None)
    assert (patient.meta.versionId, patient.get("name")) == ("3", None)
    await patient.refresh()
    assert (patient.gender, patient.birthDate) == ("male", "1971")
    history = await patient.execute("_history", method="get")
    assert [entry.resource.meta.versionId for entry in history.entry] == ["3", "2", "1"]
    second = await client.execute(f"{patient.reference}/_history/2", method="get")
    assert (second.gender, "birthDate" in second) == ("male", False)

    await patient.delete()
    with pytest.raises(ResourceNotFound):
        await client.get("Patient", patient.id)


async def test_an_update_of_an_old_version_is_refused(
    client: AsyncFHIRClient, service: Service, authorization: str
) -> None:
    patient = client.resource("Patient", gender="male")
    await patient.save()
    late = AsyncFHIRClient(service.base, authorization=authorization, extra_headers={"If-Match": 'W/"1"'})
    await late.resource("Patient", id=patient.id, gender="female").save()
    with pytest.raises(MultipleResourcesFound) as refused:  # what fhirpy makes of every 412
        await late.resource("Patient", id=patient.id, gender="other").save()
    assert "version-conflict" in str(refused.value)


async def test_creating_what_is_there_finds_it(client: AsyncFHIRClient, system: str) -> None:
    patients = client.resources("Patient").search(identifier=f"{system}|1")
    first, created = await patients.get_or_create(
        client.resource("Patient", identifier=identified(system, "1"), gender="female")
    )
    again, created_again = await patients.get_or_create(
        client.resource("Patient", identifier=identified(system, "1"), gender="male")
    )
    assert (created, created_again, again.id, again.gender) == (True, False, first.id, "female")

    changed, created = await patients.update(client.resource("Patient", identifier=identified(system, "1")))
    assert (changed.id, changed.get("gender"), created) == (first.id, None, False)
    with pytest.deprecated_call():  # fhirpy 2.3.1 warns of an argument that is not given
        assert (await patients.patch(gender="other")).gender == "other"
    assert await patients.count() == 1
    assert (await patients.get()).id == first.id


async def test_a_transaction_arrives_whole_and_is_found_from_every_side(
    client: AsyncFHIRClient, system: str
) -> None:
    bundle = client.resource("Bundle", **whole_case(system))
    await bundle.save()
    assert bundle.type == "transaction-response"
    patient = await client.resources("Patient").search(identifier=f"{system}|case").get()

    observations = client.resources("Observation").search(
        patient__Patient__identifier=f"{system}|case", date__ge="2026-11-21", code="http://loinc.org|8867-4"
    )
    assert [found.subject.reference for found in await observations.fetch_all()] == [patient.reference]
    raw = await observations.include("Observation", "subject").include("Observation", "encounter").fetch_raw()
    assert sorted(entry.resource.resourceType for entry in raw.entry) == [
        "Encounter",
        "Observation",
        "Patient",
    ]
    having = client.resources("Patient").has("Observation", "patient", code="8867-4").search(_id=patient.id)
    assert [found.id for found in await having.elements("identifier").fetch()] == [patient.id]
    inside = await client.execute(
        f"Patient/{patient.id}/Observation", method="get", params={"code": "9279-1"}
    )
    assert [entry.resource.valueQuantity.value for entry in inside.entry] == [18]
    everything = await patient.execute("$everything", method="get")
    assert sorted(entry.resource.resourceType for entry in everything.entry) == [
        "Encounter", "Observation", "Observation", "Patient",
    ]  # fmt: skip


async def test_pages_are_turned_to_the_last(client: AsyncFHIRClient, system: str) -> None:
    for number in range(7):
        await client.resource("Patient", identifier=identified(system, str(number))).save()
    found = client.resources("Patient").search(identifier=f"{system}|").limit(3).sort("-_lastUpdated")
    pages = [patient.identifier[0]["value"] async for patient in found]
    assert pages == ["6", "5", "4", "3", "2", "1", "0"]
    assert len(await found.fetch()) == 3


async def test_refusals_come_as_operation_outcomes(client: AsyncFHIRClient, service: Service) -> None:
    with pytest.raises(OperationOutcome) as refused:
        await client.resource("Patient", gender="unheard-of").save()
    assert refused.value.resource["issue"][0]["expression"] == ["Patient.gender"]
    with pytest.raises(OperationOutcome) as refused:
        await client.resources("Patient").search(unheard_of="1").fetch()
    assert refused.value.resource["issue"][0]["code"] == "not-supported"
    with pytest.raises(AuthorizationError, match="OperationOutcome"):
        await AsyncFHIRClient(service.base, authorization="Bearer no").get("Patient", "1")
    assert not await client.resource("Patient", gender="unheard-of").is_valid()
    assert await client.resource("Patient", gender="male").is_valid()


def test_the_client_that_does_not_await_does_the_same(
    service: Service, authorization: str, system: str
) -> None:
    client = SyncFHIRClient(service.base, authorization=authorization)
    client.resource("Bundle", **whole_case(system)).save()
    patient = client.resources("Patient").search(identifier=f"{system}|case").get()
    patient.patch(birthDate="1980-02-04")
    assert client.resources("Patient").search(birthdate="1980-02-04", _id=patient.id).count() == 1
    observations = client.resources("Observation").search(patient=patient.reference)
    assert len(observations.limit(1).fetch_all()) == 2
    for found in observations:
        found.delete()
    patients = client.resources("Patient").search(identifier=f"{system}|new")
    new = client.resource("Patient", identifier=identified(system, "new"))
    assert [patients.get_or_create(new)[1] for _ in range(2)] == [True, False]
    assert len(client.execute(f"Patient/{patient.id}/$everything", method="get").entry) == 2
    with pytest.raises(OperationOutcome):
        client.resource("Observation", subject=patient.to_reference()).save()
