"""``make test``: every check, in the order in which a mistake is cheapest to find.

``python -m tools.check`` runs all; ``python -m tools.check lint types`` runs some. Every check runs even
when an earlier one failed, and one line for each says how long it took.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

PURE = ("tests/protocol", "tests/clinical", "tests/fhir")
"""Tests without a database: they run first, in seconds."""

NO_TESTS_COLLECTED = 5
"""pytest's exit status when there was nothing to run."""


def _bin(name: str) -> str:
    return str(BIN / name)


def _pure() -> list[str]:
    return [path for path in PURE if (ROOT / path).is_dir()]


def _checks() -> dict[str, tuple[str, ...] | None]:
    """Return each check's command; None when there is nothing to check yet."""
    pytest = (sys.executable, "-m", "pytest", "--quiet")
    modules = any(
        "vendor" not in path.parts
        for name in ("clinic_net", "station_agent")
        for path in (ROOT / name).rglob("*.js")
    )
    return {
        "format": (_bin("ruff"), "format", "--check", "--quiet", "."),
        "lint": (_bin("ruff"), "check", "--quiet", "."),
        "types": (_bin("mypy"),),
        "contracts": (_bin("lint-imports"), "--no-logo"),
        "browser-types": ("node_modules/.bin/tsc", "--project", "tsconfig.json") if modules else None,
        "translations": (sys.executable, "-m", "tools.translations", "--check"),
        "tests-pure": (*pytest, *_pure()) if _pure() else None,
        "tests": (*pytest, "--numprocesses=2", "--dist=loadfile", *(f"--ignore={path}" for path in PURE)),
    }


def run(names: Iterable[str]) -> bool:
    """Run the named checks. Returns whether all passed."""
    checks = _checks()
    results: list[tuple[str, bool, float]] = []
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
    for name in names:
        command = checks[name]
        if command is None:
            print(f"check: {name}: nothing to check", flush=True)
            continue
        print(f"check: {name} …", flush=True)
        started = time.monotonic()
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        passed = status == 0 or (name.startswith("tests") and status == NO_TESTS_COLLECTED)
        results.append((name, passed, time.monotonic() - started))
    for name, passed, seconds in results:
        print(f"check: {name:14} {'passed' if passed else 'FAILED'} {seconds:7.1f} s", flush=True)
    return all(passed for _, passed, _ in results)


def main() -> int:
    """Run the checks named on the command line, or all. Returns the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", metavar="CHECK", help=", ".join(_checks()))
    names: list[str] = arguments.parse_args().names
    if unknown := [name for name in names if name not in _checks()]:
        arguments.error(f"no such check: {unknown[0]}")
    return 0 if run(names or _checks()) else 1


if __name__ == "__main__":
    sys.exit(main())
