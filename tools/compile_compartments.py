"""Compile the official FHIR R4 (4.0.1) compartments into ``clinic_net/fhir/definitions/compartments.json``.

Usage: ``python -m tools.compile_compartments ARCHIVE``, where ARCHIVE is the npm package ``hl7.fhir.r4.examples`` as
``npm pack`` fetches it: HL7's own, with the CompartmentDefinitions that the Maven carrier of the other definitions
lacks. One line a compartment; by type the search parameters that put a resource into it, ``{def}`` where the resource
is the compartment itself. Types that are in no compartment by a parameter are left out. The same input always gives the
same bytes.
"""

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

VERSION = "4.0.1"
NAMES = ("patient", "encounter", "relatedPerson", "practitioner", "device")
TARGET = Path(__file__).parent.parent / "clinic_net" / "fhir" / "definitions" / "compartments.json"


def _definition(archive: tarfile.TarFile, name: str) -> dict[str, Any]:
    member = archive.extractfile(f"package/CompartmentDefinition-{name}.json")
    assert member is not None
    found: dict[str, Any] = json.load(member)
    if found["version"] != VERSION:
        raise SystemExit(f"{name}: version {found['version']}, not {VERSION}")
    return found


def compile_compartments(archive: tarfile.TarFile) -> str:
    """Return the text of the compiled file."""
    lines = []
    for definition in sorted((_definition(archive, name) for name in NAMES), key=lambda found: found["code"]):
        parameters = {item["code"]: item["param"] for item in definition["resource"] if item.get("param")}
        line = json.dumps({"url": definition["url"], "parameters": parameters}, separators=(",", ":"))
        lines.append(f'"{definition["code"]}":{line}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m tools.compile_compartments ARCHIVE")
    with tarfile.open(sys.argv[1]) as archive:
        text = compile_compartments(archive)
    TARGET.write_text(text, encoding="utf-8")
    print(f"{TARGET.name}: {len(text.encode())} bytes")


if __name__ == "__main__":
    main()
