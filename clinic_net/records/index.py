"""From search values to index rows: which hashes, ranges and folded texts a resource is found by."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b

from clinic_net.clinical.names import fold, tone_key
from clinic_net.fhir.index import IndexValues
from clinic_net.fhir.index_extras import ancestors
from clinic_net.fhir.values import DateRange, QuantityValue, Text, Token, Value
from clinic_net.records import rules
from clinic_net.records.keys import Keys, parameter_id

_NAMES = frozenset({"name", "family", "given"})
_MOST_WORDS = 8
"""Words of a name from each of which it can be found."""
_MOST_BYTES = 800
"""Of a text in an index row: a row of PostgreSQL's B-tree holds 2,704 bytes, and two texts stand in one."""

_MOST_VERSION_PARTS = 6

_COLUMNS = frozenset({"_id", "_lastUpdated"})
"""Answered from the head row itself."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The index rows of one version; dates, strings and numbers as in ``model``, without ``rid``."""

    tokens: frozenset[int] = frozenset()
    dates: frozenset[tuple[int, int, int]] = frozenset()
    strings: frozenset[tuple[int, str, str]] = frozenset()
    numbers: frozenset[tuple[int, float, float, int, int, int]] = frozenset()
    links: frozenset[tuple[int, int]] = frozenset()


@dataclass(slots=True)
class _Found:
    tokens: set[int] = field(default_factory=set)
    dates: set[tuple[int, int, int]] = field(default_factory=set)
    strings: set[tuple[int, str, str]] = field(default_factory=set)
    numbers: set[tuple[int, float, float, int, int, int]] = field(default_factory=set)


def clipped(text: str) -> str:
    """Return as much of a text as an index row holds."""
    encoded = text.encode()
    return text if len(encoded) <= _MOST_BYTES else encoded[:_MOST_BYTES].decode("utf-8", "ignore")


def double(number: Decimal | None, *, absent: float) -> float:
    """Return a number as the index compares it; ``absent`` for an open end."""
    return absent if number is None else float(number)


def address_of(rtype: str, fid: str) -> int:
    """Hash a resource's type and id. Not keyed: an id of ours says nothing, and heads hold it as it is."""
    return int.from_bytes(blake2b(f"{rtype}/{fid}".encode(), digest_size=8).digest(), "big", signed=True)


def rows_of(rtype: str, values: IndexValues, keys: Keys) -> Rows:
    """Return the index rows of a resource of type ``rtype``."""
    found = _found(rtype, values, keys)
    return Rows(
        frozenset(found.tokens),
        frozenset(found.dates),
        frozenset(found.strings),
        frozenset(found.numbers),
        frozenset(_links(rtype, values)),
    )


def _found(rtype: str, values: IndexValues, keys: Keys) -> _Found:
    found = _Found()
    for name, tokens in values.tokens.items():
        for token in tokens:
            found.tokens.update(_token_hashes(keys, rtype, name, token))
    for name, tokens in values.identifiers.items():
        for token in tokens:
            found.tokens.update(_token_hashes(keys, rtype, f"{name}:identifier", token))
    for name, plain in (*values.references.items(), *values.uris.items()):
        found.tokens.update(keys.value(rtype, name, value) for value in plain)
    for name, texts in values.strings.items():
        found.tokens.update(keys.value(rtype, name, text.exact) for text in texts)
        found.strings.update(_string_rows(parameter_id(rtype, name), name, texts))
    for name, dates in values.dates.items():
        if name in _COLUMNS:
            continue
        p = parameter_id(rtype, name)
        found.dates.update((p, date.lo, date.hi) for date in dates)
    found.numbers.update(_number_rows(rtype, values, keys))
    _modified(found, rtype, values, keys)
    _composites(found, rtype, values, keys)
    found.tokens.update(keys.present(rtype, name) for name in values.names() - _COLUMNS)
    return found


def _modified(found: _Found, rtype: str, values: IndexValues, keys: Keys) -> None:
    """Add what modifiers look up: ``:text``, ``:of-type``, ``:below``, and where a place is."""
    for name, texts in values.texts.items():
        p = parameter_id(rtype, f"{name}:text")
        found.strings.update((p, clipped(text.folded), "") for text in texts if text.folded)
    for name, typed in values.typed.items():
        found.tokens.update(of_type_hash(keys, rtype, name, one.system, one.code, one.value) for one in typed)
    for name, uris in values.uris.items():
        found.tokens.update(
            keys.value(rtype, f"{name}:below", above) for uri in uris for above in ancestors(uri)
        )
    for name, references in values.references.items():
        for reference in references:
            if "|" in reference:
                found.tokens.update(version_hashes(keys, rtype, f"{name}:below", reference, "above"))
    for name, positions in values.positions.items():
        for place in positions:
            for axis, degrees in (("latitude", place.latitude), ("longitude", place.longitude)):
                p = parameter_id(rtype, f"{name}:{axis}")
                found.numbers.add((p, float(degrees), float(degrees), 0, 0, 0))


def of_type_hash(keys: Keys, rtype: str, name: str, system: str, code: str, value: str) -> int:
    """Hash an identifier with the coding of its type."""
    return keys.of(rtype, name, "of-type", system, code, value)


