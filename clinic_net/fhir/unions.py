"""Search parameters that are two others together: they are asked as those, and need no index of their own.

R4 gives an Observation six of them (``combo-code`` is ``code`` or ``component-code``). Indexed by themselves they would
be a fifth of what the database writes for a vital sign.
"""

from collections.abc import Mapping

_UNIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "Observation": {
        f"combo-{name}": (name, f"component-{name}")
        for name in ("code", "value-concept", "value-quantity", "code-value-concept", "code-value-quantity")
    }
    | {"combo-data-absent-reason": ("data-absent-reason", "component-data-absent-reason")}
}


def is_union(rtype: str, code: str) -> bool:
    """Whether a type's parameter is others together."""
    return code in _UNIONS.get(rtype, ())


def parts_of(rtype: str, code: str) -> tuple[str, ...]:
    """Return the parameters that a parameter consists of: those of a union, else itself."""
    return _UNIONS.get(rtype, {}).get(code, (code,))
