"""A record that nobody can store waits in a station's outbox, in front of those of the next patients."""

import json
import re
from datetime import UTC, datetime
from html import unescape
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.support import Network, Site, until

pytestmark = pytest.mark.processes


def patient(rid: str, **changed: Any) -> str:
    content = {"resourceType": "Patient", "id": rid, "active": True, **changed}
    return json.dumps({name: value for name, value in content.items() if value is not None})


def poison(site: Site, **columns: Any) -> int:
    """Write an operation straight into the outbox, past everything that checks; return its number."""
    rid = str(uuid4())
    row = {
        "rtype": "Patient",
        "id": rid,
        "at": datetime.now(UTC).isoformat(),
        "by": "nurse",
        "text": patient(rid),
    }
    row |= {name: value(row["id"]) if callable(value) else value for name, value in columns.items()}
    site.query(
        "insert into outbox (tx, lane, kind, rtype, id, at, by, text) values (1, 1, 'put', ?, ?, ?, ?, ?)",
        row["rtype"], row["id"], row["at"], row["by"], row["text"],
    )  # fmt: skip
    return int(site.query("select max(op) from outbox")[0][0])


POISONS: dict[str, dict[str, Any]] = {
    "no JSON at all": {"text": '{"resourceType": "Patient", "id":'},
    "no object": {"text": "[]"},
    "nothing": {"text": ""},
    "another type inside": {"rtype": "Observation"},
    "another id inside": {"text": lambda _: patient(str(uuid4()))},
    "a wrong type of value": {"text": lambda rid: patient(rid, active="perhaps")},
    "a date that does not exist": {"text": lambda rid: patient(rid, birthDate="2026-02-30")},
    "an unknown field": {"text": lambda rid: patient(rid, favouriteColour="red")},
    "a NUL in a value": {"text": lambda rid: patient(rid, name=[{"text": "Lò\0"}])},
    "a raw NUL": {"text": lambda rid: patient(rid) + "\0"},
    "half a surrogate pair": {"text": lambda rid: patient(rid, name=[{"text": "\ud800"}])},
    "nested without end": {"text": lambda rid: '{"a":' * 3000},
    "a type that FHIR does not have": {"rtype": "Patients"},
    "more than 1 MiB": {"text": lambda rid: patient(rid, name=[{"text": "a" * 1_200_000}])},
    "more than a push may hold": {"text": lambda rid: patient(rid, name=[{"text": "a" * 5_000_000}])},
    "more than a request may hold": {
        "text": lambda rid: patient(rid, name=[{"text": " ".join(uuid4().hex for _ in range(330_000))}])
    },
    "a type that no message carries": {"rtype": "patient"},
    "an id that no message carries": {"id": "a/b c"},
    "a time that is none": {"at": "yesterday"},
    "a time without an offset": {"at": "2026-11-22T03:00:00"},
    "a name longer than a message carries": {"by": "n" * 200},
}


def test_no_poison_holds_up_the_records_behind_it_and_the_nurse_reads_why_in_her_language(
    network: Network,
) -> None:
    site = network.sites[2]
    nurse = site.start()
    poisoned: dict[str, int] = {}
    behind: dict[str, str] = {}
    for what, columns in POISONS.items():
        poisoned[what] = poison(site, **columns)
        behind[what] = nurse.register(f"Quàng Thị {len(behind)}")
    until("nothing waits", lambda: nurse.waiting() == 0, seconds=40)

    legs = dict(site.query("select op, leg from outbox"))
    assert {what: legs[op] for what, op in poisoned.items()} == dict.fromkeys(POISONS, "quarantined")
    taken = site.acknowledged()
    assert {("Patient", rid) for rid in behind.values()} <= taken.keys()
    assert network.missing(taken) == []
    assert nurse.link() == "online"

    page = nurse.web.get("/waiting")
    assert page.status_code == 200
    articles = re.findall(r"<article>(.*?)</article>", page.text, re.S)
    assert len(articles) == len(POISONS), "each stays in sight"
    for article in articles:
        reasons = re.findall(r'<p class="error">(.*?)</p>', unescape(article), re.S)
        assert reasons
        for reason in reasons:
            assert re.search(r"[ạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹđ]", reason), reason
