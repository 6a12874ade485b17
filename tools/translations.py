"""Message catalogues: English in the code (the msgid), Vietnamese in ``locale/vi/LC_MESSAGES/messages.po``.

A ``locale`` folder holds the messages of the package it lies in, except those of packages below that
have a ``locale`` of their own. Without an option the catalogues are compiled. ``--update`` first brings
them up to date with the code; ``--check`` fails when one is behind or a message has no translation.
"""

import argparse
import io
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from hatch_build import compile_catalogues

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("clinic_net", "station_agent")
KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "_": None,
    "N_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),  # type: ignore[dict-item]  # Babel's notation for a context, missing in its types
}
METHODS = {".py": "python", ".html": "jinja2", ".txt": "jinja2", ".svg": "jinja2"}
"""How the messages of a file are found. Templates are everything below a ``templates`` folder."""


def catalogues() -> list[Path]:
    """Return every catalogue's source file."""
    return sorted(path for name in PACKAGES for path in (ROOT / name).rglob("locale/*/LC_MESSAGES/*.po"))


def _sources(package: Path) -> list[Path]:
    """Return the files whose messages belong to ``package``'s own ``locale`` folder."""
    others = [path.parent for path in package.rglob("locale") if path.is_dir() and path.parent != package]
    return sorted(
        path
        for path in package.rglob("*")
        if path.suffix in METHODS
        and (path.suffix == ".py" or "templates" in path.parts)
        and not any(path.is_relative_to(other) for other in others)
    )


def extract(package: Path) -> Catalog:
    """Return the messages that the code and the templates of ``package`` use now."""
    found = Catalog(project="clinic-net", charset="utf-8")
    for path in _sources(package):
        messages = extract_from_file(
            METHODS[path.suffix],
            path,
            keywords=KEYWORDS,
            comment_tags=("Translators:",),
            options={"trimmed": "true", "silent": "false"},
        )
        place = path.relative_to(ROOT).as_posix()
        for _, message, comments, context in messages:
            found.add(message, locations=[(place, 0)], auto_comments=comments, context=context)
    return found


def _read(path: Path) -> Catalog:
    with path.open("rb") as readable:
        return read_po(readable, locale=path.parent.parent.name)


def _updated(path: Path) -> Catalog:
    catalogue = _read(path)
    catalogue.update(extract(path.parents[3]), no_fuzzy_matching=True, update_creation_date=False)
    return catalogue


def _written(catalogue: Catalog) -> bytes:
    written = io.BytesIO()
    write_po(written, catalogue, width=110, ignore_obsolete=True, sort_output=True, include_lineno=False)
    return written.getvalue()


def problems(path: Path) -> list[str]:
    """Return what is wrong with a catalogue: messages of the code that it lacks or does not translate."""
    present, updated = _read(path), _updated(path)
    place = path.relative_to(ROOT)
    missing = [
        str(message.id) for message in updated if message.id and not present.get(message.id, message.context)
    ]
    untranslated = [
        str(message.id)
        for message in updated
        if message.id
        and str(message.id) not in missing
        and (message.fuzzy or not _translated(message.string))
    ]
    return [f"{place}: the code's {text!r} is missing; run make translations" for text in missing] + [
        f"{place}: {text!r} is not translated" for text in untranslated
    ]


def _translated(string: object) -> bool:
    return all(string) if isinstance(string, tuple) else bool(string)


def main() -> int:
    """Compile, update or check. Returns the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--update", action="store_true")
    arguments.add_argument("--check", action="store_true")
    chosen = arguments.parse_args()
    if chosen.update:
        for path in catalogues():
            path.write_bytes(_written(_updated(path)))
    found = (
        [problem for path in catalogues() for problem in problems(path)]
        if chosen.check or chosen.update
        else []
    )
    print("\n".join(found), end="\n" if found else "")
    compiled = sum(compile_catalogues(ROOT / name) for name in PACKAGES)
    print(f"translations: {compiled} catalogues compiled")
    return 1 if chosen.check and found else 0


if __name__ == "__main__":
    sys.exit(main())
