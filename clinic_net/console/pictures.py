"""Pictures and documents of a patient's record: pure functions from DocumentReference to what the page shows."""

from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from clinic_net.protocol.sync.files import digest_of

MOST_THUMBNAIL = 24 * 1024
"""Letters of base64 that become part of a page; a station's small picture has 16,000 at most."""


@dataclass(frozen=True)
class Picture:
    """A document whose bytes are here or on their way. ``url`` is its address at this hub; ``thumbnail`` base64 of a
    JPEG, or empty; ``size`` in kB."""

    url: str
    kind: str
    words: str
    author: str
    at: datetime | None
    size: int
    thumbnail: str

    @property
    def is_picture(self) -> bool:
        return self.kind in ("image/jpeg", "image/png", "image/webp")


def pictures(documents: Iterable[Mapping[str, Any]]) -> tuple[Picture, ...]:
    """Read a patient's documents; those that point elsewhere and those withdrawn are left out. Newest first."""
    found = [
        _picture(each, whole)
        for each in documents
        if each.get("status") != "entered-in-error" and (whole := _whole(each)) is not None
    ]
    return tuple(sorted(found, key=lambda each: each.at or datetime.min.replace(tzinfo=UTC), reverse=True))


def _attachments(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [content.get("attachment", {}) for content in document.get("content", [])]


def _whole(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((each for each in _attachments(document) if digest_of(each.get("url"))), None)


def _picture(document: Mapping[str, Any], whole: Mapping[str, Any]) -> Picture:
    small = next(
        (each.get("data") for each in _attachments(document) if each.get("title") == "thumbnail"), ""
    )
    return Picture(
        url=f"/fhir/{whole['url']}",
        kind=str(whole.get("contentType", "")),
        words=str(document.get("description", "")),
        author=next((str(each.get("display", "")) for each in document.get("author", [])), ""),
        at=_instant(document.get("date")),
        size=(int(whole.get("size", 0)) + 1023) // 1024,
        thumbnail=small if isinstance(small, str) and _is_jpeg(small) else "",
    )


def _is_jpeg(data: str) -> bool:
    try:
        return len(data) <= MOST_THUMBNAIL and b64decode(data, validate=True).startswith(b"\xff\xd8\xff")
    except ValueError:
        return False


def _instant(text: object) -> datetime | None:
    try:
        read = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
