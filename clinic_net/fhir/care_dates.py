"""By which search parameters one knows when care took place, for ``$everything`` with ``start`` and ``end``."""

from collections.abc import Sequence
from functools import cache

from .definitions import search_parameters
from .index import uncompiled

_NOT_CARE = frozenset(
    {"_lastUpdated", "birthdate", "death-date", "value-date", "payment-date", "entered-date"}
)
"""When somebody was born, or something was written down or paid."""
_LASTING = frozenset(
    {"AllergyIntolerance", "CareTeam", "Condition", "Consent", "Coverage", "Flag", "Patient"}
)
"""What was true during care whenever it began: an allergy must not be missing because it is old."""


@cache
def care_dates(rtype: str) -> Sequence[str]:
    """Return the date parameters that say when what a resource tells of took place; () where none does."""
    if rtype in _LASTING:
        return ()
    return tuple(
        code
        for code, parameter in search_parameters(rtype).items()
        if parameter.type == "date" and code not in _NOT_CARE and code not in uncompiled(rtype)
    )
