"""Keys and passwords of a hub that was given none: made once, kept in ``secrets.json``, readable by its owner."""

import json
import os
import secrets
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

from clinic_net.kernel.embedded.errors import DataFolderUnusable

FILE = "secrets.json"
_BYTES = 32
_BEFORE = "_before"
_ROTATED = ("token_key", "identifier_key")
_NOT_ALWAYS = frozenset(name + _BEFORE for name in _ROTATED)


@dataclass(frozen=True)
class EmbeddedKeys:
    """256 random bits each, as text that needs no quoting in an address. Never printed."""

    token_key: str = field(repr=False)
    identifier_key: str = field(repr=False)
    turn_secret: str = field(repr=False)
    cookie_key: str = field(repr=False)
    database_password: str = field(repr=False)
    database_admin_password: str = field(repr=False)
    redis_password: str = field(repr=False)
    token_key_before: str = field(default="", repr=False)
    """What ``rotate`` put the token key in the place of, until ``retire``."""
    identifier_key_before: str = field(default="", repr=False)
    """The same for the key that wraps the data keys."""

    @classmethod
    def load(cls, data: Path) -> Self:
        """Read the keys of a data folder; make those that are missing. The caller holds the folder's turn.

        Errors: :class:`DataFolderUnusable` when the file cannot be read. It is never replaced by new keys:
        that would lock out every device and lose the database.
        """
        path = data / FILE
        names = [each.name for each in fields(cls)]
        known = _read(path)
        missing = [name for name in names if name not in known and name not in _NOT_ALWAYS]
        if missing:
            known |= {name: secrets.token_urlsafe(_BYTES) for name in missing}
            _write(path, known)
        elif path.stat().st_mode & 0o077:
            path.chmod(0o600)
        return cls(**{name: known[name] for name in names if name in known})


def rotate(data: Path) -> None:
    """Make a new token key and a new identifier key, and keep those that were in force as the ones before.

    A data folder of an older release has no identifier key yet: it gets its first at the next start.

    Errors: :class:`DataFolderUnusable` when there are no keys here, they cannot be read, or those before the last
    rotation are still there: data keys may be wrapped by nothing else.
    """
    known = _read(data / FILE)
    if "token_key" not in known:
        raise DataFolderUnusable(f"{data} holds no keys of a hub")
    if known.get("identifier_key" + _BEFORE):
        raise DataFolderUnusable(
            f"{data} holds keys from before the last rotation: clinic-net keys retire first"
        )
    for name in _ROTATED:
        if name in known:
            known |= {name + _BEFORE: known[name], name: secrets.token_urlsafe(_BYTES)}
    _write(data / FILE, known)


def retire(data: Path) -> bool:
    """Forget the keys before these; whether there were any.

    Errors: :class:`DataFolderUnusable` when the keys cannot be read.
    """
    known = _read(data / FILE)
    before = [known.pop(name, None) for name in sorted(_NOT_ALWAYS)]
    if not any(before):
        return False
    _write(data / FILE, known)
    return True


def _read(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except OSError as problem:
        raise DataFolderUnusable(f"{path} cannot be read: {problem.strerror}") from problem
    except ValueError as problem:
        raise DataFolderUnusable(f"{path} is damaged; restore it from a backup") from problem
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise DataFolderUnusable(f"{path} is damaged; restore it from a backup")
    return content


def _write(path: Path, content: dict[str, str]) -> None:
    """Replace the file in one step, so that a power cut leaves the old one or the new one."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as writable:
        json.dump(content, writable, indent=1)
        writable.flush()
        os.fsync(writable.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
