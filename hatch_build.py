"""Build hook of both distributions: compiles message catalogues (``.po``), so that wheels carry them (``.mo``)."""

from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CATALOGUES = "locale/*/LC_MESSAGES/*.po"


def compile_catalogues(folder: Path) -> int:
    """Compile every catalogue below ``folder`` beside its source. Returns how many there were."""
    sources = sorted(folder.rglob(CATALOGUES))
    for source in sources:
        with source.open("rb") as readable:
            catalogue = read_po(readable, locale=source.parent.parent.name)
        with source.with_suffix(".mo").open("wb") as writable:
            write_mo(writable, catalogue)
    return len(sources)


class CatalogueHook(BuildHookInterface[Any]):
    """Runs ``compile_catalogues`` on the folders that ``pyproject.toml`` names (``folders``)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the builder collects files."""
        for folder in self.config.get("folders", ()):
            compile_catalogues(Path(self.root, folder).resolve())
