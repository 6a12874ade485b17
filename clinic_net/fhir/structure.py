"""The structural check: does plain data have the shape that FHIR R4 gives its resource type?

One walk driven by tables compiled from the official definitions. It says where and what is wrong and never quotes a
value. It does not check profiles, outside code systems, or formal constraints beyond those in ``invariants.py`` and
``invariants_resources.py``.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .invariants import Rule
from .primitives import TESTS, explain
from .tables import Slot, Table, tables

MAX_DEPTH = 64
MAX_REFERENCE = 2048

_is_text = TESTS["string"]

_ELEMENT_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}", re.ASCII)
_ID = r"[A-Za-z0-9\-.]{1,64}"
_REFERENCE = re.compile(
    rf"(?:https?://[^\s?#]+/)?([A-Z][A-Za-z]+)/{_ID}(?:/_history/{_ID})?|([A-Z][A-Za-z]+)\?\S+|#(?:{_ID})?"
    r"|[a-z][a-z0-9+.\-]*:\S+",
    re.ASCII,
)

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
_REFERENCE_SAYS = frozenset({"reference", "_reference", "identifier", "display", "_display", "extension"})

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
    __slots__ = ("_bundle", "_limit", "_local", "_tables", "issues")

    def __init__(self, limit: int) -> None:
        self.issues: list[Issue] = []
        self._limit = limit
        self._tables = tables()
        self._bundle = False
        self._local: list[tuple[str, frozenset[str] | None, Path]] = []
        """References to what is contained: id, allowed types, and where they stand."""

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
        outer, self._local = self._local, []
        self._object(value, table, path, depth)
        if self._local:
            self._resolve(value.get("contained"))
        self._local = outer

    def _contained(self, resource: dict[str, Any], path: Path, depth: int) -> None:
        """Check a contained resource, whose references to contained ones are those of the resource around it."""
        name = resource.get("resourceType")
        table = self._tables.get(name) if type(name) is str else None
        if table is None or "resourceType" not in table.slots:
            self.resource(resource, path, depth)
            return
        self._object(resource, table, path, depth)
        if "contained" in resource:
            self._add("invariant", path, "dom-2: a contained resource must not contain others")
        if type(meta := resource.get("meta")) is dict:
            if "versionId" in meta or "lastUpdated" in meta:
                self._add(
                    "invariant", (path, "meta", -1), "dom-4: a contained resource has no version of its own"
                )
            if "security" in meta:
                self._add(
                    "invariant", (path, "meta", -1), "dom-5: a contained resource has no label of its own"
                )

    def _resolve(self, contained: Any) -> None:
        """Check that references to what is contained find it, and that it is of a type that is allowed there."""
        found = {
            item["id"]: item.get("resourceType")
            for item in (contained if type(contained) is list else ())
            if type(item) is dict and type(item.get("id")) is str
        }
        for identity, targets, path in self._local:
            if identity not in found:
                self._add("invariant", path, "ref-1: nothing is contained under this id")
            elif targets is not None and found[identity] not in targets:
                self._add("invalid", path, "points to a resource type that is not allowed here")

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
        if table.rules or (len(value) == 1 and "id" in value):
            self._invariants(table.rules, value, path)

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
            if slot.companion:
                self._companion(slot, item, (path, slot.label, -1), owner.get(slot.companion), depth)
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
            if slot.label == "contained" and type(item) is dict:
                self._contained(item, path, depth + 1)
            else:
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
            value = values[index] if type(values) is list and index < len(values) else None
            if item is not None:
                self._companion(slot, item, (path, slot.label, index), value, depth)
            elif type(values) is not list:
                self._add("structure", (path, slot.label, index), "null stands for a value that is not there")

    def _companion(self, slot: Slot, item: Any, path: Path, value: Any, depth: int) -> None:
        """Check id and extensions of a primitive; an id alone says nothing unless there is a value."""
        if item is None:
            self._add("structure", path, "null is not allowed")
        elif type(item) is dict and len(item) == 1 and "id" in item and value is not None:
            if not _is_text(item["id"]):
                self._add("value", (path, "id", -1), "is not a valid string")
        else:
            self._complex(slot, item, path, depth)

    def _reference(self, slot: Slot, item: Any, path: Path) -> None:
        if type(item) is not dict:
            return
        text = item.get("reference")
        if "type" in item:
            self._reference_type(slot, item["type"], text, path)
        if type(text) is not str:
            if item.keys().isdisjoint(_REFERENCE_SAYS):
                self._add("invariant", path, "needs a reference, an identifier or a display")
            return
        self._target(slot.targets, text, (path, "reference", -1))

    def _target(self, targets: frozenset[str] | None, text: str, here: Path) -> None:
        match = _REFERENCE.fullmatch(text) if len(text) <= MAX_REFERENCE else None
        if match is None or (match[2] and not self._bundle):
            self._add("invalid", here, "is not a reference (Type/id, an absolute address, a urn or #id)")
            return
        if text[0] == "#":
            if len(text) > 1:
                self._local.append((text[1:], targets, here))
            return
        target = match[1] or match[2]
        if target is None or (text.startswith("http") and not self._is_resource(target)):
            return
        if not self._is_resource(target):
            self._add("invalid", here, "points to a resource type that FHIR R4 does not have")
        elif targets is not None and target not in targets:
            self._add("invalid", here, "points to a resource type that is not allowed here")

    def _reference_type(self, slot: Slot, given: Any, text: Any, path: Path) -> None:
        """Check that ``Reference.type`` is a type that is allowed here and not another one than the reference's."""
        if type(given) is not str:
            return
        name = given.removeprefix(_STRUCTURE)
        if not self._is_resource(name):
            if ":" not in name:
                self._add("invalid", (path, "type", -1), "is not a resource type of FHIR R4")
            return
        match = _REFERENCE.fullmatch(text) if type(text) is str and len(text) <= MAX_REFERENCE else None
        target = match[1] if match is not None else None
        if target is not None and target != name and self._is_resource(target):
            self._add("invalid", (path, "type", -1), "is not the type of the reference")
        elif target is None and slot.targets is not None and name not in slot.targets:
            self._add("invalid", (path, "type", -1), "is a resource type that is not allowed here")

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

    def _invariants(self, rules: tuple[Rule, ...], value: dict[str, Any], path: Path) -> None:
        if len(value) == 1 and "id" in value:
            self._add("invariant", path, "ele-1: an element needs a value or children")
        for key, holds, words in rules:
            if not holds(value):
                self._add("invariant", path, f"{key}: {words}")
