"""A bundle's entries as they were sent: what each asks for, and the bytes of its resource."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from clinic_net.fhir import read_entries
from clinic_net.kernel.errors import Place
from clinic_net.kernel.gate import breathe
from clinic_net.records import rules
from clinic_net.records.errors import MalformedRequest
from clinic_net.records.preconditions import none_match

MAX_ENTRIES = 1000
MAX_BYTES = 5 * 1024 * 1024

_REFERENCE = re.compile(rb'("reference"[ \t\r\n]*+:[ \t\r\n]*+)"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_URL = re.compile(
    r"(?P<type>[A-Z][A-Za-z]{1,39})"
    r"(?:/(?P<id>[A-Za-z0-9\-.]{1,64}))?"
    r"(?:\?(?P<query>.*))?",
    re.ASCII | re.DOTALL,
)
Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Entry:
    """One entry. ``text`` is its resource's own bytes, ``resource`` what they say; ``fid`` None asks for a type: create
    or search."""

    position: int
    method: str
    rtype: str
    fid: str | None
    query: Pairs = field(default_factory=list)
    full_url: str | None = None
    text: bytes | None = None
    resource: Any = None
    if_match: int | None = None
    if_none_exist: Pairs | None = None
    if_none_match: str | None = None
    if_modified_since: datetime | None = None

    @property
    def criteria(self) -> Pairs | None:
        """By which search it names its resource, if it names it by one."""
        if self.method == "POST":
            return self.if_none_exist
        return self.query if self.method in ("PUT", "PATCH", "DELETE") and self.fid is None else None


def pairs_of(query: str) -> Pairs:
    """Return the names and values of a query.

    Raises:
        MalformedRequest: there are more than can be meant.
    """
    try:
        return parse_qsl(query.removeprefix("?"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise MalformedRequest("the query has too many parameters") from None


def malformed(position: int, message: str) -> MalformedRequest:
    place = Place(f"Bundle.entry[{position}].request", MalformedRequest.code, message)
    return MalformedRequest(f"entry {position}: {message}", places=[place])


async def read_bundle(text: bytes, *, base: str) -> tuple[str, list[Entry]]:
    """Return kind (``transaction`` or ``batch``) and entries of a bundle. ``base`` is our own FHIR address.

    Raises:
        MalformedJson, ResourceTooLarge, MalformedRequest
    """
    members: dict[str, Any] = {}
    found: list[tuple[Any, str | None]] = []
    for entry in read_entries(text, limit=MAX_BYTES, members=members):
        if len(found) == MAX_ENTRIES:
            raise MalformedRequest(f"entry must be a list of at most {MAX_ENTRIES}")
        found.append(entry)
        await breathe(len(found))
    kind = members.get("type")
    if members.get("resourceType") != "Bundle" or kind not in ("transaction", "batch"):
        raise MalformedRequest("a Bundle of type transaction or batch is expected here")
    if "entry" in members:
        raise MalformedRequest(f"entry must be a list of at most {MAX_ENTRIES}")
    entries = []
    for position, (entry, resource) in enumerate(found):
        await breathe(position)
        entries.append(_entry(position, entry, resource, base=base))
    return kind, entries


def _entry(position: int, entry: Any, text: str | None, *, base: str) -> Entry:
    request = entry.get("request") if isinstance(entry, dict) else None
    if not isinstance(request, dict):
        raise malformed(position, "a request is needed")
    method, url = request.get("method"), request.get("url")
    if method not in rules.BUNDLE_ORDER or not isinstance(url, str):
        raise malformed(position, "method and url are needed")
    match = _URL.fullmatch(url.removeprefix(base).lstrip("/"))
    if match is None:
        raise malformed(position, "this url is not understood")
    if method in ("POST", "PUT", "PATCH") and text is None:
        raise malformed(position, "a resource is needed")
    return Entry(
        position=position,
        method=method,
        rtype=match["type"],
        fid=match["id"],
        query=pairs_of(match["query"] or ""),
        full_url=_text(entry, "fullUrl", position),
        text=None if text is None else text.encode(),
        resource=entry.get("resource"),
        if_match=_version(request, position),
        if_none_exist=_criteria(request, position),
        if_none_match=_none_match(request, position),
        if_modified_since=_instant(request, "ifModifiedSince", position),
    )


def _text(members: Mapping[str, Any], name: str, position: int) -> str | None:
    value = members.get(name)
    if value is not None and not isinstance(value, str):
        raise malformed(position, f"{name} must be text")
    return value


def _none_match(request: Mapping[str, Any], position: int) -> str | None:
    etags = _text(request, "ifNoneMatch", position)
    try:
        return etags if request.get("method") == "GET" else none_match(etags)
    except MalformedRequest:
        raise malformed(position, "ifNoneMatch names no version") from None


def _instant(request: Mapping[str, Any], name: str, position: int) -> datetime | None:
    text = _text(request, name, position)
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise malformed(position, f"{name} must be an instant") from None
    if found is not None and found.tzinfo is None:
        raise malformed(position, f"{name} must be an instant")
    return found


def _version(request: Mapping[str, Any], position: int) -> int | None:
    etag = _text(request, "ifMatch", position)
    version = None if etag is None else rules.etag_version(etag)
    if etag is not None and version is None:
        raise malformed(position, "ifMatch names no version")
    return version


def _criteria(request: Mapping[str, Any], position: int) -> Pairs | None:
    criteria = _text(request, "ifNoneExist", position)
    return None if criteria is None else pairs_of(criteria)


def _said(literal: bytes) -> str:
    """Return what a string literal says, without its quotation marks."""
    return str(json.loads(b'"' + literal + b'"')) if b"\\" in literal else literal.decode()


def references(entry: Entry) -> set[str]:
    """Return every text that stands under ``reference`` in the entry's resource."""
    return {_said(match[2]) for match in _REFERENCE.finditer(entry.text or b"")}


def with_references(
    entry: Entry, replacements: Mapping[str, str], *, fid: str | None = None
) -> tuple[Entry, set[str]]:
    """Return the entry with these references replaced in its text, and the references that were not.

    ``fid`` is the id that its resource gets, where the entry names none.

    Every other byte stays. Within a string a quotation mark is escaped, so the pattern cannot begin inside one.
    """
    left: set[str] = set()

    def replaced(match: re.Match[bytes]) -> bytes:
        reference = _said(match[2])
        target = replacements.get(reference)
        if target is None:
            left.add(reference)
            return match[0]
        return match[1] + json.dumps(target).encode()

    text = None if entry.text is None else _REFERENCE.sub(replaced, entry.text)
    said = entry.resource
    if text is not None and text != entry.text:
        if (
            b"\\u" in text
        ):  # a name may be spelled with escapes, and then it was not found above: let it be read again
            said = None
        elif isinstance(said, dict):
            _redirect(said, replacements)
    return replace(entry, text=text, resource=said, fid=fid or entry.fid), left


def _redirect(value: Any, replacements: Mapping[str, str]) -> None:
    """Replace references in what a text says, as in the text itself."""
    members = value.items() if type(value) is dict else enumerate(value)
    for name, inner in members:
        kind = type(inner)
        if kind is dict or kind is list:
            _redirect(inner, replacements)
        elif name == "reference" and kind is str:
            value[name] = replacements.get(inner, inner)
