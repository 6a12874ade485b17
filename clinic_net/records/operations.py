"""Operations on records: tags of a resource, the last of each observation, patients that fit."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.fhir import Patch, Search, check, parse, parse_search
from clinic_net.fhir.definitions import FHIR_VERSION
from clinic_net.records import matching
from clinic_net.records.errors import MalformedRequest
from clinic_net.records.searching import Searching, find
from clinic_net.records.shapes import Stored

_META_LISTS = ("profile", "security", "tag")
_LASTN_PAGES = 10
_LASTN_PAGE = 500
"""Of a patient's observations the newest 5,000 are looked at."""
_CANDIDATES = 100
_MAX_TERMS = 10
_MATCHES, MOST_MATCHES = 20, 100
_COUNT = re.compile(r"\d{1,9}", re.ASCII)
_BOOLEANS = {"true": True, "false": False}

Parameters = dict[str, list[dict[str, Any]]]


def parameters_of(content: Mapping[str, Any]) -> Parameters:
    """Return the parameters of a Parameters resource by name.

    Raises:
        MalformedRequest: it is none.
    """
    items = content.get("parameter", [])
    if content.get("resourceType") != "Parameters" or not isinstance(items, list):
        raise MalformedRequest("a Parameters resource is expected")
    found: Parameters = {}
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise MalformedRequest("a parameter needs a name")
        found.setdefault(item["name"], []).append(item)
    return found


def meta_of(parameters: Parameters) -> Mapping[str, Any]:
    """Return the ``meta`` that is to be added or deleted.

    Raises:
        MalformedRequest: there is none, or it names what only the hub sets.
    """
    given = [item.get("valueMeta") for item in parameters.get("meta", ())]
    if len(given) != 1 or not isinstance(given[0], dict) or given[0].keys() - set(_META_LISTS):
        raise MalformedRequest("one meta with profile, security and tag is expected")
    if not all(isinstance(items, list) for items in given[0].values()):
        raise MalformedRequest("one meta with profile, security and tag is expected")
    return given[0]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return (one.get("system"), one.get("code")) == (other.get("system"), other.get("code"))
    return bool(one == other)


def adding_meta(meta: Mapping[str, Any]) -> Patch:
    """Return the patch of ``$meta-add``: what is there already is not added again."""

    def patch(resource: dict[str, Any]) -> dict[str, Any]:
        held = resource["meta"]
        for name, items in meta.items():
            there = list(held.get(name, []))
            for item in items:
                if not any(_same(item, other) for other in there):
                    there.append(item)
            if there:
                held[name] = there
        return resource

    return patch


def deleting_meta(meta: Mapping[str, Any]) -> Patch:
    """Return the patch of ``$meta-delete``: what is not there is no error."""

    def patch(resource: dict[str, Any]) -> dict[str, Any]:
        held = resource["meta"]
        for name, items in meta.items():
            kept = [item for item in held.get(name, []) if not any(_same(item, other) for other in items)]
            if kept:
                held[name] = kept
            else:
                held.pop(name, None)
        return resource

    return patch


async def last_of_each(
    s: AsyncSession, asked: Search, by: Searching, *, most: int
) -> tuple[list[Stored], bool]:
    """Return the newest ``most`` observations of each code among those that ``asked`` finds, newest first.

    And whether all that it finds were looked at: of very many only the newest are.

    Codes that share a coding are one (FHIR R4 Observation/$lastn). ``asked`` must be sorted by ``-date``.
    """
    asked = replace(asked, count=_LASTN_PAGE)
    groups: dict[object, list[int]] = {}
    kept: list[Stored] = []
    cursor: str | None = None
    for _ in range(_LASTN_PAGES):
        page = await find(s, asked, by, cursor=cursor)
        for stored in page.entries:
            codes = _codes(parse(stored.text))
            count = next((groups[code] for code in codes if code in groups), [0])
            for code in codes:
                groups.setdefault(code, count)
            if count[0] < most:
                count[0] += 1
                kept.append(stored)
        cursor = page.next
        if cursor is None:
            break
    return kept, cursor is None


def _codes(observation: Mapping[str, Any]) -> list[object]:
    concept = observation.get("code", {})
    codings = [(item.get("system"), item.get("code")) for item in concept.get("coding", ())]
    return [*codings] or [concept.get("text")]


@dataclass(frozen=True)
class MatchAsked:
    """Whom to look for. ``only_certain``: one certain match or none; ``count``: at most so many."""

    described: Mapping[str, Any]
    only_certain: bool
    count: int


