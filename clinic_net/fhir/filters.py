"""The grammar of ``_filter`` (FHIR R4 search_filter): text to a tree, without knowing what a parameter is.

``and`` and ``or`` have the same rank and are read from left to right; brackets say otherwise. Keywords are lower case.
"""

import json
import re
from dataclasses import dataclass

MAX_TESTS = 40
"""Comparisons of one filter: each is a look into an index."""
MAX_DEPTH = 12
"""Brackets within brackets."""

OPERATORS = frozenset(
    [
        "eq",
        "ne",
        "co",
        "sw",
        "ew",
        "gt",
        "lt",
        "ge",
        "le",
        "ap",
        "sa",
        "eb",
        "pr",
        "po",
        "ss",
        "sb",
        "in",
        "ni",
        "re",
    ]
)

_SPACE = re.compile(r"\s+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]{0,63}", re.ASCII)
_WORD = re.compile(r"[a-z]+", re.ASCII)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_TOKEN = re.compile(r"[^\s)\]]+")
_NOT = re.compile(r"not\s*(?=\()")


class FilterSyntaxError(ValueError):
    """The text is no filter. The message says where, in characters from 1, and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Step:
    """One name of a path. ``where`` is what the resource must meet to which this reference leads."""

    name: str
    where: "Filter | None" = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A path compared with a value."""

    path: tuple[Step, ...]
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Joined:
    """Two filters of which both (``and``) or one (``or``) must hold."""

    word: str
    left: "Filter"
    right: "Filter"


@dataclass(frozen=True, slots=True)
class Negated:
    inner: "Filter"


Filter = Comparison | Joined | Negated


def read_filter(text: str) -> Filter:
    """Return the tree of a filter. Raises FilterSyntaxError."""
    reader = _Reader(text)
    found = reader.filter(0)
    reader.space()
    if reader.at != len(text):
        raise reader.wrong("and, or, or the end")
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.tests = 0

    def wrong(self, expected: str) -> FilterSyntaxError:
        return FilterSyntaxError(f"at character {self.at + 1}: expected {expected}")

    def space(self) -> bool:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return match is not None

    def take(self, pattern: re.Pattern[str], expected: str) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise self.wrong(expected)
        self.at = match.end()
        return match[0]

    def seen(self, character: str) -> bool:
        if not self.text.startswith(character, self.at):
            return False
        self.at += 1
        return True

    def filter(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise FilterSyntaxError(f"more than {MAX_DEPTH} brackets within each other")
        found = self.operand(depth)
        while True:
            start = self.at
            self.space()
            match = _WORD.match(self.text, self.at)
            if match is None or match[0] not in ("and", "or"):
                self.at = start
                return found
            self.at = match.end()
            if not self.space() and not self.text.startswith("(", self.at):
                raise self.wrong("a space")
            found = Joined(match[0], found, self.operand(depth))

    def operand(self, depth: int) -> Filter:
        self.space()
        negated = _NOT.match(self.text, self.at)
        if negated is not None:
            self.at = negated.end()
        if self.seen("("):
            inner = self.filter(depth + 1)
            self.space()
            if not self.seen(")"):
                raise self.wrong("a closing bracket")
            return inner if negated is None else Negated(inner)
        return self.test(depth)

    def test(self, depth: int) -> Comparison:
        self.tests += 1
        if self.tests > MAX_TESTS:
            raise FilterSyntaxError(f"more than {MAX_TESTS} comparisons")
        path = [self.step(depth)]
        while self.seen("."):
            path.append(self.step(depth))
        if path[-1].where is not None:
            raise self.wrong("a dot and a parameter behind the square bracket")
        if not self.space():
            raise self.wrong("a space and an operator")
        operator = self.take(_WORD, "an operator")
        if operator not in OPERATORS:
            raise self.wrong("one of the operators of _filter before this")
        if not self.space():
            raise self.wrong("a space and a value")
        return Comparison(tuple(path), operator, self.value())

    def step(self, depth: int) -> Step:
        name = self.take(_NAME, "the name of a parameter")
        if not self.seen("["):
            return Step(name)
        where = self.filter(depth + 1)
        self.space()
        if not self.seen("]"):
            raise self.wrong("a closing square bracket")
        return Step(name, where)

    def value(self) -> str:
        if not self.text.startswith('"', self.at):
            return self.take(_TOKEN, "a value")
        start = self.at
        written = self.take(_STRING, "the end of the text in quotation marks")
        try:
            return str(json.loads(written, strict=False))
        except ValueError:
            self.at = start
            raise self.wrong("a text as JSON writes it") from None
