"""National identifiers are not readable in what is stored: where they are sealed, and the one place to open them.

A number that names a person for the State (citizen identity, retired identity card, health and social insurance,
passport) is sealed wherever it stands in the text of a Patient, RelatedPerson, Person or Coverage, or of a Bundle that
is kept as a document: in ``identifier``, in a narrative, in an address. Every other byte stays, the text stays JSON,
and what is opened is what was received, byte for byte. Other types are let through by their name alone.

A text that holds the mark of a sealed value as it comes has it sealed with the string that it stands in, so nothing is
ever opened but what was sealed here; and a value opens only in the resource that it was sealed for.
"""

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import orjson

from clinic_net.clinical.identifiers import BHXH_SYSTEM, BHYT_SYSTEM, CCCD_SYSTEM, CMND_SYSTEM
from clinic_net.fhir import parse
from clinic_net.kernel.data_keys import Keyring, unsealed
from clinic_net.kernel.envelope import MARK

TYPES = frozenset({"Patient", "RelatedPerson", "Person", "Coverage", "Bundle"})
"""Types in whose texts identifiers are sealed."""

_SYSTEMS = frozenset({CCCD_SYSTEM, CMND_SYSTEM, BHYT_SYSTEM, BHXH_SYSTEM})
_KINDS = frozenset({"NI", "NNVNM", "CZ", "PPN", "HC", "SS"})
"""Codes of HL7's table 0203 (national identifiers, citizenship card, passport, health card, social security)."""
_TELLING = 6
"""A value of so many characters is sealed wherever it stands within a text; a shorter one only where it is the text."""

_STRING = re.compile(rb'"((?:[^"\\]++|\\.)*+)"([ \t\r\n]*+:)?', re.DOTALL)
_SPLIT = re.compile(r"[^\W_]+")


def bound_to(rtype: str, fid: str) -> bytes:
    """What a sealed value is bound to: the resource that it is part of."""
    return f"{rtype}/{fid}".encode()


def sealed(text: bytes, rtype: str, fid: str, keyring: Keyring) -> bytes:
    """Return the text of a resource as it is stored.

    Raises:
        NoDataKey: the database is of an older release.
    """
    if rtype not in TYPES:
        return text
    values = national_values(_read(text))
    if not values and MARK not in text:
        return text
    seal = partial(keyring.seal, bound=bound_to(rtype, fid))
    long = [value.encode() for value in values if len(value) >= _TELLING]
    within = re.compile(b"|".join(map(re.escape, sorted(long, key=len, reverse=True)))) if long else None
    whole = frozenset(value.encode() for value in values)

    def replaced(found: re.Match[bytes]) -> bytes:
        content = found[1]
        if MARK in content or (not found[2] and _is_hit(content, values, whole)):
            return b'"' + seal(content) + b'"' + (found[2] or b"")
        if found[2] or within is None or b"\\" in content:
            return found[0]
        return b'"' + within.sub(lambda value: seal(value[0]), content) + b'"'

    return _STRING.sub(replaced, text)


def _is_hit(content: bytes, values: frozenset[str], whole: frozenset[bytes]) -> bool:
    """Whether a string as a whole is to be sealed: it is a value, or holds one and is written with escapes."""
    if b"\\" not in content:
        return content in whole
    said = json.loads(b'"' + content + b'"')
    return said in values or any(value in said for value in values if len(value) >= _TELLING)


def opened(text: bytes, rtype: str, fid: str) -> bytes:
    """Return the text of a resource as it was received, from what is stored.

    Raises:
        DataKeyUnknown: another process has just begun to seal with another key; trying again helps.
        SealBroken: what is stored was changed.
    """
    if rtype not in TYPES or MARK not in text:
        return text
    return unsealed(text, bound=bound_to(rtype, fid))


def national_values(resource: Any) -> frozenset[str]:
    """Return the national identifiers that a resource holds, anywhere in it."""
    return frozenset(_values(resource))


def telling_words(resource: Any, rtype: str) -> frozenset[str]:
    """Return the words that would give a national identifier away, for an index of words to leave out."""
    if rtype not in TYPES:
        return frozenset()
    return frozenset(
        word.lower()
        for value in national_values(resource)
        for word in (value, *_SPLIT.findall(value))
        if len(word) >= _TELLING
    )


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        said = value.get("value")
        if isinstance(said, str) and said and _is_national(value):
            yield said
        for member in value.values():
            if isinstance(member, (dict, list)):
                yield from _values(member)
    elif isinstance(value, list):
        for member in value:
            yield from _values(member)


def _is_national(identifier: dict[str, Any]) -> bool:
    if identifier.get("system") in _SYSTEMS:
        return True
    kind = identifier.get("type")
    codings = kind.get("coding") if isinstance(kind, dict) else None
    return isinstance(codings, list) and any(
        isinstance(coding, dict) and coding.get("code") in _KINDS for coding in codings
    )


def _read(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # a number that is fine in FHIR and too large for the quick reader
        return parse(text)
