"""A resource on its way into the store: read, checked and ready to be indexed, before any transaction begins."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from clinic_net import audit
from clinic_net.access.labels import labels_of
from clinic_net.access.policy import RecordScope
from clinic_net.fhir import check, parse, stamp
from clinic_net.fhir.jsontext import MAX_BYTES
from clinic_net.kernel.errors import Place
from clinic_net.kernel.ids import new_id
from clinic_net.records import rules
from clinic_net.records.errors import InvalidResource, MalformedRequest
from clinic_net.records.index import Rows
from clinic_net.records.keys import Keys
from clinic_net.records.shapes import instant
from clinic_net.records.vault import fragments_of


@dataclass(frozen=True)
class Draft:
    """A checked resource that is to be stored as ``rtype/fid``. ``chosen``: the id is the caller's choice.

    ``part_of`` is the patient whose record it is part of, for what the hub itself says about a record in a type that
    has no place to say it (``beside``).
    """

    text: bytes
    resource: Mapping[str, Any]
    rtype: str
    fid: str
    chosen: bool
    part_of: str | None = None

    @cached_property
    def patient(self) -> str | None:
        """Whose record it is part of."""
        return self.part_of or rules.patient_of(self.resource, self.fid)

    @cached_property
    def labels(self) -> int:
        """Its security labels."""
        return labels_of(self.resource)

    def rows(self, keys: Keys) -> Rows:
        """Return its index rows."""
        return fragments_of(keys).rows(self.resource)

    def stamped(self, version: int, at: datetime) -> bytes:
        """Return the text as version ``version``, made at ``at``, is stored."""
        return stamp(
            self.text,
            id=self.fid,
            version_id=str(version),
            last_updated=instant(at),
            resource=self.resource,
        )


@dataclass(frozen=True)
class Order:
    """A draft, and on whose behalf and under which conditions it is to be stored. See ``writing.put``."""

    draft: Draft
    scope: RecordScope
    author: str
    tenant: str
    if_match: int | None = None
    if_none_match: str | None = None
    create_only: bool = False
    with_patient: bool = False
    unit: int = 0
    """Orders of the same number are stored as a whole or not at all; 0 stands alone."""
    origin: audit.Origin = field(default_factory=audit.here)
    """Where it comes from, for the audit trail; whoever carries it may come from elsewhere."""

    @property
    def identity(self) -> tuple[str, str]:
        return self.draft.rtype, self.draft.fid


def draft(
    text: bytes, *, rtype: str, fid: str | None, now: datetime, named: bool = True, said: Any = None
) -> Draft:
    """Return the draft of a text that is to be stored as ``rtype/fid``; ``fid`` None makes an id.

    ``named`` False: the id was made here for the caller, and an id in the text does not count. ``said`` is what
    ``parse`` made of the text, if it is at hand.

    Raises:
        MalformedJson, ResourceTooLarge, MalformedRequest, InvalidResource: see ``read_resource``.
    """
    resource = read_resource(text, rtype=rtype, fid=fid if named else None, said=said)
    return Draft(text, resource, rtype, fid or str(new_id(now)), chosen=named and fid is not None)


def read_resource(text: bytes, *, rtype: str, fid: str | None, said: Any = None) -> dict[str, Any]:
    """Return the checked resource of a text that is to be stored as ``rtype/fid``. ``said``: see ``draft``.

    Raises:
        MalformedJson, ResourceTooLarge: the text is not the JSON that FHIR asks for.
        MalformedRequest: type or id are not those of the address.
        InvalidResource: ``places`` says what is wrong with it.
    """
    resource: dict[str, Any] = parse(text) if not isinstance(said, dict) or len(text) > MAX_BYTES else said
    if resource.get("resourceType") != rtype:
        place = Place(rtype, "wrong-type", "not the type of the address")
        raise MalformedRequest("the resource is not of the type of the address", places=[place])
    if fid is not None:
        if not rules.ID.fullmatch(fid):
            place = Place(f"{rtype}.id", "wrong-id", "1 to 64 letters, digits, hyphens and dots")
            raise MalformedRequest("an id has 1 to 64 letters, digits, hyphens and dots", places=[place])
        if resource.get("id", fid) != fid:
            place = Place(f"{rtype}.id", "wrong-id", "not the id of the address")
            raise MalformedRequest("the resource's id is not the id of the address", places=[place])
    issues = [issue for issue in check(resource) if issue.severity in ("fatal", "error")]
    if issues:
        places = [Place(issue.expression, issue.code, issue.diagnostics) for issue in issues]
        raise InvalidResource("the resource is not valid", places=places)
    return resource
