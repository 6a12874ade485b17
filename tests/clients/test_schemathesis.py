"""schemathesis against the hub's own OpenAPI document: what is declared is what happens."""

import os
import subprocess
import sys
from pathlib import Path

from tests.clients.support import Service

ROOT = Path(__file__).parents[2]


def test_the_hub_does_what_its_openapi_document_says(service: Service) -> None:
    command: list[str | Path] = [
        *(
            Path(sys.executable).parent / "schemathesis",
            "--config-file",
            ROOT / "tests/clients/schemathesis.toml",
        ),
        *("run", f"{service.base}/openapi.json", "--header", f"Authorization: Bearer {service.token()}"),
        *("--phases", "examples,coverage,fuzzing,stateful", "--checks", "all", "--no-color"),
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.clients.hooks"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-2000:]
    assert "Tested: " in done.stdout
