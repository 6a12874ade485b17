"""A picture or a document that was added to a visit: the DocumentReference, and what may be added."""

import hashlib
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clinic_net.protocol.sync.files import binary_url, digest_of
from station_agent.forms.common import (
    OWN_SYSTEM,
    Resource,
    author,
    concept,
    fhir_moment,
    reference,
    without_empty,
)

MOST_BYTES = 1024 * 1024
"""One file from a page. The page makes pictures of 200 kB: 25 s at 64 kbit/s (sync §4.7); a scanned sheet is larger."""

MOST_THUMBNAIL = 12 * 1024
"""The small picture, which travels inside the document like any data."""

THUMBNAIL = "thumbnail"
"""Title of the small picture's attachment."""

_BEGINNINGS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"%PDF-", "application/pdf"),
)


@dataclass(frozen=True)
class Picture:
    """What was added. ``thumbnail`` is a JPEG or empty."""

    content: bytes
    type: str
    thumbnail: bytes
    words: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Shown:
    """A document as pages show it. ``thumbnail`` is base64 of a JPEG, or empty."""

    document: str
    patient: str
    digest: str
    type: str
    size: int
    words: str
    author: str
    at: str
    thumbnail: str

    @property
    def is_picture(self) -> bool:
        return self.type.startswith("image/")


def type_of(content: bytes) -> str | None:
    """Return what a file is by its first bytes, or None if such a file is not taken here. The hub looks closer."""
    return next((kind for begins, kind in _BEGINNINGS if content.startswith(begins)), None)


def document(
    picture: Picture, *, rid: str, patient_id: str, encounter_id: str, by: str, now: datetime
) -> Resource:
    """Return the DocumentReference of what was added; its first attachment points to the bytes."""
    attachment: Resource = {
        "contentType": picture.type,
        "url": binary_url(picture.digest),
        "size": len(picture.content),
        # FHIR R4 Attachment.hash is SHA-1; what the bytes are checked by is the SHA-256 in the address.
        "hash": b64encode(hashlib.sha1(picture.content, usedforsecurity=False).digest()).decode("ascii"),
        "creation": fhir_moment(now),
    }
    content = [{"attachment": attachment}]
    if picture.thumbnail:
        small = {
            "contentType": "image/jpeg",
            "data": b64encode(picture.thumbnail).decode("ascii"),
            "title": THUMBNAIL,
        }
        content.append({"attachment": small})
    kind = ("picture", "Picture") if picture.type.startswith("image/") else ("document", "Document")
    return without_empty(
        {
            "resourceType": "DocumentReference",
            "id": rid,
            "status": "current",
            "category": [concept(OWN_SYSTEM + "attachment-category", *kind)],
            "subject": reference("Patient", patient_id),
            "date": fhir_moment(now),
            "author": [author(by)],
            "description": picture.words,
            "content": content,
            "context": {"encounter": [reference("Encounter", encounter_id)]},
        }
    )


def shown(resource: Resource) -> Shown | None:
    """Read a document that points to bytes of ours, from whichever program; None for any other, or one withdrawn."""
    if resource.get("status") == "entered-in-error":
        return None
    attachments = [
        found for item in _dicts(resource.get("content")) if isinstance(found := item.get("attachment"), dict)
    ]
    whole = next((each for each in attachments if digest_of(each.get("url"))), None)
    if whole is None:
        return None
    small = next((each.get("data") for each in attachments if each.get("title") == THUMBNAIL), None)
    subject = resource.get("subject")
    patient = str(subject.get("reference", "")) if isinstance(subject, dict) else ""
    return Shown(
        document=str(resource.get("id", "")),
        patient=patient.removeprefix("Patient/"),
        digest=digest_of(whole.get("url")) or "",
        type=str(whole.get("contentType", "")),
        size=int(whole["size"]) if isinstance(whole.get("size"), int) else 0,
        words=str(resource.get("description", "")),
        author=next((str(each.get("display", "")) for each in _dicts(resource.get("author"))), ""),
        at=str(resource.get("date", "")),
        thumbnail=small if isinstance(small, str) and _is_jpeg(small) else "",
    )


def is_of(resource: Resource, encounter_id: str) -> bool:
    """Whether a document was added to this visit."""
    context = resource.get("context")
    visits = _dicts(context.get("encounter")) if isinstance(context, dict) else []
    return any(each.get("reference") == f"Encounter/{encounter_id}" for each in visits)


def _is_jpeg(data: str) -> bool:
    """Whether base64 holds a JPEG of the allowed length: it becomes part of a page."""
    if len(data) > MOST_THUMBNAIL * 4 // 3 + 4:
        return False
    try:
        return b64decode(data, validate=True).startswith(b"\xff\xd8\xff")
    except ValueError:
        return False


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []
