"""JSON Patch (RFC 6902) over what ``jsontext.parse`` returns, so that every number keeps its digits.

Own code because the kept library compares ``true`` with ``1`` as equal in ``test`` and has no bound on ``copy``.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .errors import InvalidPatch, MalformedPatch
from .jsontext import parse_value

MAX_OPERATIONS = 1000
MAX_COPIED = 100_000
"""Values that all copies of one patch may make: a patch that copies the root into itself doubles at every step."""

Patch = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes a resource, which it may change, and returns the patched one. Raises InvalidPatch."""

Pointer = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Operation:
    kind: str
    path: Pointer
    source: Pointer
    value: Any
    position: int

    def refused(self, message: str) -> InvalidPatch:
        return InvalidPatch(f"operation {self.position}: {message}", position=self.position)


def read_json_patch(text: bytes) -> Patch:
    """Return the patch that a text (``application/json-patch+json``) describes.

    Raises MalformedJson, ResourceTooLarge, MalformedPatch.
    """
    content = parse_value(text)
    if not isinstance(content, list) or len(content) > MAX_OPERATIONS:
        raise MalformedPatch(f"a JSON Patch is an array of at most {MAX_OPERATIONS} operations")
    operations = [_operation(position, item) for position, item in enumerate(content)]

    def patch(resource: dict[str, Any]) -> dict[str, Any]:
        running = _Run(resource)
        for operation in operations:
            running.apply(operation)
        if not isinstance(running.root, dict):
            raise InvalidPatch("the patch leaves no resource")
        return running.root

    return patch


def _operation(position: int, item: Any) -> _Operation:
    if not isinstance(item, dict) or not isinstance(item.get("op"), str) or item["op"] not in _NEEDS:
        raise MalformedPatch(f"operation {position}: op is add, remove, replace, move, copy or test")
    kind = item["op"]
    if not _NEEDS[kind] <= item.keys():
        raise MalformedPatch(f"operation {position}: needs {', '.join(sorted(_NEEDS[kind]))}")
    source = _pointer(position, item["from"]) if "from" in _NEEDS[kind] else ()
    return _Operation(kind, _pointer(position, item["path"]), source, item.get("value"), position)


_NEEDS = {
    "add": {"path", "value"},
    "remove": {"path"},
    "replace": {"path", "value"},
    "move": {"path", "from"},
    "copy": {"path", "from"},
    "test": {"path", "value"},
}


def _pointer(position: int, text: Any) -> Pointer:
    """Read a JSON Pointer (RFC 6901)."""
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise MalformedPatch(f"operation {position}: a path is empty or begins with /")
    tokens = text.split("/")[1:]
    if any("~" in token.replace("~0", "").replace("~1", "") for token in tokens):
        raise MalformedPatch(f"operation {position}: a path has an unknown escape")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in tokens)


class _Run:
    def __init__(self, root: Any) -> None:
        self.root = root
        self._room = MAX_COPIED

    def apply(self, operation: _Operation) -> None:
        match operation.kind:
            case "test":
                if not _equal(self._get(operation, operation.path), operation.value):
                    raise operation.refused("the test does not hold")
            case "add":
                self._add(operation, self._copied(operation, operation.value))
            case "remove":
                self._remove(operation, operation.path)
            case "replace":
                self._replace(operation)
            case "move":
                if operation.path[: len(operation.source)] == operation.source != operation.path:
                    raise operation.refused("a value cannot be moved into itself")
                self._add(operation, self._remove(operation, operation.source))
            case "copy":
                self._add(operation, self._copied(operation, self._get(operation, operation.source)))

    def _copied(self, operation: _Operation, value: Any) -> Any:
        waiting = [value]
        while waiting:
            self._room -= 1
            if self._room < 0:
                raise operation.refused("the patch makes too much")
            item = waiting.pop()
            if isinstance(item, dict):
                waiting.extend(item.values())
            elif isinstance(item, list):
                waiting.extend(item)
        try:
            return deepcopy(value)
        except RecursionError:
            raise operation.refused("the patch nests too deeply") from None

    def _get(self, operation: _Operation, path: Pointer) -> Any:
        value = self.root
        for token in path:
            value = value[_key(operation, value, token)]
        return value

    def _replace(self, operation: _Operation) -> None:
        value = self._copied(operation, operation.value)
        if not operation.path:
            self.root = value
            return
        holder = self._get(operation, operation.path[:-1])
        holder[_key(operation, holder, operation.path[-1])] = value

    def _add(self, operation: _Operation, value: Any) -> None:
        if not operation.path:
            self.root = value
            return
        holder, token = self._get(operation, operation.path[:-1]), operation.path[-1]
        if isinstance(holder, list):
            at = len(holder) if token == "-" else _index(operation, token, len(holder) + 1)  # noqa: S105
            holder.insert(at, value)
        elif isinstance(holder, dict):
            holder[token] = value
        else:
            raise operation.refused("the path leads through a value that has no members")

    def _remove(self, operation: _Operation, path: Pointer) -> Any:
        if not path:
            raise operation.refused("the whole resource cannot be removed")
        holder = self._get(operation, path[:-1])
        key = _key(operation, holder, path[-1])
        return holder.pop(key)


def _key(operation: _Operation, holder: Any, token: str) -> Any:
    if isinstance(holder, dict) and token in holder:
        return token
    if isinstance(holder, list):
        return _index(operation, token, len(holder))
    raise operation.refused("there is nothing at the path")


def _index(operation: _Operation, token: str, length: int) -> int:
    if token.isascii() and token.isdigit() and len(token) < 10 and str(int(token)) == token:
        index = int(token)
        if index < length:
            return index
    raise operation.refused("there is nothing at the path")


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are equal in the sense of RFC 6902 §4.6: numbers by value, truth values not as numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | Decimal) and isinstance(other, int | Decimal):
        return one == other
    return type(one) is type(other) and bool(one == other)
