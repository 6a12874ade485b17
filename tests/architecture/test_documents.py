"""The documents say what is there: each folder, each setting, each command."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from clinic_net import cli
from clinic_net.kernel.settings import HubSettings

ROOT = Path(__file__).parents[2]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()

PICTURES = ROOT / "docs" / "pictures"

TWO_SCREENS = 140
"""Lines."""


def _folders() -> list[str]:
    house = (folder for folder in ROOT.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    tracked = [f"{folder.name}/" for folder in house if _is_source(folder)]
    capabilities = (
        folder for folder in (ROOT / "clinic_net").iterdir() if (folder / "__init__.py").is_file()
    )
    return sorted([*tracked, *(f"{folder.name}/" for folder in capabilities)])


def _is_source(folder: Path) -> bool:
    made = {"node_modules", "dist", "build", "demo-data", "clinic-net-data", "data", "var", "htmlcov"}
    return folder.name not in made and any(
        (folder / name).exists()
        for name in (
            "__init__.py", "adr", "compose.yaml", "dev.lock"
        )
    )  # fmt: skip


@pytest.mark.parametrize("folder", _folders())
def test_the_architecture_names_every_folder(folder: str) -> None:
    assert f"`{folder}`" in ARCHITECTURE


def test_the_architecture_fits_on_two_screens_and_is_dated() -> None:
    assert len(ARCHITECTURE.splitlines()) <= TWO_SCREENS
    assert re.search(r"\b20\d\d-\d\d-\d\d\b", ARCHITECTURE)
    assert ARCHITECTURE.count("```mermaid") == 1


def _commands() -> Iterator[str]:
    def below(parser: argparse.ArgumentParser, name: str) -> Iterator[str]:
        groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        if not groups:
            yield name
        for group in groups:
            for word, child in group.choices.items():
                yield from below(child, f"{name} {word}")

    yield from below(cli.parser(), "clinic-net")


@pytest.mark.parametrize("command", sorted(_commands()))
def test_the_operators_page_explains_every_command(command: str) -> None:
    assert f"`{command}" in OPERATIONS


@pytest.mark.parametrize("field", sorted(HubSettings.model_fields))
def test_the_operators_page_explains_every_setting(field: str) -> None:
    assert f"`CLINIC_NET_{field.upper()}`" in OPERATIONS


def test_the_operators_page_names_no_setting_that_is_gone() -> None:
    named = set(re.findall(r"`CLINIC_NET_([A-Z_]+)`", OPERATIONS))
    known = {name.upper() for name in HubSettings.model_fields} | {"CHROMIUM", "SECRETS"}
    assert named <= known


DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "docker/*.md", "clinic_net/**/*.md")
    for path in ROOT.glob(pattern)
    if "node_modules" not in path.parts
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_link_leads_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text())
    local = [target for target in targets if "://" not in target]
    if not PICTURES.is_dir():  # a tree in which `make screenshots` has not run yet
        local = [target for target in local if not target.startswith("docs/pictures/")]
    assert [target for target in local if not (document.parent / target).exists()] == []
