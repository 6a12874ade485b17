"""What people do with accounts. Hashing a PIN takes long, so it is done between transactions, not in them.

A try is counted before the PIN is looked at: neither many tries at once nor a pulled plug gives one for nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from station_agent.errors import StaffRefusal
from station_agent.staff import rules, store
from station_agent.staff.store import Account
from station_agent.store.database import Tx

TECHNICIAN = "technician"
"""Who acts on the command line of this computer."""


@dataclass(frozen=True)
class Try:
    """A try to sign in, counted. ``kept`` is the hash to compare with, None when there is nobody to compare with."""

    login: str
    kept: str | None


def has_anybody(tx: Tx) -> bool:
    """Whether somebody can sign in here at all."""
    return bool(store.may_sign_in(tx))


def first(tx: Tx, name: str, kept: str, *, now: datetime) -> Account:
    """Make the station's first account; it leads.

    Raises:
        StaffRefusal: there is somebody already, or the name is empty.
    """
    if has_anybody(tx):
        raise StaffRefusal("not-first", "there are accounts here already")
    made = add(tx, name, by="first", lead=True, now=now)
    store.put_pin(tx, made.id, kept, must_change=False)
    return _read(tx, made.id)


def add(tx: Tx, name: str, *, by: str, now: datetime, lead: bool = False) -> Account:
    """Add somebody, who can sign in once a PIN was given. Raises StaffRefusal."""
    name = " ".join(name.split())[: rules.NAME_LENGTH]
    if not name:
        raise StaffRefusal("name-missing", "write the name")
    login = rules.login_of(name, {account.id for account in store.everybody(tx)})
    store.add(tx, login, name, lead=lead, source="station", by=by, now=now)
    store.note(tx, now, who=by, what="added", about=login)
    return _read(tx, login)


def give_pin(tx: Tx, login: str, kept: str, *, by: str, now: datetime) -> None:
    """Give somebody a PIN that has to be changed at once. Raises StaffRefusal."""
    _read(tx, login)
    store.put_pin(tx, login, kept, must_change=True)
    store.note(tx, now, who=by, what="pin-given", about=login)


def change_pin(tx: Tx, login: str, kept: str, *, now: datetime) -> None:
    """Take the PIN that somebody chose. Raises StaffRefusal."""
    _read(tx, login)
    store.put_pin(tx, login, kept, must_change=False)
    store.note(tx, now, who=login, what="pin-changed", about=login)


def let_go(tx: Tx, login: str, *, by: str, now: datetime) -> None:
    """Let somebody in no more.

    Raises:
        StaffRefusal: nobody who leads would be left.
    """
    account = _read(tx, login)
    leads = [each for each in store.may_sign_in(tx) if each.lead and each.id != login]
    if account.lead and account.active and not leads:
        raise StaffRefusal("last-lead", "somebody has to lead the station's accounts")
    store.put_active(tx, login, active=False)
    store.note(tx, now, who=by, what="let-go", about=login)


def take_back(tx: Tx, login: str, *, by: str, now: datetime) -> None:
    """Let somebody in again. Raises StaffRefusal."""
    _read(tx, login)
    store.put_active(tx, login, active=True)
    store.note(tx, now, who=by, what="taken-back", about=login)


def try_pin(tx: Tx, login: str, *, now: datetime) -> Try:
    """Count a try.

    Raises:
        StaffRefusal: the account rests after too many wrong PINs; others do not.
    """
    account = store.find(tx, login)
    if account is None or not account.active or not account.has_pin:
        return Try(login, None)
    if rests(account, now):
        raise StaffRefusal("locked", "too many wrong PINs: wait")
    failures = account.failures + 1
    lock = rules.lock_after(failures)
    store.put_tries(tx, login, failures, None if lock is None else now + lock)
    return Try(login, store.pin_of(tx, login))


def rests(account: Account, now: datetime) -> bool:
    """Whether an account rests. A clock that was set back does not make it rest longer than it ever would."""
    until = account.locked_until
    return until is not None and now < until <= now + rules.LONGEST_LOCK


def came(tx: Tx, login: str, *, now: datetime) -> Account:
    """Somebody gave the right PIN. Raises StaffRefusal: the account ended meanwhile."""
    account = _read(tx, login)
    if not account.active:
        raise StaffRefusal("wrong", "name and PIN do not fit")
    store.put_tries(tx, login, 0, None)
    store.note(tx, now, who=login, what="came")
    return account


def was_refused(tx: Tx, login: str, *, now: datetime) -> None:
    """Somebody gave a wrong PIN."""
    if store.find(tx, login) is not None:
        store.note(tx, now, who=login, what="refused")


@dataclass(frozen=True)
class Handed:
    """Somebody whom the hub says works here."""

    login: str
    name: str
    lead: bool = False
    active: bool = True


def handed(tx: Tx, people: Iterable[Handed], *, now: datetime) -> int:
    """Take over the people that the hub names (at enrolment, or in its configuration). Return how many are new.

    The station's own accounts stay as they are; a PIN is given here, because it never travels.
    """
    new = 0
    for person in people:
        known = store.find(tx, person.login)
        if known is None:
            store.add(tx, person.login, person.name, lead=person.lead, source="hub", by="hub", now=now)
            store.note(tx, now, who="hub", what="added", about=person.login)
            new += 1
        elif known.source != "hub":
            continue
        store.describe(tx, person.login, name=person.name, lead=person.lead)
        store.put_active(tx, person.login, active=person.active)
    return new


def _read(tx: Tx, login: str) -> Account:
    account = store.find(tx, login)
    if account is None:
        raise StaffRefusal("unknown", "there is no such account")
    return account
