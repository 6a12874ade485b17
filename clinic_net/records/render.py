"""Bundles as text: stored bytes are put together, never written anew."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clinic_net.fhir import parse, write
from clinic_net.fhir.definitions import elements
from clinic_net.fhir.search import Search
from clinic_net.records.history import PastVersion
from clinic_net.records.matching import Fit
from clinic_net.records.reading import Found
from clinic_net.records.shapes import Stored, instant

_SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
_METHODS = {"C": "POST", "U": "PUT", "D": "DELETE"}

Link = tuple[str, str]
"""Relation and address."""


def address(base: str, stored: Stored) -> str:
    return f"{base}/{stored.rtype}/{stored.fid}"


def _bundle(kind: str, entries: Sequence[bytes], *, links: Iterable[Link], total: int | None) -> bytes:
    head: dict[str, Any] = {"resourceType": "Bundle", "type": kind}
    if total is not None:
        head["total"] = total
    found = [{"relation": relation, "url": url} for relation, url in links]
    if found:
        head["link"] = found
    text = write(head)
    return text[:-1] + b',"entry":[' + b",".join(entries) + b"]}" if entries else text


def _entry(members: dict[str, Any], resource: bytes | None) -> bytes:
    text = write(members)
    if resource is None:
        return text
    return text[:-1] + (b"," if members else b"") + b'"resource":' + resource + b"}"


def search_bundle(found: Found, asked: Search, *, base: str, links: Iterable[Link]) -> bytes:
    """Return a searchset. What a lenient search left out is told by an OperationOutcome among the entries."""
    entries = [
        _entry({"fullUrl": address(base, stored), "search": {"mode": mode}}, shown(stored, asked))
        for mode, group in (("match", found.entries), ("include", found.included))
        for stored in group
    ]
    if asked.ignored:
        issues = [
            {"severity": "warning", "code": "not-supported", "diagnostics": "this parameter was ignored"}
            for _ in asked.ignored
        ]
        outcome = write({"resourceType": "OperationOutcome", "issue": issues})
        entries.append(_entry({"search": {"mode": "outcome"}}, outcome))
    return _bundle("searchset", entries, links=links, total=found.total)


def _incomplete() -> bytes:
    """Return the entry that says that there is more than was looked at."""
    issue = {"severity": "warning", "code": "incomplete", "diagnostics": "there is more than is given here"}
    return _entry(
        {"search": {"mode": "outcome"}}, write({"resourceType": "OperationOutcome", "issue": [issue]})
    )


def everything_bundle(
    found: Sequence[Stored], *, base: str, links: Iterable[Link], whole: bool = True
) -> bytes:
    """Return all of what was found as a searchset; not ``whole``: it says that there is more."""
    entries = [
        _entry({"fullUrl": address(base, stored), "search": {"mode": "match"}}, stored.text)
        for stored in found
    ]
    more = [] if whole else [_incomplete()]
    return _bundle("searchset", [*entries, *more], links=links, total=len(entries))


def record_bundle(found: Found, *, base: str, links: Iterable[Link], whole: bool = True) -> bytes:
    """Return a page of a record as a searchset: what belongs to it, then what that refers to.

    Not ``whole``: it refers to more than is given, and says so.
    """
    entries = [
        _entry({"fullUrl": address(base, stored), "search": {"mode": mode}}, stored.text)
        for mode, group in (("match", found.entries), ("include", found.included))
        for stored in group
    ]
    more = [] if whole else [_incomplete()]
    return _bundle("searchset", [*entries, *more], links=links, total=found.total)


def match_bundle(found: Sequence[tuple[Stored, Fit]], *, base: str) -> bytes:
    """Return patients that fit a description as a searchset, each with its score and grade."""
    entries = []
    for stored, fit in found:
        search = {
            "extension": [{"url": _GRADE, "valueCode": fit.grade}],
            "mode": "match",
            "score": fit.score,
        }
        entries.append(_entry({"fullUrl": address(base, stored), "search": search}, stored.text))
    return _bundle("searchset", entries, links=(), total=len(entries))


def history_bundle(found: Sequence[PastVersion], *, base: str, links: Iterable[Link]) -> bytes:
    """Return versions as a history, newest first; a deletion has no resource."""
    entries = []
    for past in found:
        stored = past.stored
        status = {"C": "201", "U": "200", "D": "204"}[past.method]
        url = stored.rtype if past.method == "C" else f"{stored.rtype}/{stored.fid}"
        members = {
            "fullUrl": address(base, stored),
            "request": {"method": _METHODS[past.method], "url": url},
            "response": {
                "status": status,
                "etag": f'W/"{stored.version}"',
                "lastModified": instant(stored.updated),
            },
        }
        entries.append(_entry(members, None if stored.deleted else stored.text))
    return _bundle("history", entries, links=links, total=None)


def response_bundle(kind: str, entries: Iterable[tuple[dict[str, Any], bytes | None]]) -> bytes:
    """Return the answers to a transaction or batch, in the order of what was asked."""
    return _bundle(f"{kind}-response", [_entry(*entry) for entry in entries], links=(), total=None)


def async_bundle(status: int, text: bytes, marks: Mapping[str, str], *, refused: bool) -> bytes:
    """Return the answer to a request that was answered later: one entry, with its resource or why it was refused."""
    response: dict[str, Any] = {"status": str(status), **marks}
    if refused:
        response["outcome"] = parse(text)
    return response_bundle("batch", [({"response": response}, None if refused or not text else text)])


def shown(stored: Stored, asked: Search) -> bytes:
    """Return the text of an entry, cut down as ``_elements`` or ``_summary`` ask."""
    if not asked.elements and asked.summary in (None, "false", "count"):
        return stored.text
    table = elements(stored.rtype)
    kept = {"resourceType", "id", "meta"}
    kept |= {name.removesuffix("[x]") for name, element in table.items() if element.minimum}
    if asked.elements and stored.rtype == asked.resource_type:
        kept |= set(asked.elements)
    elif asked.summary == "data":
        kept |= {name.removesuffix("[x]") for name in table} - {"text"}
    elif asked.summary == "text":
        kept.add("text")
    else:
        kept |= {name.removesuffix("[x]") for name, element in table.items() if element.summary}
    choices = tuple(name.removesuffix("[x]") for name in table if name.endswith("[x]"))
    content = parse(stored.text)
    cut = {name: value for name, value in content.items() if _belongs(name.removeprefix("_"), kept, choices)}
    meta = cut["meta"]
    cut["meta"] = {**meta, "tag": [*meta.get("tag", ()), _SUBSETTED]}
    return write(cut)


def _belongs(name: str, kept: set[str], choices: tuple[str, ...]) -> bool:
    if name in kept:
        return True
    return any(
        choice in kept and name.startswith(choice) and name[len(choice) : len(choice) + 1].isupper()
        for choice in choices
    )
