"""The two nurses of each of the demo's stations, with the PINs by which they sign in."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from station_agent.staff import pins, service, store
from station_agent.store import Database, rescue
from station_agent.store.database import FILE_NAME


@dataclass(frozen=True)
class StationNurse:
    """A nurse; the first of a station leads it. ``login`` is what the station makes of the name."""

    name: str
    pin: str
    login: str


NURSES = (StationNurse("Lò Thị Lan", "280791", "lan"), StationNurse("Quàng Văn Bình", "530264", "binh"))


def add_now(directory: Path) -> None:
    """Add them to an enrolled station that is not running, unless somebody is there already."""
    now = datetime.now(UTC)
    database = Database(directory / FILE_NAME, now)
    try:
        with database.transaction() as tx:
            if service.has_anybody(tx):
                return
            for number, nurse in enumerate(NURSES):
                made = service.add(tx, nurse.name, by="demo", lead=number == 0, now=now)
                store.put_pin(tx, made.id, pins.hashed(nurse.pin), must_change=False)
            rescue.keep(tx, directory)
    finally:
        database.close()
