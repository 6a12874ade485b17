"""Resources on this computer: each is stored together with the operation that will carry it to the hub."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clinic_net.protocol.sync import Lane
from station_agent.errors import UnknownRecord
from station_agent.store import outbox, patients, settings
from station_agent.store.database import Tx

Resource = dict[str, Any]


@dataclass(frozen=True)
class Held:
    """A resource as this computer holds it. ``state``: local, synced, conflict or refused."""

    rtype: str
    id: str
    resource: Resource
    hub_version: int | None
    state: str
    at: str


class Desk:
    """One piece of work at the desk: all its resources, and their operations, in one transaction."""

    def __init__(self, tx: Tx, *, now: datetime, by: str) -> None:
        self.tx = tx
        self.now = now
        self.by = by
        self.number = settings.next_tx(tx)

    def put(self, resource: Resource, *, lane: Lane = Lane.CARE, text: str | None = None) -> int | None:
        """Store a resource and queue it for the hub; the same text twice is queued once (None).

        ``text`` is how the resource is written, where that matters (decimals).
        """
        rtype, rid = str(resource["resourceType"]), str(resource["id"])
        text = text or json.dumps(resource, ensure_ascii=False, separators=(",", ":"))
        held = self.tx.execute(
            "select text, hub_version from resource where rtype = ? and id = ?", (rtype, rid)
        ).fetchone()
        if held is not None and held["text"] == text:
            return None
        return self._queue(resource, text, None if held is None else held["hub_version"], lane)

    def put_again(self, resource: Resource, *, lane: Lane) -> int:
        """Queue a resource that is already stored: a person decided that it stands against the hub's version."""
        rtype, rid = str(resource["resourceType"]), str(resource["id"])
        held = read(self.tx, rtype, rid)
        text = json.dumps(resource, ensure_ascii=False, separators=(",", ":"))
        return self._queue(resource, text, held.hub_version, lane)

    def _queue(self, resource: Resource, text: str, base: int | None, lane: Lane) -> int:
        rtype, rid = str(resource["resourceType"]), str(resource["id"])
        keep(self.tx, resource, text, hub_version=base, state="local")
        return outbox.queue(
            self.tx,
            outbox.Draft(
                self.number, lane, rtype, rid, base, self.now.isoformat(), self.by, text, patient_of(resource)
            ),
        )


def keep(tx: Tx, resource: Resource, text: str, *, hub_version: int | None, state: str) -> None:
    """Store one resource's text with what finds it again. Queues nothing."""
    rtype, rid = str(resource["resourceType"]), str(resource["id"])
    tx.execute(
        """insert into resource values (?, ?, ?, ?, ?, ?, ?, ?)
           on conflict do update set text = excluded.text, hub_version = excluded.hub_version, state = excluded.state,
               patient = excluded.patient, encounter = excluded.encounter, at = excluded.at""",
        (
            rtype,
            rid,
            text,
            hub_version,
            state,
            patient_of(resource),
            encounter_of(resource),
            time_of(resource),
        ),
    )
    if rtype == "Patient":
        patients.index(tx, resource)


def remove(tx: Tx, key: tuple[str, str]) -> bool:
    """Delete a copy and what finds it; whether there was one."""
    found = tx.execute("delete from resource where rtype = ? and id = ?", key).rowcount > 0
    tx.execute("delete from hub_copy where rtype = ? and id = ?", key)
    if key[0] == "Patient":
        tx.execute("delete from patient_index where id = ?", (key[1],))
        tx.execute("delete from patient_identifier where patient = ?", (key[1],))
    return found


def patient_of(resource: Resource) -> str | None:
    """Return the id of the patient a resource is about, or None."""
    if resource["resourceType"] == "Patient":
        return str(resource["id"])
    for member in ("subject", "patient", "for"):
        found = _target(resource.get(member), "Patient")
        if found is not None:
            return found
    return None


def encounter_of(resource: Resource) -> str | None:
    """Return the id of the visit a resource belongs to, or None."""
    if resource["resourceType"] == "Encounter":
        return str(resource["id"])
    return _target(resource.get("encounter"), "Encounter") or _target(resource.get("context"), "Encounter")


def _target(reference: object, rtype: str) -> str | None:
    text = reference.get("reference") if isinstance(reference, dict) else None
    return text.removeprefix(f"{rtype}/") if isinstance(text, str) and text.startswith(f"{rtype}/") else None


def time_of(resource: Resource) -> str:
    """Return when the fact is from, as the resource says it (ISO 8601), or an empty text."""
    period = resource.get("period")
    if isinstance(period, dict) and isinstance(period.get("start"), str):
        return str(period["start"])
    for member in ("effectiveDateTime", "authoredOn", "date", "recordedDate", "dateAsserted", "issued"):
        value = resource.get(member)
        if isinstance(value, str):
            return value
    meta = resource.get("meta")
    return str(meta.get("lastUpdated", "")) if isinstance(meta, dict) else ""


def read(tx: Tx, rtype: str, rid: str) -> Held:
    """Return one resource.

    Raises:
        UnknownRecord: this computer does not hold it.
    """
    row = tx.execute("select * from resource where rtype = ? and id = ?", (rtype, rid)).fetchone()
    if row is None:
        raise UnknownRecord("no such record on this computer")
    return _held(row)


def find(tx: Tx, rtype: str, rid: str) -> Held | None:
    """Return one resource, or None."""
    row = tx.execute("select * from resource where rtype = ? and id = ?", (rtype, rid)).fetchone()
    return None if row is None else _held(row)


def hub_copy(tx: Tx, rtype: str, rid: str) -> tuple[int, Resource] | None:
    """Return version and content of what the hub has of a record that clashes, or None."""
    row = tx.execute("select version, text from hub_copy where rtype = ? and id = ?", (rtype, rid)).fetchone()
    return None if row is None else (row["version"], json.loads(row["text"]))


def rebase(tx: Tx, rtype: str, rid: str, version: int) -> None:
    """Note that the station knows the hub's version of a record, and goes on from it."""
    tx.execute("update resource set hub_version = ? where rtype = ? and id = ?", (version, rtype, rid))
    tx.execute("delete from hub_copy where rtype = ? and id = ?", (rtype, rid))


def of_patient(tx: Tx, patient: str, rtypes: Iterable[str], *, limit: int = 200) -> list[Held]:
    """Return a patient's resources of some types, newest first."""
    wanted = tuple(rtypes)
    marks = ", ".join("?" * len(wanted))
    rows = tx.execute(
        f"select * from resource where patient = ? and rtype in ({marks}) order by at desc limit ?",  # noqa: S608 marks
        (patient, *wanted, limit),
    )
    return [_held(row) for row in rows]


def of_encounter(tx: Tx, encounter: str, rtype: str) -> list[Held]:
    """Return a visit's resources of one type, newest first."""
    rows = tx.execute(
        "select * from resource where encounter = ? and rtype = ? order by at desc", (encounter, rtype)
    )
    return [_held(row) for row in rows]


def visits_since(tx: Tx, since: str, *, limit: int = 200) -> list[Held]:
    """Return visits begun at or after an instant (ISO 8601, UTC), newest first."""
    rows = tx.execute(
        "select * from resource where rtype = 'Encounter' and at >= ? order by at desc limit ?",
        (since, limit),
    )
    return [_held(row) for row in rows]


def _held(row: Any) -> Held:
    return Held(row["rtype"], row["id"], json.loads(row["text"]), row["hub_version"], row["state"], row["at"])
