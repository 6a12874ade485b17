"""FHIRPath Patch (FHIR R4 fhirpatch): a Parameters resource whose operations change a resource at simple paths.

A path is a type name and steps: an element, ``[n]``, ``first()``, ``last()``, ``where(element = literal and …)``,
``extension('url')`` and ``ofType(T)``. Any other expression is refused, because a patch must mean exactly one place.
"""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from .errors import InvalidPatch, MalformedPatch
from .jsonpatch import MAX_OPERATIONS, Patch
from .tables import Slot, Table, capitalised, tables

MAX_PATH = 1000

_STEP = re.compile(
    r"\.(?:(?P<call>where|first|last|extension|ofType)\((?P<given>(?:'(?:[^'\\]|\\.)*'|[^()'])*)\)"
    r"|(?P<name>[A-Za-z][A-Za-z0-9]*))(?P<index>(?:\[\d{1,6}\])?)|(?P<item>\[\d{1,6}\])"
)
_HEAD = re.compile(r"[A-Z][A-Za-z]+")
_TERM = re.compile(
    r"\s*(?P<name>[A-Za-z][A-Za-z0-9.]*)\s*=\s*(?P<literal>'(?:[^'\\]|\\.)*'|true|false|-?\d+(?:\.\d+)?)\s*"
    r"(?P<and>and\b|\Z)"
)
_KINDS = frozenset({"add", "insert", "delete", "replace", "move"})


@dataclass(slots=True)
class _Node:
    """A value and where it stands: in ``owner`` under ``member``, in a list at ``index`` or alone (-1)."""

    owner: dict[str, Any]
    member: str
    index: int
    slot: Slot | None
    table: Table | None

    @property
    def value(self) -> Any:
        found = self.owner.get(self.member)
        return found[self.index] if self.index >= 0 and isinstance(found, list) else found


@dataclass(frozen=True, slots=True)
class _Value:
    """A parameter's value: ``type`` is the ending of ``value[x]``; "" for parts and resources."""

    type: str
    content: Any
    parts: tuple[tuple[str, "_Value"], ...] = ()


@dataclass(frozen=True, slots=True)
class _Operation:
    position: int
    kind: str
    path: str
    name: str | None
    value: _Value | None
    numbers: Mapping[str, int]

    def refused(self, message: str) -> InvalidPatch:
        return InvalidPatch(f"operation {self.position}: {message}", position=self.position)


def read_fhirpath_patch(parameters: Mapping[str, Any]) -> Patch:
    """Return the patch that a Parameters resource describes. Raises MalformedPatch."""
    items = parameters.get("parameter")
    if parameters.get("resourceType") != "Parameters" or not isinstance(items, list) or not items:
        raise MalformedPatch("a FHIRPath Patch is a Parameters resource with operations")
    if len(items) > MAX_OPERATIONS:
        raise MalformedPatch(f"more than {MAX_OPERATIONS} operations")
    operations = [_operation(position, item) for position, item in enumerate(items)]

    def patch(resource: dict[str, Any]) -> dict[str, Any]:
        for operation in operations:
            _apply(operation, resource)
        return resource

    return patch


def _operation(position: int, item: Any) -> _Operation:
    parts = item.get("part") if isinstance(item, dict) and item.get("name") == "operation" else None
    if not isinstance(parts, list):
        raise MalformedPatch(f"operation {position}: a parameter named operation with parts is expected")
    texts: dict[str, str] = {}
    numbers: dict[str, int] = {}
    value = None
    for part in parts:
        name = part.get("name") if isinstance(part, dict) else None
        if name == "value":
            value = _value(position, part)
            continue
        given = next((part[key] for key in part if key.startswith("value")), None) if name else None
        if name in ("type", "path", "name") and isinstance(given, str):
            texts[name] = given
        elif name in ("index", "source", "destination") and type(given) is int and given >= 0:
            numbers[name] = given
        else:
            raise MalformedPatch(f"operation {position}: a part is not understood")
    kind, path = texts.get("type", ""), texts.get("path", "")
    needs = {"add": {"name"}, "insert": {"index"}, "move": {"source", "destination"}}.get(kind, set())
    valued = kind in ("add", "insert", "replace")
    if kind not in _KINDS or not needs <= texts.keys() | numbers.keys() or valued != (value is not None):
        raise MalformedPatch(f"operation {position}: its parts are not those of its type")
    if len(path) > MAX_PATH:
        raise MalformedPatch(f"operation {position}: the path is too long")
    return _Operation(position, kind, path, texts.get("name"), value, numbers)


