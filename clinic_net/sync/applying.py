"""Applying what stations sent: many operations of many stations a transaction, each with an outcome of its own.

Whole records go the records' fast way, together. What needs one that is not there waits for it, and is tried again
when that one comes; a bad record keeps nothing else back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import RecordScope
from clinic_net.access.lines import narrow
from clinic_net.audit.origin import arrived
from clinic_net.kernel.errors import Conflict, Invalid, NotFound, PreconditionFailed, Refusal
from clinic_net.kernel.gate import breathe
from clinic_net.protocol.sync import MAX_BODY_BYTES, Outcome
from clinic_net.records import service as records
from clinic_net.sync import apply_store as store
from clinic_net.sync.apply_store import Aside, Before
from clinic_net.sync.doing import Doing, order_of, origin_of, puzzled
from clinic_net.sync.reconciling import Incoming, reconcile

_IN = frozenset({Outcome.APPLIED, Outcome.DUPLICATE, Outcome.MERGED, Outcome.CONFLICT})
"""Outcomes after which the operation's text is in the hub's hands for good."""
_CLASHES = (Conflict, PreconditionFailed)


@dataclass
class Applying:
    """One transaction's work; whoever begins it holds the databases and commits."""

    s: AsyncSession
    keys: records.Keys
    now: datetime
    news: records.News = field(default_factory=list)
    _asides: dict[str, dict[tuple[UUID, int], Aside]] = field(default_factory=dict)
    _last: dict[tuple[UUID, str], Before] = field(default_factory=dict)
    _narrowed: RecordScope | None = None

    async def run(self, doings: Sequence[Doing]) -> None:
        """Apply operations, in the order given for each record, and whatever waited for one of them."""
        await self._look_aside({doing.station.site for doing in doings})
        while doings:
            await self._carry_out(doings)
            await self._write_down(doings)
            doings = await self._freed_by(doings)

    async def _look_aside(self, sites: Iterable[str]) -> None:
        for aside in await store.asides(self.s, sites):
            self._asides.setdefault(aside.site, {})[aside.db_epoch, aside.op] = aside

    async def _carry_out(self, doings: Sequence[Doing]) -> None:
        for position, before in (
            await store.before(self.s, [(doing.epoch, doing.head) for doing in doings])
        ).items():
            doings[position].before = before
        for done, doing in enumerate(doings):
            await breathe(done)
            self._prepare(doing)
        waiting = [doing for doing in doings if doing.outcome is None]
        while waiting:
            # Two operations on one record take turns: the second is made from what the first left.
            turn: dict[str, Doing] = {}
            for doing in waiting:
                turn.setdefault(doing.resource, doing)
            await self._turn(list(turn.values()))
            waiting = [doing for doing in waiting if doing.outcome is None]

    def _prepare(self, doing: Doing) -> None:
        if doing.head.kind == "delete":
            return
        try:
            if len(doing.text) > MAX_BODY_BYTES:
                raise Invalid("the record is larger than 1 MiB")
            doing.draft = records.draft(doing.text, rtype=doing.head.type, fid=doing.head.id, now=self.now)
        except Refusal as refusal:
            self._refuse(doing, refusal)
        except Exception as failure:  # noqa: BLE001 -- whatever it is, the next operation must not suffer from it
            self._refuse(doing, puzzled(failure))

    async def _turn(self, turn: Sequence[Doing]) -> None:
        by_station: dict[str, list[Doing]] = {}
        for doing in turn:
            self._catch_up(doing)
            by_station.setdefault(doing.station.site, []).append(doing)
        for mine in by_station.values():
            await self._enter(mine[0])
            await self._together([doing for doing in mine if doing.draft is not None and doing.is_plain])
            for doing in mine:
                if doing.outcome is None:
                    await self._alone(doing)

    def _catch_up(self, doing: Doing) -> None:
        """Let an operation know what this transaction did before it with its record."""
        known = self._last.get((doing.epoch, doing.resource))
        if known is not None and known.op is not None and known.op < doing.head.op:
            doing.before = known._replace(later=doing.before.later, later_version=doing.before.later_version)

    async def _enter(self, doing: Doing) -> None:
        """Keep what follows to what a station can reach, in the database too, and let the trail say that it is the
        station's."""
        scope = doing.scope
        arrived(origin_of(doing.station))
        if scope != self._narrowed:
            await narrow(self.s, scope, now=self.now)
            self._narrowed = scope

    async def _together(self, mine: Sequence[Doing]) -> None:
        """Store one station's whole records, in as few statements as there can be."""
        going = self._unless_held(mine)
        while going:
            nested = await self.s.begin_nested()
            try:
                told = await records.put_many(
                    self.s, [doing.order() for doing in going], self.keys, now=self.now
                )
            except Exception as failure:
                await nested.rollback()
                if isinstance(failure, OperationalError | InterfaceError):
                    raise
                if len(going) > 1:
                    return  # each alone, so that the one that is to blame is found
                self._refuse(going[0], puzzled(failure))
                return
            refused = [
                (doing, each) for doing, each in zip(going, told, strict=True) if isinstance(each, Refusal)
            ]
            bad = [(doing, each) for doing, each in refused if not isinstance(each, _CLASHES)]
            missing = {doing.resource for doing, _ in bad if doing.makes}
            for doing, refusal in bad:
                self._refuse(doing, refusal)
            if missing and any(
                not doing.references.isdisjoint(missing) for doing in going if doing.outcome is None
            ):
                await nested.rollback()  # something was stored that belongs to what was refused
                going = self._unless_held([doing for doing in going if doing.outcome is None])
                continue
            await nested.commit()
            for doing, each in zip(going, told, strict=True):
                if not isinstance(each, Refusal):
                    self._stored(doing, each)
            return

    def _unless_held(self, mine: Sequence[Doing]) -> list[Doing]:
        """Return those operations that need no record which is set aside; the others wait for it."""
        if not mine or not (held := self._held(mine[0].station.site)):
            return list(mine)
        free = []
        for doing in mine:
            missing = sorted(doing.references & held)
            if missing:
                self._defer(doing, missing[0])
            else:
                free.append(doing)
        if len(free) < len(mine):  # what waits may be what others need
            return self._unless_held(free)
        return free

    def _held(self, site: str) -> set[str]:
        """Return the records that are not there because their operations are set aside."""
        return {aside.resource for aside in self._asides.get(site, {}).values() if aside.resource is not None}

    async def _alone(self, doing: Doing) -> None:
        """Carry out one operation that cannot go with others."""
        if doing.draft is not None and not self._unless_held([doing]):
            return
        news: records.News = []
        nested = await self.s.begin_nested()
        try:
            await self._do(doing, news)
            await nested.commit()
            self.news.extend(news)
        except Refusal as refusal:
            await nested.rollback()
            self._refuse(doing, refusal)
        except Exception as failure:
            await nested.rollback()
            if isinstance(failure, OperationalError | InterfaceError):
                raise
            self._refuse(doing, puzzled(failure))

    async def _do(self, doing: Doing, news: records.News) -> None:
        head = doing.head
        try:
            if doing.head.kind == "delete":
                if not doing.is_plain:
                    await self._reconcile(doing, news)
                    return
                author = doing.station.address
                stored = await records.delete(
                    self.s, head.type, head.id, scope=doing.scope, author=author, now=self.now,
                    if_match=doing.base, news=news,
                )  # fmt: skip
                self._found(doing, Outcome.APPLIED if stored.changed else Outcome.DUPLICATE, stored.version)
                return
            if doing.before.later is not None and await self._put_below(doing, news):
                return
            if not doing.is_plain:
                await self._reconcile(doing, news)
                return
            stored = await records.put_order(self.s, doing.order(), now=self.now, news=news)
            self._found(doing, Outcome.APPLIED if stored.changed else Outcome.DUPLICATE, stored.version)
        except records.UnknownResource:
            if doing.head.kind != "delete":
                raise
            self._found(doing, Outcome.DUPLICATE, None)  # what is to go is not here
        except _CLASHES:
            await self._reconcile(doing, news)

    async def _put_below(self, doing: Doing, news: records.News) -> bool:
        """Put an operation into the record's history that a later one of its database overtook: below it.

        Return whether that could be done: nobody else has changed the record since.
        """
        if doing.base is not None or doing.before.op is not None or doing.draft is None:
            return False
        head, before = doing.head, doing.before
        if before.later_version is None:  # its deletion came first, when there was nothing to delete
            await records.put_order(self.s, doing.order(), now=self.now, news=news)
            gone = await records.delete(
                self.s, head.type, head.id, scope=doing.scope, author=doing.station.address,
                now=self.now, news=news,
            )  # fmt: skip
            self._found(doing, Outcome.MERGED, gone.version)
            return True
        try:
            current = await records.read(self.s, head.type, head.id, scope=doing.scope, now=self.now)
        except NotFound:
            return False
        if current.version != before.later_version or current.deleted:
            return False
        below = await records.put_order(self.s, doing.order(current.version), now=self.now, news=news)
        again = records.draft(current.text, rtype=head.type, fid=head.id, now=self.now)
        order = order_of(again, doing.station, below.version)
        stored = await records.put_order(self.s, order, now=self.now, news=news)
        self._found(doing, Outcome.MERGED, stored.version)
        return True

    async def _reconcile(self, doing: Doing, news: records.News) -> None:
        head = doing.head
        incoming = Incoming(
            head.type,
            head.id,
            None if head.kind == "delete" else doing.text,
            head.at,
            head.by,
            doing.epoch,
            head.op,
            base=doing.base,
            after=doing.after,
        )
        done = await reconcile(self.s, incoming, station=doing.station, now=self.now, news=news)
        self._found(doing, done.outcome, done.version)

    def _stored(self, doing: Doing, stored: records.Stored) -> None:
        self._found(doing, Outcome.APPLIED if stored.changed else Outcome.DUPLICATE, stored.version)
        if stored.changed:
            self.news.append(stored)

    def _found(self, doing: Doing, outcome: Outcome, version: int | None) -> None:
        doing.outcome, doing.version, doing.issues = outcome, version, ()
        self._last[doing.epoch, doing.resource] = Before(doing.head.op, outcome, version, None, None)

    def _refuse(self, doing: Doing, refusal: Refusal) -> None:
        doing.refuse(refusal)
        self._hold(doing)

    def _defer(self, doing: Doing, resource: str) -> None:
        doing.defer(resource)
        self._hold(doing)

    def _hold(self, doing: Doing) -> None:
        aside = doing.kept_aside
        self._asides.setdefault(aside.site, {})[doing.key] = aside

    async def _write_down(self, doings: Sequence[Doing]) -> None:
        became = [doing.became for doing in doings]
        await store.remember(self.s, became)
        for doing in doings:
            if doing.outcome not in _IN:
                head = doing.head.model_dump(mode="json", exclude={"size"})
                await store.set_aside(self.s, doing.kept_aside, head, doing.text, self.now)
        arrived = [doing.key for doing in doings if doing.aside and doing.outcome in _IN - {Outcome.CONFLICT}]
        for key in arrived:
            for mine in self._asides.values():
                mine.pop(key, None)
        if arrived:
            await store.landed(self.s, arrived)

    async def _freed_by(self, doings: Sequence[Doing]) -> list[Doing]:
        """Return what waited for the records that have come, and note what is mended by them."""
        mended: list[tuple[UUID, int]] = []
        free: list[tuple[UUID, int]] = []
        stations = {doing.station.site: doing.station for doing in doings}
        for site in stations:
            mine = self._asides.get(site)
            if not mine:
                continue
            came = {doing.resource for doing in doings if doing.station.site == site and doing.outcome in _IN}
            mended += [key for key, aside in mine.items() if aside.resource in came]
            free += [key for key, aside in mine.items() if aside.waits_for in came]
            for key in {*mended, *free}:
                mine.pop(key, None)
        if mended:
            await store.mended(self.s, mended, self.now)
        if not free:
            return []
        return [
            Doing(stations[each.site], each.db_epoch, each.head, each.text, aside=True)
            for each in await store.texts_of(self.s, free)
        ]
