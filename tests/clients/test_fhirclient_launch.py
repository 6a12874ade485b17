"""fhirclient of SMART Health IT launches by itself: it is sent to the person, comes back with a code, reads, renews."""

import json
import subprocess
import sys
from urllib.parse import urlsplit

import httpx
import pytest
from fhirclient.client import FHIRClient
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException

from clinic_net.access.principals import Role
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.settings import HubSettings
from tests.access.programs import add_patient, agree
from tests.app.process import environment
from tests.clients.support import Service
from tests.console.support import Person, add_person, sign_in
from tests.consultations.support import make_district

BACK = "http://localhost:8000/fhir-app/"


@pytest.fixture(scope="module")
async def doctor(hub: Hub) -> Person:
    await make_district(hub)
    return await add_person(hub, Role.DOCTOR)


def _registered(settings: HubSettings, *options: str) -> dict[str, str]:
    """Register a program as an operator does."""
    added = subprocess.run(
        (
            sys.executable, "-m", "clinic_net.cli", "client", "add", "viewer", "--redirect-uri", BACK,
            "--scope", "openid fhirUser launch/patient offline_access patient/*.read", *options,
        ),
        env=environment(settings, named=False),
        capture_output=True,
        check=True,
    )  # fmt: skip
    return dict(json.loads(added.stdout))


@pytest.mark.parametrize("kind", ["public", "confidential"])
async def test_a_standalone_launch_from_discovery_to_renewal(
    service: Service, settings: HubSettings, hub: Hub, doctor: Person, kind: str
) -> None:
    known = _registered(settings, *(["--public"] if kind == "public" else []))
    assert ("client_secret" in known) is (kind == "confidential")
    patient = await add_patient(hub, doctor.user, "Giàng Thị Chọn")
    other = await add_patient(hub, doctor.user, "Người Khác")
    program = FHIRClient(
        settings={
            "app_id": known["client_id"],
            "app_secret": known.get("client_secret"),
            "api_base": service.base,
            "redirect_uri": BACK,
            "scope": "openid fhirUser offline_access patient/*.read",
        }
    )
    assert not program.prepare()
    parts = urlsplit(program.authorize_url)
    headers = {"Accept": "text/html", "Origin": service.url}
    async with httpx.AsyncClient(base_url=service.url, headers=headers) as browser:
        assert (await sign_in(browser, doctor.login)).status_code == 303
        agreed = await agree(browser, f"{parts.path}?{parts.query}", patient=patient)
    program.handle_callback(agreed.headers["location"])

    assert program.ready
    assert program.launch_context["patient"] == patient
    assert program.patient.name[0].text == "Giàng Thị Chọn"
    assert [found.id for found in Patient.where({}).perform_resources_iter(program.server)] == [patient]
    with pytest.raises(FHIRNotFoundException):
        Patient.read(other, program.server)
    before = program.server.auth.refresh_token
    assert program.reauthorize()
    assert program.server.auth.refresh_token != before
    assert Patient.read(patient, program.server).id == patient
