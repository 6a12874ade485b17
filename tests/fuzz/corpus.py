"""Sound input of each kind: where the changes start from."""

import json
from uuid import UUID

from clinic_net.fhir import to_xml
from tests.consultations.support import SITE
from tests.fhir.generate import texts

BUNDLE = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000001",
            "resource": {
                "resourceType": "Patient",
                "name": [{"family": "Nguyễn", "given": ["An"]}],
                "gender": "female",
            },
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:x|1"},
        },
        {"request": {"method": "GET", "url": "Patient?name=an&_count=2"}},
        {"request": {"method": "DELETE", "url": "Observation/nothing", "ifMatch": 'W/"1"'}},
    ],
}


def resources() -> list[bytes]:
    """One resource of every type, with most of its elements."""
    return [*(text for _, _, text in texts(range(11, 12))), json.dumps(BUNDLE, ensure_ascii=False).encode()]


def in_xml() -> list[bytes]:
    return [to_xml(text) for text in resources()[::6]]


QUERIES = [
    b"name=Nguy%E1%BB%85n&birthdate=ge1980-02&_sort=-birthdate,name&_count=20",
    b"identifier=urn:x|1,urn:y|2&gender:not=male&_total=accurate&_summary=count",
    b"_has:Observation:patient:code=http://loinc.org|8867-4&_revinclude=Observation:subject",
    b"subject:Patient.name=an&value-quantity=gt5.4|http://unitsofmeasure.org|mg&_include=Observation:subject",
    b"code:in=http://x&date=sa2024-01-01T00:00:00Z&_lastUpdated=lt2027&_elements=id,code",
    b"_filter=name%20eq%20%22an%22%20and%20(birthdate%20gt%202000%20or%20gender%20eq%20male)&_text=ho%20or%20sot",
    b"near=21.0|105.8|10|km&_id=a,b&_security=R&_cursor=AAAA",
]

_EPOCH = str(UUID(int=1))
PUSHES = [
    json.dumps(
        {"station": SITE, "db_epoch": _EPOCH, "batch": _EPOCH, "lane": 0, "agent": "0.1.0",
         "ops": [{"op": 1, "type": "Patient", "id": "p", "at": "2026-01-01T00:00:00Z", "by": "Y tá",
                  "body": '{"resourceType":"Patient","id":"p","gender":"male"}'}]},
    ).encode(),
    json.dumps({"station": SITE, "cursor": 5, "max_bytes": 65536,
                "report": {"agent": "0.1.0", "waiting": {"0": 1}, "refused": 0, "oldest_waiting_at": None}}).encode(),
]  # fmt: skip

FRAMES = [
    b'{"t":"hello","d":{"proto":[1],"sid":"abc","last_seq":3}}',
    b'{"t":"call.accept","id":"00000000-0000-4000-8000-000000000001","call":"00000000-0000-4000-8000-000000000002"}',
    b'{"t":"media.offer","id":"00000000-0000-4000-8000-000000000003","ep":1,"call":'
    b'"00000000-0000-4000-8000-000000000002","d":{"sdp":"v=0\\r\\nm=audio 9 UDP/TLS/RTP/SAVPF 111\\r\\n"}}',
    b'{"t":"media.cand","id":"00000000-0000-4000-8000-000000000004","d":{"c":[{"candidate":"candidate:1 1 udp 1 '
    b'10.0.0.1 9 typ host","sdpMid":"0"}],"end":true}}',
    b'{"t":"ack","ack":7}',
]
