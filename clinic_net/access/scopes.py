"""SMART App Launch 2.2 scopes, read strictly. A scope is a ceiling: it never gives a right by itself.

The order of the actions is fixed (``.dus`` is refused, so that ``.read`` can never be taken for letters);
version 1's ``.read``, ``.write`` and ``.*`` mean ``rs``, ``cud`` and ``cruds``. A query part is refused, because
a restriction that is not enforced must not be granted. ``system/`` scopes are for systems that speak for
themselves; ``patient/`` and ``user/`` ones for programs that a person lets act in their name.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from clinic_net.access.errors import ScopeMalformed

_GRAMMAR = re.compile(r"(patient|user|system)/(\*|[A-Z][A-Za-z]{1,39})\.(read|write|\*|c?r?u?d?s?)")
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}
_MOST_SCOPES = 1000
_ACTIONS = "cruds"

NAMED = frozenset(
    {"openid", "fhirUser", "profile", "launch", "launch/patient", "offline_access", "online_access"}
)
"""What else a program may ask for (SMART App Launch 2.2, scopes for requesting context and identity)."""


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


@dataclass(frozen=True)
class Asked:
    """What a program asks for: ``resources``, and ``named`` ones such as ``openid``."""

    resources: frozenset[Scope] = frozenset()
    named: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return " ".join(sorted([*map(str, self.resources), *self.named]))

    @property
    def wants_patient(self) -> bool:
        """Whether it can only be granted for one patient, who must be chosen."""
        return "launch/patient" in self.named or any(scope.level == "patient" for scope in self.resources)

    def within(self, registered: "Asked") -> "Asked":
        """Return what of it is within what the program was registered for."""
        return Asked(reduce(self.resources, registered.resources), self.named & registered.named)


def parse(text: str) -> frozenset[Scope]:
    """Read a space-separated list of system scopes.

    Raises:
        ScopeMalformed: one of them is not in the grammar, or is not a system scope.
    """
    asked = _read(text, levels=("system",), named=frozenset())
    return asked.resources


def parse_app(text: str) -> Asked:
    """Read a space-separated list of what a program may ask a person for.

    Raises:
        ScopeMalformed: one of them is not in the grammar, or is a system scope.
    """
    return _read(text, levels=("patient", "user"), named=NAMED)


def _read(text: str, *, levels: tuple[str, ...], named: frozenset[str]) -> Asked:
    words = text.split(" ") if text else []
    if len(words) > _MOST_SCOPES:
        raise ScopeMalformed(_MOST_SCOPES + 1)
    resources = frozenset(
        _parse_one(word, position, levels)
        for position, word in enumerate(words, start=1)
        if word not in named
    )
    return Asked(resources, named & set(words))


def _parse_one(word: str, position: int, levels: tuple[str, ...]) -> Scope:
    match = _GRAMMAR.fullmatch(word)
    if match is None or not match[3] or match[1] not in levels:
        raise ScopeMalformed(position)
    return Scope(match[1], match[2], _VERSION_1.get(match[3], match[3]))


def reduce(asked: Iterable[Scope], granted: Iterable[Scope]) -> frozenset[Scope]:
    """Return what of ``asked`` is within ``granted``: fewer actions, or fewer types, never another level."""
    held = tuple(granted)
    reduced: set[Scope] = set()
    for wish in asked:
        for right in held:
            if wish.level != right.level or (wish.type not in ("*", right.type) and right.type != "*"):
                continue
            narrower = right.type if wish.type == "*" else wish.type
            actions = "".join(
                action for action in _ACTIONS if action in wish.actions and action in right.actions
            )
            if actions:
                reduced.add(Scope(wish.level, narrower, actions))
    return _plain(reduced)


def _plain(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """Leave out what a ``*`` of the same level says already."""
    every = tuple(scopes)
    wide = [scope for scope in every if scope.type == "*"]
    return frozenset(
        scope
        for scope in every
        if not any(
            scope is not other and scope.level == other.level and set(scope.actions) <= set(other.actions)
            for other in wide
            if scope.type != "*" or scope.actions != other.actions
        )
    )


def within_role(
    asked: Iterable[Scope], types: Iterable[str], may: Callable[[str, str], bool]
) -> frozenset[Scope]:
    """Return what of ``asked`` a role includes, so that nobody is promised what would be refused.

    ``types`` are all resource types, ``may(type, action)`` is the role's rule. ``*`` stays with what the role may do
    with every type; what it may do with some only is added type by type.
    """
    every = tuple(types)
    reduced: set[Scope] = set()
    for wish in asked:
        allowed = {
            rtype: "".join(action for action in wish.actions if may(rtype, action))
            for rtype in (every if wish.type == "*" else [wish.type])
        }
        common = ""
        if wish.type == "*":
            common = "".join(a for a in wish.actions if all(a in actions for actions in allowed.values()))
            if common:
                reduced.add(Scope(wish.level, "*", common))
        reduced |= {
            Scope(wish.level, rtype, actions)
            for rtype, actions in allowed.items()
            if actions and actions != common
        }
    return frozenset(reduced)


def render(scopes: Iterable[Scope]) -> str:
    """Return the scopes as the token endpoint says them."""
    return " ".join(sorted(str(scope) for scope in scopes))
