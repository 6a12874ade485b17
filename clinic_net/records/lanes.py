"""Where the single reads, searches and writes of many callers share a transaction and a commit.

Whoever is carried together keeps their own scope: each caller's rows are asked for under that caller's scope, and whose
credential was revoked meanwhile gets nothing. What may take long does not travel here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from weakref import WeakKeyDictionary

from clinic_net import audit
from clinic_net.access import service as access
from clinic_net.access.errors import CredentialRevoked
from clinic_net.access.policy import EVERYWHERE, RecordScope, scope_of
from clinic_net.access.principals import ClientPrincipal
from clinic_net.fhir import Search
from clinic_net.kernel.convoy import Convoy
from clinic_net.kernel.errors import Refusal
from clinic_net.kernel.gate import Gate
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.links import Link
from clinic_net.records import store
from clinic_net.records.bundle_rules import at
from clinic_net.records.drafts import Order
from clinic_net.records.errors import Abandoned
from clinic_net.records.keys import Keys
from clinic_net.records.plain_bundles import PlainBundle
from clinic_net.records.putting import put_many
from clinic_net.records.reading import Found, current
from clinic_net.records.search import DEFAULT_COUNT
from clinic_net.records.search_cursors import Cursors
from clinic_net.records.search_express import Straight, pages, straight
from clinic_net.records.shapes import Stored, stored_of
from clinic_net.records.store import Head
from clinic_net.records.trail import looked, without_values
from clinic_net.records.vault import keys_of, known_keys
from clinic_net.records.writing import tell

_TOGETHER = 200
"""Resources of transactions that share a commit: a larger one takes too long to let others wait for it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Somebody wants to read a resource."""

    caller: ClientPrincipal
    rtype: str
    fid: str
    origin: audit.Origin = field(default_factory=audit.here)


@dataclass(frozen=True, slots=True)
class Looking:
    """Somebody searches for what one index leads to. ``first``: from the beginning, not behind a cursor."""

    caller: ClientPrincipal
    search: Search
    straight: Straight
    first: bool
    origin: audit.Origin = field(default_factory=audit.here)


@dataclass(frozen=True, slots=True)
class Writing:
    """Somebody wants a draft stored."""

    caller: ClientPrincipal
    order: Order


@dataclass(frozen=True, slots=True)
class Storing:
    """Somebody wants a whole transaction stored."""

    caller: ClientPrincipal
    bundle: PlainBundle

    @property
    def identities(self) -> frozenset[tuple[str, str]]:
        """What of it may exist already."""
        return frozenset(order.identity for order in self.bundle.orders if order.draft.chosen)


Asked = Reading | Looking | Writing | Storing


class Lanes:
    """The shared transactions of one hub process."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        # What only reads waits for nobody's lock: one at a time makes the fullest use of each transaction.
        self._reads: Convoy[Reading, Stored] = Convoy(self._read, at_once=1)
        self._searches: Convoy[Looking, Found] = Convoy(self._search, most=32, at_once=1)
        self._writes: Convoy[Writing, Stored] = Convoy(self._write, at_once=1)
        self._bundles: Convoy[Storing, list[Stored]] = Convoy(
            self._store, at_once=1, most=_TOGETHER, weigh=lambda asked: len(asked.bundle.orders)
        )
        # What travels takes two connections a lane at most; what goes by itself never takes the rest.
        self.heavy = Gate(at_once=1, patience=hub.settings.database_wait)
        """Bundles that go by themselves take turns here, connection and all; the others while they are read."""

    async def read(self, caller: ClientPrincipal, rtype: str, fid: str) -> Stored:
        """Return the current version of a resource. See ``reading.read``."""
        return await self._reads.join(Reading(caller, rtype, fid))

    def looking(self, caller: ClientPrincipal, search: Search, cursor: str | None) -> Looking | None:
        """Return a search that may travel with others, or None: then it must be asked by itself.

        Raises:
            InvalidCursor: ``cursor`` is not one of this search and caller.
        """
        keys = known_keys(self._hub.engine)
        scope = scope_of(caller)
        if keys is None or scope.tenants is not None:
            return None
        limit = DEFAULT_COUNT if search.count is None else search.count
        found = straight(search, keys, limit=limit + 1)
        if found is not None and cursor is not None:
            found = replace(found, before=Cursors(search, keys, scope).read(cursor, length=1)[0])
        return None if found is None else Looking(caller, search, found, cursor is None)

    async def search(self, asked: Looking) -> Found:
        """Return a page of a search. See ``searching.find``."""
        return await self._searches.join(asked)

    async def write(self, caller: ClientPrincipal, order: Order) -> Stored:
        """Store a draft, durably. See ``writing.put``."""
        return await self._writes.join(Writing(caller, order))

    async def store(self, caller: ClientPrincipal, bundle: PlainBundle) -> list[Stored]:
        """Store a transaction, durably and as a whole. See ``bundles.run_bundle``."""
        return await self._bundles.join(Storing(caller, bundle))

    async def _keys(self) -> Keys:
        known = known_keys(self._hub.engine)
        if known is not None:
            return known
        async with self._hub.sessions() as s, s.begin():
            return await keys_of(s)

    async def _read(self, asked: Sequence[Reading]) -> list[Stored | Exception]:
        now = self._hub.now()
        async with self._hub.links.begin() as s:
            valid = await _valid(s, asked)
            heads: dict[ClientPrincipal, Mapping[tuple[str, str], Head]] = {}
            for scope, callers in _by_scope(valid).items():
                identities = [(one.rtype, one.fid) for one in asked if one.caller in callers]
                found = await store.find_each(s, identities, scope=scope, now=now)
                heads |= dict.fromkeys(callers, found)
            answers: list[Stored | Exception] = []
            events: list[audit.Event] = []
            for one in asked:
                try:
                    _demand_valid(one.caller, valid)
                    stored = current(heads[one.caller].get((one.rtype, one.fid)))
                except Refusal as refusal:
                    answers.append(refusal)
                    continue
                answers.append(stored)
                subject = f"{one.rtype}/{one.fid}"
                by = one.caller.address
                events += looked("record.read", [stored], subject=subject, by=by, origin=one.origin)
            await audit.record_many(s, events, at=now)
        return answers

    async def _search(self, asked: Sequence[Looking]) -> list[Found | Exception]:
        now = self._hub.now()
        keys = await self._keys()
        async with self._hub.links.begin() as s:
            valid = await _valid(s, asked)
            welcome = [one for one in asked if one.caller in valid]
            told = iter(await pages(s, [one.straight for one in welcome], scope=EVERYWHERE))
            answers: list[Found | Exception] = []
            events: list[audit.Event] = []
            for one in asked:
                if one.caller not in valid:
                    answers.append(CredentialRevoked())
                    continue
                found = _found(one, next(told), keys)
                answers.append(found)
                events += looked(
                    "record.search",
                    found.entries,
                    subject=without_values(one.search),
                    by=one.caller.address,
                    origin=one.origin,
                )
            await audit.record_many(s, events, at=now)
        return answers

    async def _write(self, asked: Sequence[Writing]) -> list[Stored | Exception]:
        now = self._hub.now()
        keys = await self._keys()
        async with self._hub.links.begin() as s:
            await _wait_alone(s, asked)
            valid = await _valid(s, asked)
            told = iter(await put_many(s, [one.order for one in asked if one.caller in valid], keys, now=now))
            answers: list[Stored | Exception] = [
                next(told) if one.caller in valid else CredentialRevoked() for one in asked
            ]
            await tell(s, [answer for answer in answers if isinstance(answer, Stored) and answer.changed])
        return answers

    async def _store(self, asked: Sequence[Storing]) -> list[list[Stored] | Exception]:
        now = self._hub.now()
        keys = await self._keys()
        answers: dict[int, list[Stored] | Exception] = {}
        async with self._hub.links.begin() as s:
            await _wait_alone(s, asked)
            valid = await _valid(s, asked)
            for turn in _apart(asked):
                welcome = [number for number in turn if asked[number].caller in valid]
                orders = [order for number in welcome for order in asked[number].bundle.orders]
                told = iter(await put_many(s, orders, keys, now=now))
                for number in welcome:
                    each = list(islice(told, len(asked[number].bundle.orders)))
                    answer = answers[number] = _whole(asked[number].bundle, each)
                    if isinstance(answer, Exception) and any(map(_is_written, each)):
                        raise answer  # nothing of it may stay; whoever travels with it goes on alone
            changed = [
                stored
                for answer in answers.values()
                if not isinstance(answer, Exception)
                for stored in answer
                if stored.changed
            ]
            await tell(s, changed)
        return [answers.get(number, CredentialRevoked()) for number in range(len(asked))]


