"""A store that an earlier release left unencrypted is encrypted once, in its place.

Each step can be cut off by the mains: until the new file has taken the name, the old one is the truth and the work
begins anew; after that, only the old one's remains are left to be wiped.
"""

import os
from pathlib import Path

from station_agent import sealing
from station_agent.store import cipher


def convert(path: Path, key: bytes) -> None:
    """Encrypt a plain database. Nothing is done when it is encrypted already."""
    fresh, old = path.with_name(f"{path.name}.encrypting"), path.with_name(f"{path.name}.plain")
    if cipher.is_plain(path):
        _export(path, fresh, key)
        old.unlink(missing_ok=True)
        old.hardlink_to(path)
        sealing.settle(path.parent)
        fresh.replace(path)
        sealing.settle(path.parent)
    for left in (*_beside(old), *_beside(fresh)):
        sealing.wipe(left)


def _beside(path: Path) -> tuple[Path, ...]:
    return tuple(path.with_name(path.name + end) for end in ("", "-wal", "-shm", "-journal"))


def _export(path: Path, fresh: Path, key: bytes) -> None:
    for left in _beside(fresh):
        left.unlink(missing_ok=True)
    plain = cipher.connect(path, None)
    try:
        # Everything into the one file: a log that stayed behind would be read as the new file's.
        plain.execute("pragma wal_checkpoint(truncate)")
        plain.execute("pragma journal_mode = delete")
        version = plain.execute("pragma user_version").fetchone()[0]
        plain.execute("attach database ? as encrypted key ?", (str(fresh), f"x'{key.hex()}'"))
        plain.execute("pragma encrypted.synchronous = full")
        plain.execute("select sqlcipher_export('encrypted')")
        plain.execute(f"pragma encrypted.user_version = {int(version)}")
        plain.execute("detach database encrypted")
    finally:
        plain.close()
    made = cipher.connect(fresh, key)
    try:
        found = made.execute("pragma quick_check").fetchone()[0]
    finally:
        made.close()
    if found != "ok":
        raise OSError("the encrypted copy is not whole")
    fresh.chmod(0o600)
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
