"""The structural check: does plain data have the shape that FHIR R4 gives its resource type?

One walk driven by tables compiled from the official definitions. It says where and what is wrong and never quotes a
value. It does not check profiles, outside code systems, or the formal constraints beyond those in ``invariants.py``.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .invariants import INVARIANTS
from .primitives import explain
from .tables import Slot, Table, tables

MAX_DEPTH = 64
MAX_REFERENCE = 2048

_ELEMENT_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}", re.ASCII)
_ID = r"[A-Za-z0-9\-.]{1,64}"
_REFERENCE = re.compile(
    rf"(?:https?://[^\s?#]+/)?([A-Z][A-Za-z]+)/{_ID}(?:/_history/{_ID})?|([A-Z][A-Za-z]+)\?\S+|#(?:{_ID})?"
    r"|[a-z][a-z0-9+.\-]*:\S+",
    re.ASCII,
)

Path = tuple["Path | None", str, int]
"""(where the parent stands, element, index or -1): built on the way down, written out only for an issue."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding. ``severity`` and ``code`` are FHIR codes (issue-type); ``expression`` is FHIRPath."""

    severity: str
    code: str
    expression: str
    diagnostics: str


class _EnoughError(Exception):
    """The limit of issues is reached."""


def check(resource: Any, *, limit: int = 50) -> list[Issue]:
    """Return what is wrong with the structure of a resource, at most ``limit`` issues; empty when it is sound.

    ``resource`` is what ``jsontext.parse`` returns: plain data, decimals as ``Decimal``.
    """
    walk = _Walk(limit)
    with suppress(_EnoughError):
        walk.resource(resource, None, 0)
    return walk.issues


def _expression(path: Path | None) -> str:
    parts: list[str] = []
    while path is not None:
        path, name, index = path
        parts.append(f"{name}[{index}]" if index >= 0 else name)
    return ".".join(reversed(parts))


