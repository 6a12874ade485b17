"""What came down from the hub: a page of the feed and its cursor are stored in one transaction."""

import json
from datetime import datetime

from clinic_net.protocol.sync import Entry, Page
from station_agent.store import files, outbox, records, reviews, settings
from station_agent.store.database import Tx


def store(tx: Tx, page: Page, now: datetime) -> list[tuple[str, str]]:
    """Store a page and move the cursor. Return the (type, id) of what changed here.

    A page that does not follow the cursor (an answer that came twice) changes nothing.
    """
    before = settings.cursor(tx)
    settings.contacted(tx, now)
    if page.cursor < before:
        return []
    changed = [(entry.type, entry.id) for entry in page.entries if entry.seq > before and _take(tx, entry)]
    settings.put(tx, "cursor", str(page.cursor))
    return changed


def _take(tx: Tx, entry: Entry) -> bool:
    if entry.kind == "delete" or entry.body is None:
        return _delete(tx, entry)
    held = tx.execute(
        "select hub_version from resource where rtype = ? and id = ?", (entry.type, entry.id)
    ).fetchone()
    if outbox.unsettled(tx, entry.type, entry.id):
        # The station's own words stay until the hub has answered them; the other version is kept beside.
        tx.execute(
            """insert into hub_copy values (?, ?, ?, ?) on conflict do update
               set version = excluded.version, text = excluded.text where excluded.version > version""",
            (entry.type, entry.id, entry.version, entry.body),
        )
        return True
    if held is not None and (held["hub_version"] or 0) > entry.version:
        return False
    resource = json.loads(entry.body)
    state = reviews.state_of(tx, entry.type, entry.id)
    records.keep(tx, resource, entry.body, hub_version=entry.version, state=state)
    reviews.follow(tx, resource)
    return True


def _delete(tx: Tx, entry: Entry) -> bool:
    if outbox.unsettled(tx, entry.type, entry.id):
        return False
    removed = tx.execute("delete from resource where rtype = ? and id = ?", (entry.type, entry.id)).rowcount
    if entry.type == "DocumentReference":
        files.forget(tx, entry.id)
    if entry.type == "Patient":
        tx.execute("delete from patient_index where id = ?", (entry.id,))
        tx.execute("delete from patient_identifier where patient = ?", (entry.id,))
    return removed > 0


def adopt_hub_copies(tx: Tx) -> int:
    """Take over the hub's versions of records about which nothing is unsettled any more. Return how many."""
    rows = tx.execute("select * from hub_copy").fetchall()
    taken = 0
    for row in rows:
        if outbox.unsettled(tx, row["rtype"], row["id"]):
            continue
        held = records.find(tx, row["rtype"], row["id"])
        if held is None or (held.hub_version or 0) <= row["version"]:
            resource, state = json.loads(row["text"]), reviews.state_of(tx, row["rtype"], row["id"])
            records.keep(tx, resource, row["text"], hub_version=row["version"], state=state)
            reviews.follow(tx, resource)
        tx.execute("delete from hub_copy where rtype = ? and id = ?", (row["rtype"], row["id"]))
        taken += 1
    return taken
