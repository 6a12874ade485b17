"""What a search names by a value set, a hierarchy or a unit, looked up before it runs.

Value sets and code systems are resources like others: found by their canonical address within the caller's scope. What
is not stored here is looked for in the definitions of the standard. Of a code system that nobody knows a code is above
and below itself only. An amount in a unit of UCUM is asked in every unit of its kind that the records use.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope
from clinic_net.fhir import Search, parse
from clinic_net.fhir.criteria import (
    CompositeCriterion,
    Criterion,
    QuantityCriterion,
    TokenCriterion,
    ValueSetCriterion,
)
from clinic_net.fhir.definitions import value_set
from clinic_net.fhir.search import Chain, Clause, Either, Every, Has, Link, Term, Without
from clinic_net.fhir.search_terms import listed, unsupported
from clinic_net.fhir.terminology import Concepts, NotExpandableError, compose, concepts_of, standard_concepts
from clinic_net.fhir.units import EVERYDAY, UCUM, canonical_unit, same
from clinic_net.records import store
from clinic_net.records.keys import Keys
from clinic_net.records.model import Resource, TokenRow, UnitRow
from clinic_net.records.store import head_of, visible

MAX_CODES = 1_000
"""Codes that one value set or hierarchy may stand for in a search."""
MAX_UNITS = 60
"""Units beside the everyday ones in which one amount is asked."""
_MOST_NESTED = 4
_NAMED = frozenset({"in", "not-in", "above", "below"})


@dataclass(frozen=True)
class Terminology:
    """Where the value sets and code systems of a caller are looked for."""

    s: AsyncSession
    keys: Keys
    scope: RecordScope
    now: datetime
    may_read: bool = True

    async def resource(self, rtype: str, canonical: str) -> Mapping[str, Any] | None:
        """Return the newest stored resource of this canonical address, of the version if one is given."""
        url, _, version = canonical.partition("|")
        if not self.may_read:
            return None
        found = (
            select(*store.HEAD)
            .join(TokenRow, col(TokenRow.rid) == col(Resource.rid))
            .where(
                col(TokenRow.h) == self.keys.value(rtype, "url", url),
                col(Resource.rtype) == rtype,
                ~col(Resource.deleted),
                visible(self.scope, self.now),
            )
            .order_by(col(Resource.rid).desc())
            .limit(20)
        )
        for row in (await (await self.s.connection()).execute(found)).all():
            content = parse(bytes(head_of(row).body or b"{}"))
            if not version or content.get("version") == version:
                return content
        return None

    async def concepts(self, system: str) -> Concepts | None:
        """Return the codes of a code system with their hierarchy, or None where nobody knows them."""
        stored = await self.resource("CodeSystem", system)
        return standard_concepts(system) if stored is None else concepts_of(stored)

    async def codes(self, url: str, depth: int = 0) -> set[TokenCriterion]:
        """Return the codes of a value set. Raises NotExpandableError."""
        stored = await self.resource("ValueSet", url)
        if stored is None:
            if (name := listed(url)) is None:
                raise NotExpandableError("this value set is not known here")
            return {
                TokenCriterion(system, code) for system, codes in value_set(name).items() for code in codes
            }
        if depth > _MOST_NESTED:
            raise NotExpandableError("this value set is made of too many others")
        parts = compose(stored)
        found: set[TokenCriterion] = set()
        for part in parts:
            known = await self.concepts(part.system) if part.system else None
            codes = None if part.system is None else part.codes(known)
            for other in part.value_sets:
                inner = await self.codes(other, depth + 1)
                codes = inner if codes is None else codes & inner
            chosen = codes or set()
            found = found - chosen if part.excluded else found | chosen
            if len(found) > MAX_CODES:
                raise NotExpandableError("this value set has too many codes")
        return found

    async def equal(self, asked: QuantityCriterion) -> QuantityCriterion:
        """Return an amount with what it is in other units."""
        # In a thread, because a unit that is not known by heart has to be looked up in tables that load for a second.
        unit = await asyncio.to_thread(canonical_unit, asked.system, asked.code)
        if unit is None:
            return asked
        used = select(col(UnitRow.code)).where(col(UnitRow.dimension) == unit.dimension).limit(MAX_UNITS)
        codes = [*EVERYDAY, *(await (await self.s.connection()).execute(used)).scalars()]
        others = (same(asked, unit, code) for code in codes if code != asked.code)
        return replace(asked, equal=tuple(other for other in others if other is not None))


async def with_codes(search: Search, terminology: Terminology) -> Search:
    """Return the search with codes in place of value sets and hierarchies, and amounts in every unit.

    Raises UnsupportedSearch.
    """
    if not any(map(_names_codes, [*search.clauses, *search.links])):
        return search
    clauses = [await _clause(clause, terminology) for clause in search.clauses]
    links = [await _link(link, terminology) for link in search.links]
    return replace(search, clauses=clauses, links=links)


def _names_codes(term: Term) -> bool:
    match term:
        case Clause(type="token", modifier=modifier):
            return modifier in _NAMED
        case Clause(type="quantity" | "composite", values=values):
            return any(map(_has_unit, values))
        case Has(term=inner) | Without(inner):
            return _names_codes(inner)
        case Chain(targets=targets):
            return any(_names_codes(inner) for _, inner in targets)
        case Every(parts) | Either(parts):
            return any(map(_names_codes, parts))
        case _:
            return False


async def _term(term: Term, terminology: Terminology) -> Term:
    return await (_clause(term, terminology) if isinstance(term, Clause) else _link(term, terminology))


async def _link(link: Link, terminology: Terminology) -> Link:
    match link:
        case Has(term=inner):
            return replace(link, term=await _term(inner, terminology))
        case Without(inner):
            return Without(await _term(inner, terminology))
        case Chain(targets=targets):
            return replace(
                link, targets=tuple([(rtype, await _term(inner, terminology)) for rtype, inner in targets])
            )
        case Every(parts):
            return Every(tuple([await _term(part, terminology) for part in parts]))
        case Either(parts):
            return Either(tuple([await _term(part, terminology) for part in parts]))
        case _:
            return link


async def _clause(clause: Clause, terminology: Terminology) -> Clause:
    if not _names_codes(clause):
        return clause
    if clause.type != "token":
        return replace(clause, values=tuple([await _equal(value, terminology) for value in clause.values]))
    try:
        found = [token async for token in _tokens(clause.values, clause.modifier, terminology)]
    except NotExpandableError as error:
        raise unsupported(clause.parameter, str(error)) from None
    if len(found) > MAX_CODES:
        raise unsupported(clause.parameter, "more codes than one search may name")
    modifier = "not" if clause.modifier == "not-in" else ""
    return replace(clause, modifier=modifier, values=tuple(dict.fromkeys(found)))


def _has_unit(value: Criterion) -> bool:
    match value:
        case QuantityCriterion(system=system, code=code):
            return system == UCUM and code is not None
        case CompositeCriterion(parts=parts):
            return any(map(_has_unit, parts))
        case _:
            return False


async def _equal(value: Criterion, terminology: Terminology) -> Criterion:
    match value:
        case QuantityCriterion():
            return await terminology.equal(value) if _has_unit(value) else value
        case CompositeCriterion(parts=parts):
            return CompositeCriterion(tuple([await _equal(part, terminology) for part in parts]))
        case _:
            return value


async def _tokens(
    values: Sequence[Criterion], modifier: str, terminology: Terminology
) -> AsyncIterator[TokenCriterion]:
    for value in values:
        if isinstance(value, ValueSetCriterion):
            for token in sorted(await terminology.codes(value.url), key=_in_order):
                yield token
        elif isinstance(value, TokenCriterion):
            yield value
            for code in await _related(value, modifier, terminology):
                yield TokenCriterion(value.system, code)


def _in_order(token: TokenCriterion) -> tuple[str, str]:
    return token.system or "", token.code or ""


async def _related(value: TokenCriterion, modifier: str, terminology: Terminology) -> Iterable[str]:
    if not value.system or value.code is None:
        return ()
    known = await terminology.concepts(value.system)
    if known is None:
        return ()
    return sorted(known.above(value.code) if modifier == "above" else known.below(value.code))
