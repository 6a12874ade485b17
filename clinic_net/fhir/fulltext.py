"""Full text: the words of a resource, and the queries of ``_text`` and ``_content``.

A word is a run of letters and digits, without case and marks (``fold``), so that ``viem phoi`` finds "viêm phổi".
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from clinic_net.clinical.names import fold

MAX_WORD = 40
"""Characters of a word that are kept; a longer run is a number or a key that nobody types."""
MAX_WORDS = 2_000
"""Distinct words of one resource that are kept."""
MAX_QUERY_WORDS = 30
_MAX_BRACKETS = 10

_WORD = re.compile(r"[^\W_]+")
_MARKUP = re.compile(r"<[^>]*>|&[#\w]{1,10};")
_PIECE = re.compile(r'\s*(?:"([^"]*)"|([()])|([^\s()"]+))')
_NO_WORDS = frozenset(
    {"reference", "url", "system", "id", "identifier", "contentType", "data", "div", "profile", "versionId"}
)
"""Members whose text is for programs, so that a search for a word does not mean them. Identifiers are found by their
own parameter, through keyed hashes: an index holds none of them in plain text."""


class NoWordsError(ValueError):
    """The text is no full-text query; the message says why and quotes nothing."""


def words(text: str) -> Sequence[str]:
    """Return the words of a text, in order."""
    return _said_often(text) if len(text) <= _OFTEN else _words(text)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word[:MAX_WORD] for word in _WORD.findall(fold(text)))


_OFTEN = 80
"""Characters of a text that is remembered with its words: names of codes and units, which most records repeat."""
_said_often = lru_cache(maxsize=4096)(_words)


def narrative_words(resource: Mapping[str, Any]) -> list[str]:
    """Return the distinct words of a resource's narrative; none where it has no narrative."""
    narrative = resource.get("text")
    div = narrative.get("div") if isinstance(narrative, Mapping) else None
    return _distinct(words(_MARKUP.sub(" ", div))) if isinstance(div, str) else []


def content_words(resource: Mapping[str, Any]) -> list[str]:
    """Return the distinct words of everything a resource says in texts, its narrative included."""

    def found() -> Iterator[str]:
        yield from narrative_words(resource)
        for text in _texts(resource):
            yield from words(text)

    return _distinct(found())


def _distinct(found: Iterable[str]) -> list[str]:
    kept: dict[str, None] = {}
    for word in found:
        kept[word] = None
        if len(kept) >= MAX_WORDS:
            break
    return list(kept)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, member in value.items():
            if name not in _NO_WORDS:
                yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)


def read_words(text: str) -> str:
    """Return a query in PostgreSQL's ``tsquery`` notation: words, AND, OR, NOT, brackets, "phrases", begin*.

    Words without anything between them must all be there. Raises NoWordsError.
    """
    reader = _Reader(text)
    found = reader.either(0)
    if reader.pieces:
        raise NoWordsError("a closing bracket that was not opened")
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self.pieces: list[tuple[str, str]] = []
        self.count = 0
        at = 0
        while at < len(text.rstrip()):
            match = _PIECE.match(text, at)
            if match is None:
                raise NoWordsError("a quotation mark that is not closed")
            at = match.end()
            self.pieces.append(_kind(match))
        self.pieces.reverse()

    def next_is(self, *kinds: str) -> bool:
        return bool(self.pieces) and self.pieces[-1][0] in kinds

    def either(self, depth: int) -> str:
        parts = [self.both(depth)]
        while self.next_is("or"):
            self.pieces.pop()
            parts.append(self.both(depth))
        return " | ".join(parts)

    def both(self, depth: int) -> str:
        parts = [self.single(depth)]
        while self.next_is("and", "not", "(", "word"):
            if self.next_is("and"):
                self.pieces.pop()
            parts.append(self.single(depth))
        return " & ".join(parts)

    def single(self, depth: int) -> str:
        if depth > _MAX_BRACKETS:
            raise NoWordsError("too many brackets within each other")
        if not self.pieces:
            raise NoWordsError("a word is missing")
        kind, text = self.pieces.pop()
        if kind == "not":
            return f"!({self.single(depth + 1)})"
        if kind == "(":
            inner = self.either(depth + 1)
            if not self.next_is(")"):
                raise NoWordsError("a bracket that is not closed")
            self.pieces.pop()
            return f"({inner})"
        if kind != "word":
            raise NoWordsError("a word is missing")
        return self.word(text)

    def word(self, text: str) -> str:
        found = list(words(text))
        self.count += len(found)
        if not found:
            raise NoWordsError("there is no word in it")
        if self.count > MAX_QUERY_WORDS:
            raise NoWordsError(f"more than {MAX_QUERY_WORDS} words")
        begins = ":*" if text.endswith("*") else ""
        return "(" + " & ".join(f"'{word}'" for word in found) + begins + ")"


def _kind(match: re.Match[str]) -> tuple[str, str]:
    phrase, bracket, text = match.groups()
    if phrase is not None:
        return "word", phrase
    if bracket:
        return bracket, bracket
    return (text.lower(), text) if text.lower() in ("and", "or", "not") else ("word", text)
