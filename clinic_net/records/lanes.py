"""Where the single reads, searches and writes of many callers share a transaction and a commit.

Whoever is carried together keeps their own scope: each caller's rows are asked for under that caller's scope, and whose
credential was revoked meanwhile gets nothing. What may take long does not travel here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakKeyDictionary

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import service as access
from clinic_net.access.errors import CredentialRevoked
from clinic_net.access.policy import RecordScope, scope_of
from clinic_net.access.principals import ClientPrincipal, Principal
from clinic_net.fhir import Search
from clinic_net.kernel.convoy import Convoy
from clinic_net.kernel.errors import Refusal
from clinic_net.kernel.hub import Hub
from clinic_net.records import store
from clinic_net.records.drafts import Order
from clinic_net.records.reading import Found, current, looked
from clinic_net.records.searching import Searching, find
from clinic_net.records.shapes import Stored
from clinic_net.records.store import Head
from clinic_net.records.writing import put_many, tell


@dataclass(frozen=True, slots=True)
class Reading:
    """Somebody wants to read a resource."""

    caller: ClientPrincipal
    rtype: str
    fid: str


@dataclass(frozen=True, slots=True)
class Looking:
    """Somebody searches for what one index leads to."""

    caller: ClientPrincipal
    search: Search
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Writing:
    """Somebody wants a draft stored."""

    caller: ClientPrincipal
    order: Order


class Lanes:
    """The shared transactions of one hub process."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._reads: Convoy[Reading, Stored] = Convoy(self._read)
        self._searches: Convoy[Looking, Found] = Convoy(self._search, most=16)
        self._writes: Convoy[Writing, Stored] = Convoy(self._write)

    async def read(self, caller: ClientPrincipal, rtype: str, fid: str) -> Stored:
        """Return the current version of a resource. See ``reading.read``."""
        return await self._reads.join(Reading(caller, rtype, fid))

    async def search(self, caller: ClientPrincipal, search: Search, cursor: str | None) -> Found:
        """Return a page of a search that one index leads to. See ``searching.find``."""
        return await self._searches.join(Looking(caller, search, cursor))

    async def write(self, caller: ClientPrincipal, order: Order) -> Stored:
        """Store a draft, durably. See ``writing.put``."""
        return await self._writes.join(Writing(caller, order))

    async def _read(self, asked: Sequence[Reading]) -> list[Stored | Exception]:
        now = self._hub.now()
        async with self._hub.sessions() as s, s.begin():
            valid = await _valid(s, [one.caller for one in asked], now)
            heads: dict[tuple[RecordScope, str, str], Head] = {}
            for scope, identities in _wanted(asked, valid).items():
                found = await store.find_each(s, identities, scope=scope, now=now)
                heads |= {(scope, *identity): head for identity, head in found.items()}
            answers: list[Stored | Exception] = []
            events = []
            for one in asked:
                try:
                    _demand_valid(one.caller, valid)
                    stored = current(heads.get((scope_of(one.caller), one.rtype, one.fid)))
                except Refusal as refusal:
                    answers.append(refusal)
                    continue
                answers.append(stored)
                subject = f"{one.rtype}/{one.fid}"
                events.append(looked("record.read", [stored], subject=subject, by=one.caller.address))
            await audit.record_many(s, [event for event in events if event is not None], at=now)
        return answers

    async def _search(self, asked: Sequence[Looking]) -> list[Found | Exception]:
        now = self._hub.now()
        answers: list[Found | Exception] = []
        async with self._hub.sessions() as s, s.begin():
            valid = await _valid(s, [one.caller for one in asked], now)
            for one in asked:
                try:
                    _demand_valid(one.caller, valid)
                    answers.append(await find(s, one.search, Searching(one.caller, now), cursor=one.cursor))
                except Refusal as refusal:
                    answers.append(refusal)
        return answers

    async def _write(self, asked: Sequence[Writing]) -> list[Stored | Exception]:
        now = self._hub.now()
        async with self._hub.sessions() as s, s.begin():
            valid = await _valid(s, [one.caller for one in asked], now)
            told = iter(await put_many(s, [one.order for one in asked if one.caller in valid], now=now))
            answers: list[Stored | Exception] = [
                next(told) if one.caller in valid else CredentialRevoked() for one in asked
            ]
            await tell(s, [answer for answer in answers if isinstance(answer, Stored) and answer.changed])
        return answers


async def _valid(s: AsyncSession, callers: Collection[Principal], now: datetime) -> frozenset[Principal]:
    return await access.still_valid(s, set(callers), now=now)


def _demand_valid(caller: Principal, valid: frozenset[Principal]) -> None:
    if caller not in valid:
        raise CredentialRevoked


def _wanted(
    asked: Sequence[Reading], valid: frozenset[Principal]
) -> Mapping[RecordScope, list[tuple[str, str]]]:
    found: dict[RecordScope, list[tuple[str, str]]] = {}
    for one in asked:
        if one.caller in valid:
            found.setdefault(scope_of(one.caller), []).append((one.rtype, one.fid))
    return found


_lanes: WeakKeyDictionary[Hub, Lanes] = WeakKeyDictionary()


def lanes_of(hub: Hub) -> Lanes:
    """Return the lanes of a hub process; the same ones every time."""
    found = _lanes.get(hub)
    if found is None:
        found = _lanes[hub] = Lanes(hub)
    return found
