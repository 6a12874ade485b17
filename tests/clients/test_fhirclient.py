"""fhirclient of SMART Health IT: the hub found, a token fetched and resources handled as its models do it."""

from uuid import uuid4

import pytest
import requests
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.capabilitystatement import CapabilityStatement
from fhirclient.models.encounter import Encounter
from fhirclient.models.fhirreference import FHIRReference
from fhirclient.models.observation import Observation
from fhirclient.models.operationoutcome import OperationOutcome
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException, FHIRUnauthorizedException

from tests.clients.support import SCOPE, Service, identified, whole_case


def _client(service: Service, **more: str) -> FHIRClient:
    known = {"app_id": service.client_id, "app_secret": service.client_secret, "api_base": service.base}
    client = FHIRClient(settings={**known, "scope": SCOPE, **more})
    client.wants_patient = False  # no launch: a system speaks for itself
    return client


@pytest.fixture(scope="module")
def client(service: Service) -> FHIRClient:
    made = _client(service)
    made.prepare()
    made.authorize()
    return made


@pytest.fixture
def system() -> str:
    return f"urn:uuid:{uuid4()}"


def _patient(system: str, value: str, **more: object) -> Patient:
    return Patient({"identifier": identified(system, value), "gender": "female", **more})


def _created(client: FHIRClient, patient: Patient) -> Patient:
    return Patient(patient.create(client.server))


def _outcome(refused: "pytest.ExceptionInfo[requests.HTTPError]") -> tuple[int, OperationOutcome]:
    answer = refused.value.response
    assert answer is not None
    return answer.status_code, OperationOutcome(answer.json())


def test_the_token_is_found_by_the_capability_statement(service: Service) -> None:
    client = _client(service)
    assert not client.prepare()
    statement: CapabilityStatement = client.server.capabilityStatement
    assert (statement.fhirVersion, statement.implementation.url) == ("4.0.1", service.base)
    client.authorize()
    assert client.ready


def test_a_wrong_secret_gets_no_token(service: Service) -> None:
    client = _client(service, app_secret="guessed")
    client.prepare()
    with pytest.raises(FHIRUnauthorizedException):
        client.authorize()


def test_a_resource_is_created_read_changed_and_deleted(client: FHIRClient, system: str) -> None:
    made = _created(client, _patient(system, "1"))
    patient = Patient.read(made.id, client.server)
    assert (patient.gender, patient.meta.versionId) == ("female", "1")
    patient.gender = "other"
    assert patient.update()["meta"]["versionId"] == "2"
    assert Patient.read_from(f"Patient/{made.id}/_history/1", client.server).gender == "female"
    history = Bundle.read_from(f"Patient/{made.id}/_history", client.server)
    assert [entry.request.method for entry in history.entry] == ["PUT", "POST"]
    assert patient.delete() is None
    with pytest.raises(requests.HTTPError) as refused:
        Patient.read(made.id, client.server)
    status, outcome = _outcome(refused)
    assert (status, outcome.issue[0].details.coding[0].code) == (410, "resource-deleted")
    with pytest.raises(FHIRNotFoundException) as unknown:
        Patient.read(str(uuid4()), client.server)
    assert OperationOutcome(unknown.value.response.json()).issue[0].code == "not-found"


def test_headers_of_the_session_make_writes_conditional(client: FHIRClient, system: str) -> None:
    headers = client.server.session.headers
    made = _created(client, _patient(system, "1"))
    try:
        headers["If-None-Exist"] = f"identifier={system}|1"
        assert _created(client, _patient(system, "1")).id == made.id
        del headers["If-None-Exist"]
        headers["If-Match"] = 'W/"1"'
        made.active = True
        made.update(client.server)
        made.active = False
        with pytest.raises(requests.HTTPError) as refused:
            made.update(client.server)
    finally:
        headers.pop("If-None-Exist", None)
        headers.pop("If-Match", None)
    status, outcome = _outcome(refused)
    assert (status, outcome.issue[0].code) == (412, "conflict")


def test_a_transaction_arrives_whole_and_is_found_from_every_side(client: FHIRClient, system: str) -> None:
    answer = Bundle(Bundle(whole_case(system)).create(client.server))
    assert [entry.response.status.partition(" ")[0] for entry in answer.entry] == ["201"] * 4
    (patient,) = Patient.where({"identifier": f"{system}|case"}).perform_resources_iter(client.server)
    assert patient.name[0].family == "Nguyễn"

    chained = Observation.where(
        {"patient.identifier": f"{system}|case", "code": {"$or": ["8867-4", "9279-1"]}, "date": "ge2026"}
    )
    found = list(chained.include("encounter").perform_resources_iter(client.server))
    assert [type(resource) for resource in found] == [Observation, Observation, Encounter]
    assert {resource.subject.reference for resource in found} == {f"Patient/{patient.id}"}
    of_type = Observation.where({"subject": {"$type": "Patient", "identifier": f"{system}|case"}})
    assert len(list(of_type.perform_resources_iter(client.server))) == 2
    around = Patient.where({"_id": patient.id}).include("subject", Observation, reverse=True)
    assert len(list(around.perform_resources_iter(client.server))) == 3

    everything = Bundle.read_from(f"Patient/{patient.id}/$everything", client.server)
    assert len(everything.entry) == 4
    compartment = Bundle.read_from(f"Patient/{patient.id}/Observation?code=8867-4", client.server)
    assert compartment.total == 1
    server = client.server
    posted = server.session.post(
        f"{server.base_uri}Patient/_search",
        data={"identifier": f"{system}|case"},
        headers=server.auth.signed_headers(None),
    )
    assert Bundle(posted.json()).entry[0].resource.id == patient.id


def test_pages_are_turned_to_the_last(client: FHIRClient, system: str) -> None:
    for number in range(5):
        _created(client, _patient(system, str(number)))
    search = Patient.where({"identifier": f"{system}|", "_count": "2", "_sort": "_lastUpdated"})
    pages = [len(bundle.entry) for bundle in search.perform_iter(client.server)]
    assert pages == [2, 2, 1]
    found = search.perform_resources_iter(client.server)
    assert [patient.identifier[0].value for patient in found] == ["0", "1", "2", "3", "4"]


def test_a_reference_leads_to_its_resource(client: FHIRClient, system: str) -> None:
    made = _created(client, _patient(system, "1"))
    observation = Observation({"status": "final", "code": {"text": "thân nhiệt"}})
    observation.subject = FHIRReference({"reference": f"Patient/{made.id}"})
    stored = Observation.read(observation.create(client.server)["id"], client.server)
    assert stored.subject.resolved(Patient).identifier[0].system == system


def test_what_is_not_valid_is_refused_with_the_place(client: FHIRClient) -> None:
    with pytest.raises(requests.HTTPError) as refused:
        client.server.post_json("Patient", {"resourceType": "Patient", "gender": "unheard-of"})
    status, outcome = _outcome(refused)
    assert (status, outcome.issue[0].expression) == (422, ["Patient.gender"])
