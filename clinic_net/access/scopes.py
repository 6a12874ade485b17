"""SMART App Launch 2.2 scopes, read strictly. A scope is a ceiling: it never gives a right by itself.

The order of the actions is fixed (``.dus`` is refused, so that ``.read`` can never be taken for letters);
version 1's ``.read``, ``.write`` and ``.*`` mean ``rs``, ``cud`` and ``cruds``. A query part is refused, because
a restriction that is not enforced must not be granted.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from clinic_net.access.errors import ScopeMalformed

_GRAMMAR = re.compile(r"(system)/(\*|[A-Z][A-Za-z]{1,39})\.(read|write|\*|c?r?u?d?s?)")
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}
_MOST_SCOPES = 200


@dataclass(frozen=True, order=True)
class Scope:
    """``type`` is a FHIR resource type or ``*``; ``actions`` of ``c r u d s``."""

    level: str
    type: str
    actions: str

    def __str__(self) -> str:
        return f"{self.level}/{self.type}.{self.actions}"

    def allows(self, rtype: str, action: str) -> bool:
        return self.type in ("*", rtype) and action in self.actions


def parse(text: str) -> frozenset[Scope]:
    """Read a space-separated list of system scopes.

    Raises:
        ScopeMalformed: one of them is not in the grammar, or is not a system scope.
    """
    words = text.split(" ") if text else []
    if len(words) > _MOST_SCOPES:
        raise ScopeMalformed(_MOST_SCOPES + 1)
    return frozenset(_parse_one(word, position) for position, word in enumerate(words, start=1))


def _parse_one(word: str, position: int) -> Scope:
    match = _GRAMMAR.fullmatch(word)
    if match is None or not match[3]:
        raise ScopeMalformed(position)
    return Scope(match[1], match[2], _VERSION_1.get(match[3], match[3]))


def reduce(asked: Iterable[Scope], granted: Iterable[Scope]) -> frozenset[Scope]:
    """Return what of ``asked`` is within ``granted``: fewer actions, or fewer types, never more."""
    held = tuple(granted)
    reduced: set[Scope] = set()
    for wish in asked:
        for right in held:
            if wish.type not in ("*", right.type) and right.type != "*":
                continue
            narrower = right.type if wish.type == "*" else wish.type
            actions = "".join(
                action for action in "cruds" if action in wish.actions and action in right.actions
            )
            if actions:
                reduced.add(Scope("system", narrower, actions))
    return frozenset(reduced)


def render(scopes: Iterable[Scope]) -> str:
    """Return the scopes as the token endpoint says them."""
    return " ".join(sorted(str(scope) for scope in scopes))
