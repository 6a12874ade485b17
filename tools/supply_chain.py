"""What the programs are made of, and whether any of it is known to be vulnerable.

``python -m tools.supply_chain`` writes a CycloneDX bill of materials for each lock file into ``dist/`` and asks the
vulnerability service about every version. A finding fails; a service that cannot be reached does not, and is said
loudly: a check that was not made must not look like one that passed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
LOCKS = {"hub": "requirements/hub.lock", "station": "requirements/station.lock"}
TIMEOUT_S = 300

PASSED, FINDINGS = 0, 1
NOT_CHECKED = "not checked: no vulnerability service"


def bill_of_materials(lock: Path, to: Path) -> int:
    """Write the components of a lock file as CycloneDX JSON, the same each time. Returns how many there are."""
    to.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        (
            BIN / "cyclonedx-py",
            "requirements",
            lock,
            "--output-reproducible",
            "--of",
            "JSON",
            "-o",
            to,
            "--validate",
        ),
        check=True,
        capture_output=True,
    )
    return len(json.loads(to.read_text())["components"])


def pins(lock: Path) -> list[str]:
    """Return a lock's pinned versions, ``name==version``."""
    return [
        line.split()[0]
        for line in lock.read_text().splitlines()
        if "==" in line and not line.startswith((" ", "#"))
    ]


def audit(requirements: list[str]) -> list[dict[str, Any]]:
    """Ask about these versions. Returns one entry each: ``vulns``, or ``skip_reason`` where nobody answered.

    Nobody answering at all gives an empty list.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as asked:
        asked.write("\n".join(requirements))
        asked.flush()
        done = subprocess.run(
            (BIN / "pip-audit", "--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off",
             "-r", asked.name),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )  # fmt: skip
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return []
    return found


def verdict(answers: list[dict[str, Any]], asked: int) -> tuple[int, list[str]]:
    """Return the exit status and what to say about the answers to ``asked`` questions."""
    answered = [answer for answer in answers if "skip_reason" not in answer]
    lines = [
        f"{answer['name']} {answer['version']}: {known['id']}, mended in {', '.join(known['fix_versions']) or '-'}"
        for answer in answered
        for known in answer["vulns"]
    ]
    if lines:
        return FINDINGS, lines
    if not answered:
        return PASSED, [f"{NOT_CHECKED} ({asked} versions)"]
    if len(answered) < asked:
        return PASSED, [
            f"{len(answered)} of {asked} versions are not known to be vulnerable",
            f"{NOT_CHECKED} for the rest",
        ]
    return PASSED, [f"none of {asked} versions is known to be vulnerable"]


def check(lock: Path) -> tuple[int, list[str]]:
    """Ask about a lock's versions; about one first, and about the others only if anybody answers."""
    wanted = pins(lock)
    first = audit(wanted[:1])
    if not first or "skip_reason" in first[0]:
        return verdict([], len(wanted))
    return verdict([*first, *audit(wanted[1:])], len(wanted))


def main() -> int:
    """Write the bills of materials and check every lock. Returns the exit status."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--to", type=Path, default=ROOT / "dist")
    folder = given.parse_args().to
    worst = PASSED
    for name, lock in LOCKS.items():
        to = folder / f"sbom-{name}.json"
        print(f"supply chain: {name}: {bill_of_materials(ROOT / lock, to)} components in {to.name}")
        status, lines = check(ROOT / lock)
        worst = max(worst, status)
        for line in lines:
            loud = "VULNERABLE: " if status == FINDINGS else "*** " if NOT_CHECKED in line else ""
            print(f"supply chain: {name}: {loud}{line}", flush=True)
    return worst


if __name__ == "__main__":
    sys.exit(main())
