"""The use case of a search by a caller: with the right to every type it tells of, and written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import demand, may, scope_of
from clinic_net.access.principals import Principal
from clinic_net.fhir import Search
from clinic_net.fhir.definitions import resource_types
from clinic_net.records import search as pages
from clinic_net.records.reading import Found
from clinic_net.records.shapes import stored_of
from clinic_net.records.trail import noted, without_values
from clinic_net.records.vault import keys_of


@dataclass(frozen=True)
class Searching:
    """Who searches, and when."""

    caller: Principal
    now: datetime

    def allows(self, rtype: str) -> bool:
        """Whether this caller may search this type at all."""
        return may(self.caller, rtype, "s")


async def find(s: AsyncSession, asked: Search, by: Searching, *, cursor: str | None = None) -> Found:
    """Return a page of what ``asked`` finds within the caller's reach. See ``reading.search`` for its order.

    Raises:
        InsufficientScope, RoleNotAllowed: the caller may not search a type that the search would tell of.
        InvalidCursor: ``cursor`` is not one of this search and caller.
        UnsupportedSearch, InvalidSearchValue: it asks for what the index does not hold.
    """
    for rtype in sorted({asked.resource_type, *asked.reaches}):
        demand(by.caller, rtype, "s")
    scope = scope_of(by.caller)
    page = await pages.run(
        s, asked, await keys_of(s), scope=scope, now=by.now, cursor=cursor, allows=by.allows
    )
    return await _shown(s, page, without_values(asked), by)


async def find_types(
    s: AsyncSession, asked: Sequence[Search], by: Searching, *, cursor: str | None = None
) -> Found:
    """Return a page of one search over several types, newest first or by ``_lastUpdated``.

    Raises:
        InsufficientScope, RoleNotAllowed: the caller may not search one of the types.
        InvalidCursor: ``cursor`` is not one of this search and caller.
    """
    for search in asked:
        demand(by.caller, search.resource_type, "s")
    scope = scope_of(by.caller)
    page = await pages.run_types(s, asked, await keys_of(s), scope=scope, now=by.now, cursor=cursor)
    return await _shown(s, page, "Resource", by)


async def find_everywhere(
    s: AsyncSession, asked: Search, by: Searching, *, cursor: str | None = None
) -> Found:
    """Return a page of one search over every type that the caller may search.

    Raises:
        InsufficientScope, RoleNotAllowed: the caller may search none.
        InvalidCursor: ``cursor`` is not one of this search and caller.
        UnsupportedSearch, TooManySearchTerms: only a search of named types can answer it.
    """
    types = sorted(filter(by.allows, resource_types()))
    if not types:
        demand(by.caller, "Basic", "s")
    scope = scope_of(by.caller)
    page = await pages.run_everywhere(
        s, asked, types, await keys_of(s), scope=scope, now=by.now, cursor=cursor
    )
    return await _shown(s, page, "Resource", by)


async def _shown(s: AsyncSession, page: pages.Page, subject: str, by: Searching) -> Found:
    found = Found(
        [stored_of(head) for head in page.heads],
        [stored_of(head) for head in page.included],
        page.total,
        page.next,
    )
    seen = [*found.entries, *found.included]
    scope, address = scope_of(by.caller), by.caller.address
    await noted(s, "record.search", seen, subject=subject, scope=scope, now=by.now, by=address)
    return found