def _value(position: int, part: Mapping[str, Any]) -> _Value:
    for key, content in part.items():
        if key.startswith("value"):
            return _Value(key.removeprefix("value"), content)
    if "resource" in part:
        return _Value("", part["resource"])
    parts = part.get("part")
    if not isinstance(parts, list) or not all(
        isinstance(item, dict) and isinstance(item.get("name"), str) for item in parts
    ):
        raise MalformedPatch(f"operation {position}: a value is needed")
    return _Value("", None, tuple((item["name"], _value(position, item)) for item in parts))


def _apply(operation: _Operation, resource: dict[str, Any]) -> None:
    nodes = list(_find(operation, resource))
    match operation.kind:
        case "delete":
            if len(nodes) > 1:
                raise operation.refused("the path fits more than one element")
            if nodes:
                _delete(operation, nodes[0])
        case "add":
            _add(operation, _one(operation, nodes))
        case "replace":
            _replace(operation, _one(operation, nodes))
        case "insert":
            _insert(operation, nodes)
        case _:
            _move(operation, nodes)


def _one(operation: _Operation, nodes: list[_Node]) -> _Node:
    if len(nodes) != 1:
        raise operation.refused("the path must fit exactly one element")
    return nodes[0]


def _find(operation: _Operation, resource: dict[str, Any]) -> list[_Node]:
    rtype = resource.get("resourceType", "")
    head = _HEAD.match(operation.path)
    if head is None or head[0] not in (rtype, "Resource", "DomainResource"):
        raise operation.refused("a path begins with the type of the resource")
    nodes = [_Node({"": resource}, "", -1, None, tables()[rtype])]
    at = head.end()
    while at < len(operation.path):
        step = _STEP.match(operation.path, at)
        if step is None:
            raise operation.refused("the path is more than a simple one")
        nodes = _step(operation, nodes, step)
        at = step.end()
    return nodes


def _step(operation: _Operation, nodes: list[_Node], step: re.Match[str]) -> list[_Node]:
    if step["name"]:
        nodes = [child for node in nodes for child in _children(node, step["name"])]
    elif step["call"]:
        nodes = _called(operation, nodes, step["call"], step["given"].strip())
    index = (step["index"] or step["item"] or "")[1:-1]
    return nodes[int(index) : int(index) + 1] if index else nodes


def _called(operation: _Operation, nodes: list[_Node], call: str, given: str) -> list[_Node]:
    if call in ("first", "last") and not given:
        return nodes[:1] if call == "first" else nodes[-1:]
    if call == "ofType" and given:
        ending = capitalised(given)
        return [node for node in nodes if node.slot and node.member == node.slot.choice + ending]
    if call == "extension" and given.startswith("'"):
        found = [child for node in nodes for child in _children(node, "extension")]
        return [node for node in found if node.value.get("url") == _literal(given)]
    if call == "where":
        terms = _terms(operation, given)
        return [node for node in nodes if all(_holds(node, name, value) for name, value in terms)]
    raise operation.refused("the path is more than a simple one")


def _terms(operation: _Operation, given: str) -> list[tuple[str, Any]]:
    terms: list[tuple[str, Any]] = []
    at = 0
    while at < len(given) or not terms:
        term = _TERM.match(given, at)
        if term is None:
            raise operation.refused("where takes element = literal, joined by and")
        terms.append((term["name"], _literal(term["literal"])))
        at = term.end()
        if not term["and"]:
            break
    return terms


def _literal(text: str) -> Any:
    if text.startswith("'"):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if text in ("true", "false"):
        return text == "true"
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _holds(node: _Node, name: str, value: Any) -> bool:
    nodes = [node]
    for part in name.split("."):
        nodes = [child for parent in nodes for child in _children(parent, part)]
    return any(
        type(found.value) is type(value) and found.value == value
        if isinstance(value, bool | str)
        else type(found.value) in (int, Decimal) and found.value == value
        for found in nodes
    )


def _children(node: _Node, name: str) -> Iterator[_Node]:
    value = node.value
    if not isinstance(value, dict) or node.table is None:
        return
    for member in _members(node.table, name):
        slot = node.table.slots[member]
        if member not in value:
            continue
        held = value[member]
        for index, item in enumerate(held) if isinstance(held, list) else ((-1, held),):
            table = slot.table
            if slot.resource and isinstance(item, dict):
                table = tables().get(item.get("resourceType", ""))
            yield _Node(value, member, index, slot, table)


