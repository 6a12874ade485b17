"""What a caller may demand of a resource before it is read or written (FHIR R4 http §3.1.0.5 and §3.1.0.8)."""

from datetime import datetime

from clinic_net.records import rules
from clinic_net.records.errors import MalformedRequest, ResourceExists
from clinic_net.records.shapes import Stored, has_version


def none_match(etags: str | None) -> str | None:
    """Return ``If-None-Match`` of a write: ``*``, versions, or nothing.

    Raises:
        MalformedRequest: it names no version.
    """
    if etags is not None and etags.strip() != "*" and None in map(rules.etag_version, etags.split(",")):
        raise MalformedRequest("If-None-Match names no version")
    return etags


def forbids(etags: str | None, version: int) -> bool:
    """Whether ``If-None-Match`` forbids to write over this version: any, with ``*``, or one that it names."""
    return etags is not None and (
        etags.strip() == "*" or version in map(rules.etag_version, etags.split(","))
    )


def demand_none_match(etags: str | None, stored: Stored) -> None:
    """Refuse a write that ``If-None-Match`` forbade. Ask within its transaction, which is then undone.

    Raises:
        ResourceExists: it was there, or there in that version.
        MalformedRequest: ``etags`` names no version.
    """
    if not stored.created and forbids(none_match(etags), stored.version - stored.changed):
        raise ResourceExists("the resource is there already")


def has_already(etags: str | None, since: datetime | None, stored: Stored) -> bool:
    """Whether who reads has this version: by ``If-None-Match``, else by ``If-Modified-Since``."""
    if etags is not None:
        return has_version(etags, stored)
    return since is not None and stored.updated.replace(microsecond=0) <= since
