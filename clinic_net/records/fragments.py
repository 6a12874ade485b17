"""Index rows put together from fragments: what one member of a resource gives, remembered by its text.

Most of what a station sends has been said before: the same codes, categories, units, the same person and visit. What
such a member gives is looked up, not extracted and hashed again; it costs a fifth.
"""

from collections.abc import Mapping
from typing import Any

from clinic_net.fhir import write
from clinic_net.fhir.index import index_across, index_member, indexed_members
from clinic_net.records.index import Rows, rows_of
from clinic_net.records.keys import Keys

_REMEMBERED = 20_000
_LONGEST = 400
"""Bytes of a member that is remembered; longer ones are seldom said twice."""


class Fragments:
    """The remembered fragments of one process, made with its ``keys``."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._known: dict[tuple[str, str, bytes], Rows] = {}

    def rows(self, resource: Mapping[str, Any]) -> Rows:
        """Return the index rows of a checked resource: those of ``rows_of(index(resource))``."""
        rtype = resource["resourceType"]
        members = indexed_members(rtype)
        parts = [
            self._fragment(rtype, member, value) for member, value in resource.items() if member in members
        ]
        parts.append(rows_of(rtype, index_across(resource), self._keys))
        return Rows(
            frozenset().union(*[part.tokens for part in parts]),
            frozenset().union(*[part.dates for part in parts]),
            frozenset().union(*[part.strings for part in parts]),
            frozenset().union(*[part.numbers for part in parts]),
            frozenset().union(*[part.links for part in parts]),
        )

    def _fragment(self, rtype: str, member: str, value: Any) -> Rows:
        said = write(value)
        key = (rtype, member, said)
        known = self._known.get(key)
        if known is not None:
            return known
        found = rows_of(rtype, index_member(rtype, member, value), self._keys)
        if len(said) <= _LONGEST:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = found
        return found
