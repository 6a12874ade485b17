"""Where a page of a search ends: signed, stateless, good for the same search by the same caller only."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from clinic_net.access.policy import RecordScope
from clinic_net.fhir import Search
from clinic_net.records.errors import InvalidCursor
from clinic_net.records.keys import Keys


@dataclass(frozen=True)
class Cursors:
    """The cursors of one search within a scope."""

    search: Search
    keys: Keys
    scope: RecordScope

    def _fingerprint(self) -> str:
        """Name search and scope, so that a cursor of another search or caller is refused."""
        applied = [pair for pair in self.search.applied if pair[0] != "_count"]
        named = json.dumps([self.search.resource_type, applied, self.scope.mark, repr(self.search.links)])
        return blake2b(named.encode(), digest_size=9).hexdigest()

    def make(self, values: Sequence[Any]) -> str:
        """Return the cursor of the page behind the row with these order values."""
        plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
        return self.keys.sign(json.dumps([self._fingerprint(), plain]).encode())

    def read(self, cursor: str, *, length: int) -> list[Any]:
        """Return the order values that a cursor holds, ``length`` of them.

        Raises:
            InvalidCursor: it is not one of this search and scope.
        """
        payload = self.keys.unsign(cursor)
        if payload is None:
            raise InvalidCursor("the page's cursor is not valid")
        fingerprint, values = json.loads(payload)
        if fingerprint != self._fingerprint() or len(values) != length:
            raise InvalidCursor("the page's cursor is not valid")
        for position, sort in enumerate(self.search.sort):
            if sort.parameter == "_lastUpdated":
                values[position] = datetime.fromisoformat(values[position])
        return list(values)
