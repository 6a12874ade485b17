"""A station's ServiceRequest, read as a call for help."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.consultations.errors import NotAConsultationRequest
from clinic_net.consultations.requests import ConsultRequest, is_consult_request, read_request

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
ID = "0190a000-0000-7000-8000-000000000001"
OURS = "http://clinic-net.vn/fhir/"


def service_request(**changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "id": ID,
        "status": "active",
        "intent": "order",
        "category": [
            {"coding": [{"system": OURS + "CodeSystem/request-category", "code": "teleconsultation"}]}
        ],
        "priority": "asap",
        "subject": {"reference": "Patient/p1"},
        "performerType": {"coding": [{"system": OURS + "CodeSystem/specialty", "code": "cardiology"}]},
        "authoredOn": "2026-11-20T08:15:00+07:00",
    } | changes


def triage(colour: str, score: int = 7) -> list[dict[str, Any]]:
    parts = [{"url": "colour", "valueCode": colour}, {"url": "score", "valueInteger": score}]
    return [{"url": OURS + "StructureDefinition/triage", "extension": parts}]


def read(resource: dict[str, Any]) -> ConsultRequest:
    return read_request(resource, site="03163-01", received=NOW, ring_after=timedelta(seconds=30))


def test_a_request_keeps_its_id_and_the_stations_time() -> None:
    asked = read(service_request())

    assert str(asked.id) == ID
    assert asked.requested_at == datetime(2026, 11, 20, 1, 15, tzinfo=UTC)
    assert (asked.patient, asked.specialty, asked.urgency) == ("p1", "cardiology", "orange")


@pytest.mark.parametrize(
    ("priority", "colour", "urgency"),
    [
        ("stat", "green", "red"),
        ("routine", "red", "red"),
        ("routine", "green", "green"),
        ("routine", "none", "yellow"),
        ("urgent", "orange", "orange"),
        (None, "green", "yellow"),
    ],
)
def test_the_more_urgent_of_priority_and_triage_counts_and_green_must_be_claimed(
    priority: str | None, colour: str, urgency: str
) -> None:
    assert read(service_request(priority=priority, extension=triage(colour))).urgency == urgency


def test_an_unknown_specialty_asks_for_a_general_doctor() -> None:
    assert read(service_request(performerType={"text": "Tim mạch"})).specialty == "general"


@pytest.mark.parametrize("broken", [{"subject": {"display": "?"}}, {"id": "not-a-uuid"}])
def test_a_request_without_patient_or_usable_id_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(NotAConsultationRequest):
        read(service_request(**broken))


def test_other_orders_are_no_consultations() -> None:
    assert is_consult_request(service_request())
    assert not is_consult_request(service_request(category=[{"coding": [{"code": "teleconsultation"}]}]))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["coding", "system", "url", "extension", "reference", "code"]), inner
        )
    ),
    max_leaves=8,
)


@given(
    changes=st.dictionaries(
        st.sampled_from(
            ["category", "priority", "performerType", "encounter", "extension", "authoredOn", "subject", "id"]
        ),
        _json,
    )
)
def test_whatever_else_is_in_it_a_request_is_read_or_refused(changes: dict[str, Any]) -> None:
    resource = service_request(**changes)
    is_consult_request(resource)
    try:
        asked = read(resource)
    except NotAConsultationRequest:
        return
    assert asked.urgency in ("red", "orange", "yellow", "green")
