"""What the house promises about itself, beyond what import-linter, ruff and mypy can see."""

import importlib
import pkgutil
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import clinic_net
import station_agent
from clinic_net.kernel.errors import Refusal, Retry
from station_agent.errors import StationRefusal

ROOT = Path(__file__).parents[2]
PROGRAMS = ("clinic_net", "station_agent")
LONGEST_MODULE = 400
LONGEST_ADR = 50


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def _below(kind: type[Exception]) -> Iterator[type[Exception]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


@pytest.fixture(scope="module", autouse=True)
def everything() -> int:
    """Import every module of both programs, so that every subclass is known."""
    return sum(1 for package in (clinic_net, station_agent) for _ in _modules(package))


@pytest.mark.parametrize("family", [Refusal, StationRefusal], ids=["hub", "station"])
def test_a_refusal_is_known_by_a_code_that_no_other_has(family: type[Exception]) -> None:
    owners: dict[str, set[str]] = defaultdict(set)
    for kind in _below(family):
        if kind.__module__.startswith(PROGRAMS):
            own = kind.__dict__.get("code")
            if isinstance(own, str):
                owners[own].add(f"{kind.__module__}.{kind.__name__}")
    assert {code: names for code, names in owners.items() if len(names) > 1} == {}
    assert [code for code in owners if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", code)] == []
    assert len(owners) > 3


def test_every_refusal_says_whether_to_try_again() -> None:
    assert all(isinstance(vars(kind).get("retry", Retry.NEVER), Retry) for kind in _below(Refusal))


def test_no_module_is_too_long_to_be_read() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for name in (*PROGRAMS, "tools", "migrations")
        for path in (ROOT / name).rglob("*.py")
        if "versions" not in path.parts
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def test_the_packages_that_both_wheels_share_have_an_empty_root() -> None:
    assert (ROOT / "clinic_net" / "__init__.py").read_text() == ""


def test_a_capability_says_what_it_is_in_one_paragraph() -> None:
    silent = [
        folder.name
        for folder in (ROOT / "clinic_net").iterdir()
        if (folder / "__init__.py").is_file() and not (folder / "__init__.py").read_text().startswith('"""')
    ]
    assert silent == []


HEAVY = (
    "fastapi",
    "sqlmodel",
    "sqlalchemy",
    "psycopg",
    "redis",
    "fhir",
    "procrastinate",
    "alembic",
    "uvloop",
)


def test_a_station_starts_without_anything_of_the_hub() -> None:
    program = "import sys, station_agent.cli; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(done.stdout.split())
    assert loaded & set(HEAVY) == set()
    ours = {name.split(".")[1] for name in loaded if name.startswith("clinic_net.")}
    assert ours <= {"protocol", "clinical"}


def test_a_decision_is_short_decided_and_says_what_holds_it() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = [int(path.name[:4]) for path in decisions]
    assert numbers == list(range(1, len(numbers) + 1))
    for path in decisions:
        lines = path.read_text().splitlines()
        assert len(lines) <= LONGEST_ADR, path.name
        assert lines[0].startswith(f"# {int(path.name[:4])}. "), path.name
        assert "accepted" in lines[2].lower(), path.name


def test_text_in_the_tree_names_no_place_of_one_machine() -> None:
    tracked = subprocess.run(("git", "ls-files", "-z"), cwd=ROOT, capture_output=True, check=False)
    places = re.compile(r"(?<![\w.$~-])/(?:work|root|home/\w+)/")
    kinds = {".md", ".py", ".toml", ".yaml", ".cfg", ".conf", ".sh", ".js", ".lock", ".json"}
    paths = [ROOT / name for name in tracked.stdout.decode().split("\0") if Path(name).suffix in kinds]
    found = [
        str(path.relative_to(ROOT))
        for path in paths
        if path.is_file() and path != Path(__file__) and places.search(path.read_text())
    ]
    assert found == []