def match_of(content: Mapping[str, Any], query: Sequence[tuple[str, str]]) -> MatchAsked:
    """Return what ``$match`` is asked: by Parameters, or by a Patient with the rest in the address.

    A description need not be whole, but what it says must be what a Patient can say.

    Raises:
        MalformedRequest: it is neither, or the rest is not understood.
    """
    given: Mapping[str, Any] = {"resource": [{"resource": content}]}
    if content.get("resourceType") == "Parameters":
        given = parameters_of(content)
    described = [item.get("resource") for item in given.get("resource", ())]
    counts = [item.get("valueInteger", item.get("valuePositiveInt")) for item in given.get("count", ())]
    counts += [int(value) if _COUNT.fullmatch(value) else None for name, value in query if name == "count"]
    certain = [item.get("valueBoolean") for item in given.get("onlyCertainMatches", ())]
    certain += [_BOOLEANS.get(value) for name, value in query if name == "onlyCertainMatches"]
    if len(described) != 1 or not isinstance(described[0], dict):
        raise MalformedRequest("one Patient is expected")
    if len(counts) > 1 or any(type(count) is not int for count in counts):
        raise MalformedRequest("count is one whole number")
    if len(certain) > 1 or any(type(one) is not bool for one in certain):
        raise MalformedRequest("onlyCertainMatches is true or false")
    wrong = [issue for issue in check(described[0]) if issue.code != "required"]
    if described[0].get("resourceType") != "Patient" or wrong:
        raise MalformedRequest("the resource must say what a Patient can say")
    count = min(max(counts[0], 0), MOST_MATCHES) if counts else _MATCHES
    return MatchAsked(described[0], certain == [True], count)


async def matches(s: AsyncSession, asked: MatchAsked, by: Searching) -> list[tuple[Stored, matching.Fit]]:
    """Return the patients within reach that fit a description, the best first.

    Candidates share an identifier, a telephone number, or name and date of birth with it. Of several certain ones none
    is, where only certain ones are wanted (FHIR R4 Patient/$match).
    """
    described = asked.described
    candidates: dict[str, Stored] = {}
    for pairs in _candidate_searches(described):
        search = replace(parse_search("Patient", pairs), count=_CANDIDATES)
        for stored in (await find(s, search, by)).entries:
            candidates[stored.fid] = stored
    fits = [(stored, matching.fit(described, parse(stored.text))) for stored in candidates.values()]
    grades = ("certain",) if asked.only_certain else ("certain", "probable", "possible")
    good = [found for found in fits if found[1].grade in grades]
    if asked.only_certain and len(good) > 1:
        return []
    return sorted(good, key=lambda found: (-found[1].score, found[0].fid))[: asked.count]


def _candidate_searches(described: Mapping[str, Any]) -> list[list[tuple[str, str]]]:
    searches = []
    tokens = [
        f"{_escaped(system)}|{_escaped(value)}" if system else _escaped(value)
        for system, value in sorted(matching.identifiers(described))[:_MAX_TERMS]
    ]
    if tokens:
        searches.append([("identifier", ",".join(tokens))])
    born = described.get("birthDate")
    for name in list(matching.names(described))[:_MAX_TERMS]:
        words = [("name", _escaped(word)) for word in name.split()[:_MAX_TERMS]]
        searches.append([*words, *([("birthdate", born)] if born else [])])
    if born and described.get("gender") in ("male", "female"):
        searches.append([("birthdate", born), ("gender", described["gender"])])
    numbers = sorted(matching.phones(described))[:_MAX_TERMS]
    if numbers:
        forms = [f"{lead}{number}" for number in numbers for lead in ("0", "+84")]
        searches.append([("phone", ",".join(map(_escaped, forms)))])
    return searches


def _escaped(text: str) -> str:
    for mark in ("\\", ",", "|", "$"):
        text = text.replace(mark, f"\\{mark}")
    return text


def checked_profile(profiles: Sequence[Any], rtype: str) -> None:
    """Refuse to validate against anything but the base definition of the type.

    Raises:
        MalformedRequest: another profile is named.
    """
    base = f"http://hl7.org/fhir/StructureDefinition/{rtype}"
    if any(profile not in (base, f"{base}|{FHIR_VERSION}") for profile in profiles):
        raise MalformedRequest("only the base definition of the type can be validated against")
