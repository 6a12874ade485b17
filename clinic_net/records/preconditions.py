"""What a caller may demand of a resource before it is read or written (FHIR R4 http §3.1.0.5 and §3.1.0.8)."""

from datetime import datetime

from clinic_net.records import rules
from clinic_net.records.errors import MalformedRequest, ResourceExists
from clinic_net.records.shapes import Stored, has_version


def demand_none_match(etags: str | None, stored: Stored) -> None:
    """Refuse a write that ``If-None-Match`` forbids. Ask within its transaction, which is then undone.

    ``*``: there must have been nothing. Versions: none of them may have been the current one. Looked at afterwards,
    because only the write itself knows what it found: two that make the same resource take turns in it.

    Raises:
        ResourceExists: it was there, or there in that version.
        MalformedRequest: ``etags`` names no version.
    """
    if etags is None:
        return
    anything = etags.strip() == "*"
    versions = [] if anything else [rules.etag_version(etag) for etag in etags.split(",")]
    if None in versions:
        raise MalformedRequest("If-None-Match names no version")
    before = None if stored.created else stored.version - stored.changed
    if before is not None and (anything or before in versions):
        raise ResourceExists("the resource is there already")


def has_already(etags: str | None, since: datetime | None, stored: Stored) -> bool:
    """Whether who reads has this version: by ``If-None-Match``, else by ``If-Modified-Since``."""
    if etags is not None:
        return has_version(etags, stored)
    return since is not None and stored.updated.replace(microsecond=0) <= since
