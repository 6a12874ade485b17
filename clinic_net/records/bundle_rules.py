"""What holds for a bundle's entries whoever carries them out: rights, places of refusals, what an entry answers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from clinic_net.access.policy import RecordScope, demand, scope_of
from clinic_net.access.principals import Principal
from clinic_net.fhir import UnknownResourceType, from_refusal
from clinic_net.fhir.definitions import resource_types
from clinic_net.kernel.errors import Place, Refusal
from clinic_net.records.drafts import Order, draft
from clinic_net.records.entries import Entry, malformed
from clinic_net.records.errors import UnsupportedInteraction
from clinic_net.records.outcomes import status_of
from clinic_net.records.shapes import Stored, instant

ACTIONS = {"POST": "c", "PUT": "u", "PATCH": "u", "DELETE": "d"}
"""SMART's action of a method that writes."""
CHANGES = ("PUT", "PATCH", "DELETE")
_REASONS = {200: "OK", 201: "Created"}

Answer = tuple[dict[str, Any], bytes | None]
"""An entry's members, and its resource."""


@dataclass(frozen=True)
class Asking:
    """Who sends a bundle, and how it is to be answered. ``base`` is our own FHIR address."""

    caller: Principal
    tenant: str
    base: str
    now: datetime
    with_resources: bool = False

    @cached_property
    def scope(self) -> RecordScope:
        return scope_of(self.caller)


@contextmanager
def at(entry: Entry) -> Iterator[None]:
    """Say in which entry a refusal arose."""
    try:
        yield
    except Refusal as refusal:
        here = f"Bundle.entry[{entry.position}]"
        refusal.places = tuple(
            place if place.path.startswith(here) else replace(place, path=_inside(here, place.path))
            for place in refusal.places or (Place("", refusal.code, refusal.message),)
        )
        raise


def _inside(here: str, path: str) -> str:
    """``Patient.name`` is ``Bundle.entry[0].resource.name``; a query parameter or nothing stays with the entry."""
    rtype, dot, rest = path.partition(".")
    return f"{here}.resource.{rest}" if dot and rtype in resource_types() else here


def demand_distinct(entries: Sequence[Entry]) -> None:
    """Refuse a transaction in which two entries speak of one resource.

    Raises:
        MalformedRequest
    """
    seen: set[object] = set()
    for entry in entries:
        names: list[object] = [entry.full_url] if entry.full_url and entry.method in ACTIONS else []
        if entry.method in CHANGES and entry.fid:
            names.append((entry.rtype, entry.fid))
        if not seen.isdisjoint(names):
            raise malformed(entry.position, "two entries speak of the same resource")
        seen.update(names)


def demand_right(entry: Entry, asking: Asking) -> None:
    """Refuse an interaction that does not exist, or that the caller may never do.

    Raises:
        UnknownResourceType, UnsupportedInteraction, InsufficientScope, RoleNotAllowed
    """
    if entry.rtype not in resource_types():
        raise UnknownResourceType("FHIR R4 has no such resource type")
    if entry.method not in (*ACTIONS, "GET"):
        raise UnsupportedInteraction("this method is not supported in a bundle")
    named = (entry.fid is not None) + bool(entry.query)
    if entry.method != "GET" and named != (entry.method in CHANGES):
        raise UnsupportedInteraction("this method does not go with this url")
    action = ACTIONS.get(entry.method) or ("s" if entry.fid is None else "r")
    demand(asking.caller, entry.rtype, action)
    if entry.criteria is not None:
        demand(asking.caller, entry.rtype, "s")
    if entry.criteria is not None or entry.method == "PATCH":
        demand(asking.caller, entry.rtype, "r")


def order_of(entry: Entry, asking: Asking, *, fresh: bool = False, unit: int = 0) -> Order:
    """Return what an entry that stores a whole resource asks for; ``fresh``: it must make what it writes.

    A create's own id does not count (FHIR R4 http §3.1.0.8).

    Raises:
        MalformedJson, MalformedRequest, InvalidResource: see ``drafts.draft``.
    """
    assert entry.text is not None
    return Order(
        draft(
            entry.text,
            rtype=entry.rtype,
            fid=entry.fid,
            now=asking.now,
            named=entry.method == "PUT",
            said=entry.resource,
        ),
        asking.scope,
        asking.caller.address,
        asking.tenant,
        if_match=entry.if_match,
        create_only=fresh,
        if_none_match=entry.if_none_match if entry.method == "PUT" else None,
        with_patient=True,
        unit=unit,
    )


def written(stored: Stored, asking: Asking) -> Answer:
    """Return the answer to an entry that wrote."""
    status = 201 if stored.created else 200
    response = {
        "status": f"{status} {_REASONS[status]}",
        "location": f"{stored.rtype}/{stored.fid}/_history/{stored.version}",
        "etag": f'W/"{stored.version}"',
        "lastModified": instant(stored.updated),
    }
    return {"response": response}, stored.text if asking.with_resources else None


def refused(refusal: Refusal) -> Answer:
    """Return the answer to an entry of a batch that was refused."""
    return {"response": {"status": str(status_of(refusal)), "outcome": from_refusal(refusal)}}, None
