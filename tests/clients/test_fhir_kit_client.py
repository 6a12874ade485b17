"""fhir-kit-client, in the Node that comes with the development environment."""

import os
import subprocess
import sys
from pathlib import Path

from tests.clients.support import Service

ROOT = Path(__file__).parents[2]


def test_fhir_kit_client_works_with_the_hub(service: Service) -> None:
    known = {
        "HUB_FHIR": service.base,
        "HUB_CLIENT_ID": service.client_id,
        "HUB_CLIENT_SECRET": service.client_secret,
    }
    done = subprocess.run(
        [Path(sys.executable).parent / "node", "--test", ROOT / "tests" / "clients" / "kit.test.mjs"],
        cwd=ROOT,
        env=os.environ | known,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
