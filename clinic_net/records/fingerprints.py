"""With which definitions index rows are written: what tells this program's from another's."""

import json
from dataclasses import astuple
from functools import cache
from hashlib import blake2b

from clinic_net.fhir.definitions import search_parameters

EXTRACTOR = 3
"""Raise it with every change of what ``fhir.index`` extracts or ``records.index`` makes of it. A program never renews
rows that a higher one wrote: nodes of the release before may still run."""


@cache
def fingerprint(rtype: str) -> str:
    """Return what names the search parameters of a type and how they are extracted."""
    parameters = [
        [sorted(part) if isinstance(part, frozenset) else part for part in astuple(parameter)]
        for _, parameter in sorted(search_parameters(rtype).items())
    ]
    return blake2b(json.dumps([EXTRACTOR, parameters]).encode(), digest_size=16).hexdigest()