def _apart(asked: Sequence[Storing]) -> list[list[int]]:
    """Sort transactions into turns, so that no two of one turn speak of the same resource."""
    turns: list[tuple[set[tuple[str, str]], list[int]]] = []
    for number, one in enumerate(asked):
        mine = one.identities
        turn = next((turn for turn in turns if turn[0].isdisjoint(mine)), None)
        if turn is None:
            turn = (set(), [])
            turns.append(turn)
        turn[0].update(mine)
        turn[1].append(number)
    return [numbers for _, numbers in turns]


def _whole(bundle: PlainBundle, told: Sequence[Stored | Refusal]) -> list[Stored] | Exception:
    """Return what a transaction stored, or the refusal that kept it from storing anything, with its place."""
    stored: list[Stored] = []
    for entry, one in zip(bundle.entries, told, strict=True):
        if isinstance(one, Stored):
            stored.append(one)
        elif not isinstance(one, Abandoned):
            try:
                with at(entry):
                    raise one
            except Refusal as refusal:
                return refusal
    return stored


def _is_written(told: Stored | Refusal) -> bool:
    return isinstance(told, Stored) and told.changed


async def _wait_alone(link: Link, asked: Sequence[object]) -> None:
    """Let a batch fail rather than wait for a record that somebody else holds: then each member waits by itself."""
    if len(asked) > 1:
        await link.wait_for_nobody()