class _Walk:
    __slots__ = ("_bundle", "_limit", "_tables", "issues")

    def __init__(self, limit: int) -> None:
        self.issues: list[Issue] = []
        self._limit = limit
        self._tables = tables()
        self._bundle = False

    def _add(self, code: str, path: Path | None, diagnostics: str) -> None:
        self.issues.append(Issue("error", code, _expression(path), diagnostics))
        if len(self.issues) >= self._limit:
            raise _EnoughError

    def resource(self, value: Any, path: Path | None, depth: int) -> None:
        """Check a resource: the root (``path`` None), one in a Bundle or Parameters, or a contained one."""
        if type(value) is not dict:
            self._add("structure", path or (None, "Resource", -1), "must be an object with resourceType")
            return
        name = value.get("resourceType")
        if type(name) is not str:
            self._add("required", path or (None, "Resource", -1), "resourceType is missing")
            return
        table = self._tables.get(name)
        if table is None or "resourceType" not in table.slots:
            self._add("not-supported", path or (None, "Resource", -1), "FHIR R4 has no such resource type")
            return
        if name == "Bundle":
            self._bundle = True
        if path is None:
            path = (None, name, -1)
        self._object(value, table, path, depth)

    def _object(self, value: Any, table: Table, path: Path, depth: int) -> None:
        if type(value) is not dict or not value or depth > MAX_DEPTH:
            self._not_walked(value, table, path)
            return
        slots = table.slots
        chosen: dict[str, str] | None = None
        for key, item in value.items():
            slot = slots.get(key)
            if slot is None:
                self._unknown(key, path)
                continue
            if slot.choice:
                chosen = self._choose(slot, chosen, path)
            test = slot.test
            if test is not None and not slot.many:
                if not test(item):
                    self._primitive(slot, item, (path, slot.label, -1))
            else:
                self._other(slot, item, path, value, depth)
        for label, members in table.required:
            if members.isdisjoint(value):
                self._add("required", (path, label, -1), "a required element is missing")
        if (rules := INVARIANTS.get(table.name)) is not None:
            self._invariants(rules, value, path)

    def _not_walked(self, value: Any, table: Table, path: Path) -> None:
        if type(value) is not dict:
            self._add("structure", path, f"must be an object ({table.name})")
        elif not value:
            self._add("structure", path, "an object must not be empty")
        else:
            self._add("structure", path, f"nested more than {MAX_DEPTH} levels deep")

    def _unknown(self, key: Any, path: Path) -> None:
        known_form = type(key) is str and _ELEMENT_NAME.fullmatch(key)
        self._add("structure", (path, key, -1) if known_form else path, "there is no such element")

    def _choose(self, slot: Slot, chosen: dict[str, str] | None, path: Path) -> dict[str, str]:
        if chosen is None:
            return {slot.choice: slot.label}
        if chosen.setdefault(slot.choice, slot.label) != slot.label:
            self._add("structure", (path, slot.choice, -1), "only one type of a choice may be given")
        return chosen

    def _other(self, slot: Slot, item: Any, path: Path, owner: Mapping[str, Any], depth: int) -> None:
        if not slot.many:
            if slot.companion and item is None:
                self._add("structure", (path, slot.label, -1), "null is not allowed")
            else:
                self._complex(slot, item, (path, slot.label, -1), depth)
            return
        if type(item) is not list:
            self._add("structure", (path, slot.label, -1), "must be an array")
        elif not item:
            self._add("structure", (path, slot.label, -1), "an array must not be empty")
        elif slot.test is not None:
            self._primitives(slot, item, path, owner)
        elif slot.companion:
            self._companions(slot, item, path, owner, depth)
        else:
            for index, part in enumerate(item):
                self._complex(slot, part, (path, slot.label, index), depth)

    def _complex(self, slot: Slot, item: Any, path: Path, depth: int) -> None:
        if slot.table is None:
            if slot.label == "contained" and type(item) is dict and "contained" in item:
                self._add("invariant", path, "dom-2: a contained resource must not contain others")
            self.resource(item, path, depth + 1)
            return
        self._object(item, slot.table, path, depth + 1)
        if slot.reference:
            self._reference(slot, item, path)
        if slot.concepts is not None:
            self._concept(slot.concepts, item, path)

    def _primitive(self, slot: Slot, item: Any, path: Path) -> None:
        if item is None:
            self._add("structure", path, "null is not allowed")
            return
        code, words = explain(slot.primitive, item)
        if slot.codes and code == "value":
            code, words = "code-invalid", "is not one of the codes of the required value set"
        self._add(code, path, words)

    def _primitives(self, slot: Slot, items: list[Any], path: Path, owner: Mapping[str, Any]) -> None:
        assert slot.test is not None
        for index, item in enumerate(items):
            if slot.test(item):
                continue
            if item is None:
                companions = owner.get(f"_{slot.label}")
                if type(companions) is list and index < len(companions) and companions[index] is not None:
                    continue
            self._primitive(slot, item, (path, slot.label, index))

    def _companions(
        self, slot: Slot, items: list[Any], path: Path, owner: Mapping[str, Any], depth: int
    ) -> None:
        values = owner.get(slot.companion)
        if type(values) is list and len(values) != len(items):
            self._add("structure", (path, slot.label, -1), "values and their extensions differ in number")
        for index, item in enumerate(items):
            if item is not None:
                self._complex(slot, item, (path, slot.label, index), depth)
            elif type(values) is not list:
                self._add("structure", (path, slot.label, index), "null stands for a value that is not there")

    def _reference(self, slot: Slot, item: Any, path: Path) -> None:
        text = item.get("reference") if type(item) is dict else None
        if type(text) is not str:
            return
        here: Path = (path, "reference", -1)
        match = _REFERENCE.fullmatch(text) if len(text) <= MAX_REFERENCE else None
        if match is None or (match[2] and not self._bundle):
            self._add("invalid", here, "is not a reference (Type/id, an absolute address, a urn or #id)")
            return
        target = match[1] or match[2]
        if target is None or (text.startswith("http") and not self._is_resource(target)):
            return
        if not self._is_resource(target):
            self._add("invalid", here, "points to a resource type that FHIR R4 does not have")
        elif slot.targets is not None and target not in slot.targets:
            self._add("invalid", here, "points to a resource type that is not allowed here")

    def _is_resource(self, name: str) -> bool:
        table = self._tables.get(name)
        return table is not None and "resourceType" in table.slots

    def _concept(self, concepts: Mapping[str, frozenset[str]], item: Any, path: Path) -> None:
        codings = item.get("coding") if type(item) is dict else None
        if type(codings) is not list:
            if type(item) is dict and "text" in item:
                self._add("code-invalid", path, "needs a code of the required value set, not only text")
            return
        for coding in codings:
            if type(coding) is not dict or type(coding.get("system")) is not str:
                continue
            code = coding.get("code")
            if type(code) is str and code in concepts.get(coding["system"], ()):
                return
        self._add("code-invalid", path, "has no code of the required value set")

    def _invariants(self, rules: Any, value: dict[str, Any], path: Path) -> None:
        for key, holds, words in rules:
            if not holds(value):
                self._add("invariant", path, f"{key}: {words}")