def _members(table: Table, name: str) -> list[str]:
    if name in table.slots and not table.slots[name].choice:
        return [name]
    return [member for member, slot in table.slots.items() if slot.choice == name and not slot.companion]


def _placed(operation: _Operation, table: Table | None, name: str, value: _Value) -> tuple[str, Slot]:
    """Return member and slot for a value under an element's name; a choice takes its type from the value."""
    for member in (name, name + value.type):
        slot = table.slots.get(member) if table is not None else None
        if (
            slot is not None
            and not slot.companion
            and (not slot.choice or member == slot.choice + value.type)
        ):
            return member, slot
    raise operation.refused("there is no such element")


def _content(operation: _Operation, value: _Value, table: Table | None) -> Any:
    if not value.parts:
        return deepcopy(value.content)
    content: dict[str, Any] = {}
    for name, part in value.parts:
        member, slot = _placed(operation, table, name, part)
        item = _content(operation, part, slot.table)
        if slot.many:
            content.setdefault(member, []).append(item)
        else:
            content[member] = item
    return content


def _add(operation: _Operation, node: _Node) -> None:
    owner = node.value
    assert operation.name is not None
    assert operation.value is not None
    if not isinstance(owner, dict):
        raise operation.refused("elements are added to an object")
    member, slot = _placed(operation, node.table, operation.name, operation.value)
    content = _content(operation, operation.value, slot.table)
    if slot.many:
        items = owner.setdefault(member, [])
        _shift(owner, member, lambda companions: companions.append(None))
        items.append(content)
    elif any(other in owner for other in _members_of_choice(node.table, slot, member)):
        raise operation.refused("the element is there already")
    else:
        owner[member] = content


def _members_of_choice(table: Table | None, slot: Slot, member: str) -> list[str]:
    return _members(table, slot.choice) if slot.choice and table is not None else [member]


def _replace(operation: _Operation, node: _Node) -> None:
    assert operation.value is not None
    if node.slot is None:
        raise operation.refused("the resource itself cannot be replaced")
    content = _content(operation, operation.value, node.table)
    if node.index >= 0:
        node.owner[node.member][node.index] = content
        return
    member = node.member
    if node.slot.choice and operation.value.type:
        member = node.slot.choice + operation.value.type
    kept = [(name, item) for name, item in node.owner.items() if name != f"_{node.member}"]
    node.owner.clear()
    for name, item in kept:
        node.owner[member if name == node.member else name] = content if name == node.member else item


def _delete(operation: _Operation, node: _Node) -> None:
    if node.slot is None:
        raise operation.refused("the resource itself cannot be deleted")
    if node.index < 0 or len(node.owner[node.member]) == 1:
        del node.owner[node.member]
        node.owner.pop(f"_{node.member}", None)
        return
    node.owner[node.member].pop(node.index)
    _shift(node.owner, node.member, lambda companions: companions.pop(node.index))


def _listed(operation: _Operation, nodes: list[_Node]) -> tuple[dict[str, Any], str, list[Any], _Node]:
    """Return owner, member and items of the one list that the path names."""
    if not nodes or nodes[0].index < 0 or any(node.owner is not nodes[0].owner for node in nodes):
        raise operation.refused("the path must fit one list")
    first = nodes[0]
    return first.owner, first.member, first.owner[first.member], first


def _insert(operation: _Operation, nodes: list[_Node]) -> None:
    assert operation.value is not None
    owner, member, items, first = _listed(operation, nodes)
    at = operation.numbers["index"]
    if at > len(items):
        raise operation.refused("the index is behind the end of the list")
    items.insert(at, _content(operation, operation.value, first.table))
    _shift(owner, member, lambda companions: companions.insert(at, None))


def _move(operation: _Operation, nodes: list[_Node]) -> None:
    owner, member, items, _ = _listed(operation, nodes)
    source, destination = operation.numbers["source"], operation.numbers["destination"]
    if max(source, destination) >= len(items):
        raise operation.refused("an index is behind the end of the list")
    items.insert(destination, items.pop(source))
    _shift(owner, member, lambda companions: companions.insert(destination, companions.pop(source)))


def _shift(owner: dict[str, Any], member: str, change: Any) -> None:
    """Do to the ids and extensions of a list of primitives what was done to their values."""
    companions = owner.get(f"_{member}")
    if not isinstance(companions, list):
        return
    change(companions)
    if not any(companion is not None for companion in companions):
        del owner[f"_{member}"]