async def _valid(s: Link, asked: Sequence[Asked]) -> frozenset[ClientPrincipal]:
    return await access.clients_still_valid(s, {one.caller for one in asked})


def _demand_valid(caller: ClientPrincipal, valid: frozenset[ClientPrincipal]) -> None:
    if caller not in valid:
        raise CredentialRevoked


def _by_scope(callers: frozenset[ClientPrincipal]) -> Mapping[RecordScope, set[ClientPrincipal]]:
    found: dict[RecordScope, set[ClientPrincipal]] = {}
    for caller in callers:
        found.setdefault(scope_of(caller), set()).add(caller)
    return found


def _found(asked: Looking, heads: Sequence[Head], keys: Keys) -> Found:
    """Return the page: one row more than it holds was asked for, to know whether there is another."""
    more = len(heads) == asked.straight.limit
    shown = heads[: asked.straight.limit - 1]
    following = None
    if more:
        following = Cursors(asked.search, keys, scope_of(asked.caller)).make([shown[-1].rid])
    total = len(shown) if asked.first and not more else None
    return Found([stored_of(head) for head in shown], [], total, following)


_lanes: WeakKeyDictionary[Hub, Lanes] = WeakKeyDictionary()


def lanes_of(hub: Hub) -> Lanes:
    """Return the lanes of a hub process; the same ones every time."""
    found = _lanes.get(hub)
    if found is None:
        found = _lanes[hub] = Lanes(hub)
    return found