def version_hashes(keys: Keys, rtype: str, name: str, canonical: str, modifier: str) -> list[int]:
    """Hash a canonical address with what is ``above`` its version (each beginning of it), or as it is for ``below``.

    The index holds, for ``:below``, every beginning of a stored version; for ``:above`` a search asks for every
    beginning of its own.
    """
    address, _, version = canonical.partition("|")
    if not version:
        return [keys.value(rtype, name, address)]
    if modifier == "below":
        return [keys.value(rtype, f"{name}:below", canonical)]
    parts = version.split(".")[:_MOST_VERSION_PARTS]
    beginnings = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return [keys.value(rtype, name, f"{address}|{beginning}") for beginning in beginnings]


@dataclass(frozen=True, slots=True)
class Pairs:
    """The hashes of one composite parameter: its first part, a code, is hashed into the key of the second.

    ``p`` numbers the range rows of one code, so that they are a range of the index. It has 32 bits only; quantities
    say the code again in 64 (``unit``), dates and texts by a token of their own (``guard``).
    """

    keys: Keys
    rtype: str
    name: str

    def code(self, system: str | None, code: str) -> tuple[str, ...]:
        """Name a code; ``system`` None: whatever its system."""
        return ("c", code) if system is None else ("sc", system, code)

    def p(self, code: tuple[str, ...]) -> int:
        return (self.guard(code) & 0xFFFFFFFF) - 0x80000000

    def guard(self, code: tuple[str, ...]) -> int:
        return self.keys.of(self.rtype, self.name, "first", *code)

    def both(self, first: tuple[str, ...], second: tuple[str, ...]) -> int:
        return self.keys.of(self.rtype, self.name, "both", *first, *second)

    def unit(self, code: tuple[str, ...], *unit: str) -> int:
        return self.keys.of(self.rtype, self.name, "unit", *code, "", *unit)


def _codes(pairs: Pairs, token: Token) -> tuple[tuple[str, ...], ...]:
    return pairs.code(None, token.code), pairs.code(token.system or "", token.code)


def _composites(found: _Found, rtype: str, values: IndexValues, keys: Keys) -> None:
    for name, repetitions in values.composites.items():
        for first, second in repetitions:
            _composite(found, Pairs(keys, rtype, name), first, second)


def _composite(found: _Found, pairs: Pairs, first: Sequence[Value], second: Sequence[Value]) -> None:
    codes = [code for token in first if isinstance(token, Token) for code in _codes(pairs, token)]
    for code in codes:
        p = pairs.p(code)
        for value in second:
            match value:
                case Token():
                    found.tokens.update(pairs.both(code, other) for other in _codes(pairs, value))
                case QuantityValue():
                    found.numbers.add(_pair_row(pairs, p, code, value))
                case DateRange(lo=lo, hi=hi):
                    found.tokens.add(pairs.guard(code))
                    found.dates.add((p, lo, hi))
                case Text(folded=folded) if folded:
                    found.tokens.add(pairs.guard(code))
                    found.strings.add((p, clipped(folded), ""))


def _pair_row(
    pairs: Pairs, p: int, code: tuple[str, ...], value: QuantityValue
) -> tuple[int, float, float, int, int, int]:
    return (
        p,
        double(value.low, absent=-math.inf),
        double(value.high, absent=math.inf),
        pairs.unit(code),
        pairs.unit(code, value.system or "", value.code) if value.code else 0,
        pairs.unit(code, value.code or value.unit or ""),
    )


def _links(rtype: str, values: IndexValues) -> Iterator[tuple[int, int]]:
    for name, references in values.references.items():
        p = parameter_id(rtype, name)
        for reference in references:
            if (target := rules.local_reference(reference)) is not None:
                yield p, address_of(*target)


def _token_hashes(keys: Keys, rtype: str, name: str, token: Token) -> Iterator[int]:
    if name in _COLUMNS:
        return
    yield keys.token(rtype, name, None, token.code)
    yield keys.token(rtype, name, token.system or "", token.code)
    if token.system:
        yield keys.token(rtype, name, token.system, None)


def _string_rows(p: int, name: str, texts: list[Text]) -> Iterator[tuple[int, str, str]]:
    for text in texts:
        if text.folded:
            yield p, clipped(text.folded), clipped(tone_key(text.exact))
        if name in _NAMES:
            words = text.exact.split()[:_MOST_WORDS]
            for start in range(1, len(words)):
                rest = " ".join(words[start:])
                yield p, clipped(fold(rest)), clipped(tone_key(rest))


def _number_rows(
    rtype: str, values: IndexValues, keys: Keys
) -> Iterator[tuple[int, float, float, int, int, int]]:
    for name, numbers in values.numbers.items():
        p = parameter_id(rtype, name)
        yield from ((p, float(number), float(number), 0, 0, 0) for number in numbers)
    for name, quantities in values.quantities.items():
        p = parameter_id(rtype, name)
        yield from (_quantity_row(keys, p, quantity) for quantity in quantities)


def _quantity_row(keys: Keys, p: int, value: QuantityValue) -> tuple[int, float, float, int, int, int]:
    return (
        p,
        double(value.low, absent=-math.inf),
        double(value.high, absent=math.inf),
        unit_hash(keys, value.system or "", value.code) if value.code else 0,
        unit_hash(keys, value.code) if value.code else 0,
        unit_hash(keys, value.unit) if value.unit else 0,
    )


def unit_hash(keys: Keys, *parts: str | None) -> int:
    """Hash a unit by system and code, or by what it is called."""
    return keys.of("unit", *(part or "" for part in parts))
