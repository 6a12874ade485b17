"""A running hub as a client of others sees it: an address, and a system's id and secret."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from clinic_net.kernel.settings import HubSettings
from tests.app.process import environment, serving

SCOPE = "system/*.cruds"


@dataclass(frozen=True)
class Service:
    """What the operator of another system is told."""

    url: str
    client_id: str
    client_secret: str

    @property
    def base(self) -> str:
        return f"{self.url}/fhir"

    def token(self) -> str:
        """Discover where tokens are issued and fetch one, as SMART backend services say."""
        found = httpx.get(f"{self.base}/.well-known/smart-configuration").json()
        form = {"grant_type": "client_credentials", "scope": SCOPE}
        answer = httpx.post(found["token_endpoint"], data=form, auth=(self.client_id, self.client_secret))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


@contextmanager
def running(settings: HubSettings) -> Iterator[Service]:
    """Run a hub that nobody gave a public URL, and add a system to it from the terminal."""
    with serving(settings, "--no-worker", named=False) as process:
        added = subprocess.run(
            (sys.executable, "-m", "clinic_net.cli", "client", "add", "outside", "--scope", SCOPE),
            env=environment(settings, named=False),
            capture_output=True,
            check=True,
        )
        yield Service(process.url, **json.loads(added.stdout))


def identified(system: str, value: str) -> list[dict[str, Any]]:
    return [{"system": system, "value": value}]


def whole_case(system: str) -> dict[str, Any]:
    """A transaction: a patient, an encounter and two observations that refer to each other by ``urn:uuid``."""
    patient, encounter, *of_observations = (f"urn:uuid:{uuid4()}" for _ in range(4))

    def entry(full_url: str, resource: dict[str, Any]) -> dict[str, Any]:
        request = {"method": "POST", "url": resource["resourceType"]}
        return {"fullUrl": full_url, "resource": resource, "request": request}

    observed = [
        entry(
            full_url,
            {
                "resourceType": "Observation",
                "status": "final",
                "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
                "subject": {"reference": patient},
                "encounter": {"reference": encounter},
                "effectiveDateTime": "2026-11-21T08:30:00+07:00",
                "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "/min"},
            },
        )
        for full_url, code, value in zip(of_observations, ("8867-4", "9279-1"), (72, 18), strict=True)
    ]
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            entry(
                patient,
                {
                    "resourceType": "Patient",
                    "identifier": identified(system, "case"),
                    "name": [{"family": "Nguyễn", "given": ["Thị", "Hòa"]}],
                    "gender": "female",
                    "birthDate": "1980-02-03",
                },
            ),
            entry(
                encounter,
                {
                    "resourceType": "Encounter",
                    "status": "in-progress",
                    "class": {
                        "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                        "code": "AMB",
                    },
                    "subject": {"reference": patient},
                },
            ),
            *observed,
        ],
    }
