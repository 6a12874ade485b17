"""Accounts from the command line: for the technician, when nobody who leads the station can sign in any more."""

import contextlib
from pathlib import Path
from typing import Any

from station_agent import clock, lock
from station_agent.errors import NotEnrolled
from station_agent.staff import pins, service, store
from station_agent.store import Database, rescue
from station_agent.store.database import FILE_NAME, read_only


def give_first_pin(directory: Path, login: str) -> str:
    """Give an account a PIN for its next sign-in, let it in again, and return the PIN; the agent must not run.

    Raises:
        AlreadyRunning, NotEnrolled: see ``lock.hold``.
        StaffRefusal: there is no such account.
    """
    now, pin = clock.now(), pins.one_time()
    with lock.hold(directory):
        database = Database(directory / FILE_NAME, now)
        try:
            with database.transaction() as tx:
                service.give_pin(tx, login, pins.hashed(pin), by=service.TECHNICIAN, now=now)
                service.take_back(tx, login, by=service.TECHNICIAN, now=now)
                rescue.keep(tx, directory)
        finally:
            database.close()
    return pin


def accounts_of(directory: Path) -> list[dict[str, Any]]:
    """Return the accounts, for a technician: no PINs. Raises NotEnrolled, and what ``read_only`` raises."""
    try:
        tx = read_only(directory / FILE_NAME)
    except FileNotFoundError:
        raise NotEnrolled("there is no data here: run station-agent enrol first") from None
    with contextlib.closing(tx):
        return [
            {
                "login": each.id,
                "name": each.name,
                "leads": each.lead,
                "active": each.active,
                "has_pin": each.has_pin,
            }
            for each in store.everybody(tx)
        ]
