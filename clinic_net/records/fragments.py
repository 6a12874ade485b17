"""Index rows put together from fragments: what one member of a resource gives, remembered by its text.

Most of what a station sends has been said before: the same codes, categories, units, the same person and visit. What
such a member gives is looked up, not extracted and hashed again; it costs a fifth.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from clinic_net.fhir import write
from clinic_net.fhir.index import index_across, index_member, indexed_members, members_across
from clinic_net.records.index import Rows, rows_of
from clinic_net.records.keys import Keys

_REMEMBERED = 20_000
_LONGEST = 400
"""Bytes of a member that is remembered; longer ones are seldom said twice."""


class Fragments:
    """The remembered fragments of one process, made with its ``keys``."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._known: dict[tuple[object, ...], Rows] = {}

    def rows(self, resource: Mapping[str, Any]) -> Rows:
        """Return the index rows of a checked resource: those of ``rows_of(index(resource))``."""
        rtype = resource["resourceType"]
        alone, together = indexed_members(rtype), members_across(rtype)
        parts = []
        across: list[tuple[str, bytes]] = []
        for member, value in resource.items():
            if member not in alone and member not in together:
                continue
            said = write(value)
            if member in alone:
                parts.append(self._of_member(rtype, member, value, said))
            if member in together:
                across.append((member, said))
        parts.append(self._across(resource, rtype, across))
        return Rows(
            frozenset().union(*[part.tokens for part in parts]),
            frozenset().union(*[part.dates for part in parts if part.dates]),
            frozenset().union(*[part.strings for part in parts if part.strings]),
            frozenset().union(*[part.numbers for part in parts if part.numbers]),
            frozenset().union(*[part.links for part in parts if part.links]),
        )

    def _of_member(self, rtype: str, member: str, value: Any, said: bytes) -> Rows:
        key = (rtype, member, said)
        known = self._known.get(key)
        if known is None:
            known = rows_of(rtype, index_member(rtype, member, value), self._keys)
            self._keep(key, known, len(said))
        return known

    def _across(self, resource: Mapping[str, Any], rtype: str, across: Sequence[tuple[str, bytes]]) -> Rows:
        """What several members give together: the same for every resource of the type that says the same in them."""
        key = (rtype, *across)
        known = self._known.get(key)
        if known is None:
            known = rows_of(rtype, index_across(resource), self._keys)
            self._keep(key, known, sum(len(said) for _, said in across))
        return known

    def _keep(self, key: tuple[object, ...], found: Rows, size: int) -> None:
        if size <= _LONGEST:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = found
