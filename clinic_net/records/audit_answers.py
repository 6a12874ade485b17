"""The hub's audit trail at ``/fhir/AuditEvent``, for those to whom AuditEvents mean it; see ``access.auditing``."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from starlette.responses import Response

from clinic_net.access.auditing import TYPE, audit_scope_of, reads_trail
from clinic_net.audit import reading as trail
from clinic_net.audit.balp import render
from clinic_net.audit.errors import InvalidAuditSearch, UnknownEvent
from clinic_net.fhir import write
from clinic_net.fhir.dates import date_range
from clinic_net.kernel.errors import Place
from clinic_net.records.entries import Pairs
from clinic_net.records.http import TRANSPORT, Exchange, fhir_json

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PREFIXES = ("eq", "ge", "gt", "le", "lt")


def is_asked(exchange: Exchange, rtype: str) -> bool:
    """Whether a request is for the trail."""
    return rtype == TYPE and reads_trail(exchange.caller)


async def read(exchange: Exchange, fid: str) -> Response:
    """Return one event of the trail.

    Raises:
        UnknownEvent: there is none, or not within reach.
    """
    scope = await audit_scope_of(exchange.s, exchange.caller, "r")
    try:
        wanted = UUID(fid)
    except ValueError:
        raise UnknownEvent from None
    event = await trail.read(exchange.s, wanted, scope=scope, by=exchange.by, now=exchange.now)
    return fhir_json(write(render(event, base=exchange.base)))


async def search(exchange: Exchange, pairs: Pairs) -> Response:
    """Return a page of the trail, newest first.

    Raises:
        InvalidAuditSearch: a parameter that the trail is not searched by, or a value that cannot be one.
    """
    scope = await audit_scope_of(exchange.s, exchange.caller, "s")
    asked, count, cursor = read_parameters(pairs)
    page = await trail.search(
        exchange.s, asked, scope=scope, by=exchange.by, now=exchange.now, cursor=cursor, count=count
    )
    applied = [pair for pair in pairs if pair[0] not in (*TRANSPORT, "_cursor")]
    address = f"{exchange.base}/{TYPE}?"
    links = [{"relation": "self", "url": address + urlencode(applied)}]
    if page.next is not None:
        links.append({"relation": "next", "url": address + urlencode([*applied, ("_cursor", page.next)])})
    entries = [
        {
            "fullUrl": f"{exchange.base}/{TYPE}/{event.id}",
            "resource": render(event, base=exchange.base),
            "search": {"mode": "match"},
        }
        for event in page.events
    ]
    bundle = {"resourceType": "Bundle", "type": "searchset", "link": links}
    return fhir_json(write({**bundle, **({"entry": entries} if entries else {})}))


def _invalid(name: str, message: str) -> InvalidAuditSearch:
    return InvalidAuditSearch(f"{name}: {message}", places=[Place(name, InvalidAuditSearch.code, message)])


def read_parameters(pairs: Pairs) -> tuple[trail.Asked, int, str | None]:
    """Return what is asked for, how many of it, and the cursor.

    Names are those of R4: ``patient``, ``agent`` and ``altid`` (an address as ``user:<uuid>``), ``entity``, ``date``,
    ``action``, ``subtype``, ``site``, ``outcome``, ``_id``.

    Raises:
        InvalidAuditSearch
    """
    asked, count, cursor = trail.Asked(), trail.DEFAULT_COUNT, None
    given: set[str] = set()
    for name, value in pairs:
        if name in given and name != "date":
            raise _invalid(name, "may be given once")
        given.add(name)
        if name == "_count":
            if not (value.isascii() and value.isdigit() and len(value) < 10):
                raise _invalid(name, "must be a whole number")
            count = int(value)
        elif name == "_cursor":
            cursor = value
        elif name == "_sort":
            if value != "-date":
                raise _invalid(name, "events are told newest first: -date")
        elif name not in TRANSPORT:
            asked = _narrowed(asked, name, value)
    return asked, count, cursor


def _narrowed(asked: trail.Asked, name: str, value: str) -> trail.Asked:
    if not value:
        raise _invalid(name, "needs a value")
    if name == "entity" and value.startswith("Patient/"):
        name = "patient"
    if name == "date":
        return _dated(asked, value)
    if name not in _READ:
        raise _invalid("a parameter", "the trail is not searched by it")
    field, read_value = _READ[name]
    try:
        return replace(asked, **{field: read_value(value)})
    except ValueError:
        raise _invalid(name, "must be an event's id") from None


def _token(value: str) -> str:
    """Return the code of a token, or the value of an identifier."""
    return value.rpartition("|")[2]


def _id(value: str) -> str:
    """Return the id of a reference."""
    return value.rpartition("/")[2]


def _action(value: str) -> str:
    """Return an action in dotted words: our own code, or one of FHIR's interactions with records."""
    code = _token(value)
    return code if "." in code else f"record.{code}"


_READ: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "patient": ("patient", _id),
    "agent": ("actor", _token),
    "agent:identifier": ("actor", _token),
    "altid": ("actor", _token),
    "entity": ("subject", _token),
    "entity:identifier": ("subject", _token),
    "site": ("place", str),
    "action": ("code", lambda value: _token(value).upper()),
    "subtype": ("action", _action),
    "outcome": ("refused", lambda value: _token(value) != "0"),
    "_id": ("id", lambda value: UUID(_id(value))),
}
"""By R4's name: the field of ``trail.Asked``, and how its value is read."""


def _dated(asked: trail.Asked, value: str) -> trail.Asked:
    prefix, text = (value[:2], value[2:]) if value[:2] in _PREFIXES else ("eq", value)
    try:
        low, high = date_range(text.replace(" ", "+"))
        begin, end = (_EPOCH + timedelta(microseconds=at) for at in (low, high))
    except (ValueError, OverflowError):
        raise _invalid("date", "must be a date or an instant") from None
    since = {"eq": begin, "ge": begin, "gt": end}.get(prefix, asked.since)
    until = {"eq": end, "le": end, "lt": begin}.get(prefix, asked.until)
    return replace(asked, since=since, until=until)
