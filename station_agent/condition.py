"""How a station is, for a technician: counts, codes and versions, nothing about patients."""

import platform
import shutil
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from station_agent import __version__, clock, keys, lock, sealing
from station_agent.errors import KeyMissing, NotEnrolled, OtherComputer, SealBroken
from station_agent.link.state import LinkState
from station_agent.staff import store as staff
from station_agent.store import Tx, checking, cipher, figures, files, outbox, settings
from station_agent.store.database import FILE_NAME, read_only

CLOCK_WRONG_S = 5 * 60
"""Past so many seconds from the hub's clock, times in records mislead (sync §4.6)."""
ROOM_BYTES = 100 * 1024 * 1024
"""Less room than this on the disk needs a person before it needs a miracle."""


def status(directory: Path) -> dict[str, Any]:
    """Return how a station is, whether its agent runs or not. A store that does not open is told as ``store.problem``.

    Raises:
        NotEnrolled: this directory holds no station.
    """
    running = lock.is_held(directory)
    try:
        tx = read_only(directory / FILE_NAME)
    except FileNotFoundError:
        raise NotEnrolled("there is no data here: run station-agent enrol first") from None
    except (OtherComputer, SealBroken, KeyMissing) as refusal:
        return _unreadable(directory, refusal.code, running=running)
    try:
        return {**summary(tx, running=running, now=clock.now()), **machine(directory)}
    except cipher.Error as error:
        if not cipher.is_damage(error):
            raise
        return _unreadable(directory, "store-damaged", running=running)
    finally:
        tx.close()


def needs_a_person(found: dict[str, Any]) -> bool:
    """Whether somebody has to look: a record, the clock, the disk, or a station that is blocked."""
    store = found["store"]
    return bool(
        found["refused"]
        or found["conflicts"]
        or found["link"] in ("revoked", "outdated", "unreadable")
        or store["problem"]
        or store["low_on_room"]
        or store["sealed"] == "nothing"
        or abs(found["clock_offset_s"] or 0) > CLOCK_WRONG_S
    )


def summary(tx: Tx, *, running: bool, now: datetime) -> dict[str, Any]:
    """Return what the store knows; ``/api/status`` answers this too."""
    enrolled = settings.enrolment(tx) or {}
    counts = outbox.counts(tx)
    link = settings.get(tx, "link") or "connecting"
    if not enrolled:
        link = LinkState.UNENROLLED.value
    spent = figures.spent_on(tx, figures.day_of(now))
    offset = settings.get(tx, "clock_offset")
    return {
        "station": enrolled.get("station"),
        "name": enrolled.get("name"),
        "facility": enrolled.get("facility"),
        "hub": enrolled.get("hub"),
        "link": link if running else ("stopped" if enrolled else link),
        "last_contact": settings.get(tx, "last_contact"),
        "waiting": {str(lane): number for lane, number in counts.waiting.items()},
        "waiting_total": counts.total,
        "oldest_waiting": counts.oldest,
        "conflicts": counts.conflicts,
        "files": _files(tx),
        "refused": [
            {
                "op": w.op,
                "type": w.rtype,
                "codes": sorted({str(i.get("code")) for i in w.issues}),
                "leg": w.leg,
            }
            for w in outbox.listing(tx)
            if w.leg in ("conflict", "quarantined")
        ],
        "bytes_today": {str(lane): {"up": used.up, "down": used.down} for lane, used in spent.items()},
        "bytes_today_total": sum(used.total for used in spent.values()),
        "budget_bytes": figures.budget(tx),
        "progress": [
            {"scope": each.scope, "done": each.done, "total": each.total, "at": each.at}
            for each in figures.progresses(tx)
        ],
        "accounts": len(staff.may_sign_in(tx)),
        "clock": now.isoformat(),
        "clock_offset_s": None if offset is None else int(offset),
        "db_epoch": settings.get(tx, "db_epoch"),
        "copied_at": settings.get(tx, "forked_at"),
        "version": __version__,
    }


def _files(tx: Tx) -> dict[str, int]:
    waiting = files.waiting(tx)
    return {"waiting": waiting.count, "sent": waiting.sent, "size": waiting.size, "refused": waiting.refused}


def machine(directory: Path) -> dict[str, Any]:
    """Return what the disk and the programs say, without opening the store."""
    check = checking.last(directory)
    free = shutil.disk_usage(directory).free
    return {
        "store": {
            "bytes": sum(_size(directory / (FILE_NAME + end)) for end in ("", "-wal")),
            "free_bytes": free,
            "low_on_room": free < ROOM_BYTES,
            "sealed": sealing.how(directory / cipher.KEY_FILE),
            "device_key_sealed": sealing.how(directory / keys.FILE_NAME),
            "check": None if check is None else asdict(check),
            "problem": "store-damaged" if check and not check.whole and check.rescued is None else None,
            "set_aside": sorted(path.name for path in directory.glob("damaged-*")),
        },
        "versions": {
            "agent": __version__,
            "python": platform.python_version(),
            "sqlcipher": cipher.version(),
            "system": platform.release(),
        },
    }


def _unreadable(directory: Path, code: str, *, running: bool) -> dict[str, Any]:
    found = machine(directory)
    found["store"]["problem"] = code
    return {
        "link": "unreadable", "running": running, "refused": [], "conflicts": 0, "clock_offset_s": None,
        "version": __version__, **found,
    }  # fmt: skip


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
