"""An operation that was made from another version than the hub's: merged, or kept beside it for a person (ADR 24).

Nothing that somebody typed is lost: what comes in is kept as it came, a Provenance says who wrote it, and where two
places say different things one Task a record asks a person. Whoever calls holds off other operations of the same
database and commits.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import access
from clinic_net.access import StationPrincipal
from clinic_net.fhir import parse, write
from clinic_net.protocol.sync import Outcome
from clinic_net.protocol.sync.merge_policy import is_review, reconciled
from clinic_net.protocol.sync.reviews import (
    Origin,
    Sibling,
    Subject,
    asked,
    decided,
    labels_in,
    provenance,
    text_beside,
    text_of,
)
from clinic_net.records import Stored
from clinic_net.records import service as records
from clinic_net.records.drafts import read_resource
from clinic_net.records.errors import UnknownResource


@dataclass(frozen=True)
class Incoming:
    """A station's change of a record. ``text`` None deletes it.

    ``base`` is the hub's version that it was made from, as the station says. ``after`` is the number of the latest
    earlier operation of the same database on the record, if that one was merged or clashed and the station had not
    seen what came of it (``base`` is None, or older than the version that was answered): this change was made from
    that one's text.
    """

    rtype: str
    fid: str
    text: bytes | None
    at: datetime
    by: str
    epoch: UUID
    op: int
    base: int | None = None
    after: int | None = None


@dataclass(frozen=True)
class Reconciled:
    """What became of a change. ``version`` is the hub's current one, ``review`` the id of the Task that asks about it.

    After ``MERGED`` and ``CONFLICT`` the version is none that the station's next change may be taken to be made from:
    that one comes with ``after``. Agents of form 1 do not know ``merged`` and are told ``conflict``, which lets a
    person look before anything is sent again.
    """

    outcome: Outcome
    version: int
    review: str | None = None


async def reconcile(
    session: AsyncSession, op: Incoming, *, station: StationPrincipal, now: datetime, news: records.News
) -> Reconciled:
    """Merge a change into a record, or keep it beside the record; what is answered is durable with the transaction.

    Outcomes: ``APPLIED`` when nobody else changed it after all, ``DUPLICATE`` when the hub says all of it already,
    ``MERGED`` and ``CONFLICT``. A record that was deleted at one place and changed at the other stands, with a Task.

    Raises:
        UnknownResource: there is no such record within the station's reach.
        InvalidResource, MalformedRequest, MalformedJson, ReadOnly, LabelNotAllowed …: see ``records.service.put``.
    """
    held = await records.hold(
        session, op.rtype, op.fid, base=op.base, scope=access.scope_of(station), now=now
    )
    if held is None:
        raise UnknownResource
    return await _Reconciling(session, op, station, held, now, news).run()


@dataclass(frozen=True)
class _Reconciling:
    """One operation against the record that it changes."""

    s: AsyncSession
    op: Incoming
    station: StationPrincipal
    held: records.Held
    now: datetime
    news: records.News

    async def run(self) -> Reconciled:
        current = self.held.current
        if self.op.text is None:
            if current.deleted:
                return Reconciled(Outcome.DUPLICATE, current.version)
            return Reconciled(Outcome.MERGED, current.version, await self._ask(None))
        theirs = read_resource(self.op.text, rtype=self.op.rtype, fid=self.op.fid)
        if current.deleted:
            stored = await self._put(self.op.text)
            return Reconciled(Outcome.MERGED, stored.version, await self._ask(None))
        return await self._compare(self.op.text, parse(current.text), theirs)

    async def _compare(self, text: bytes, ours: dict[str, Any], theirs: dict[str, Any]) -> Reconciled:
        current = self.held.current
        if is_review(ours):
            return await self._decision(ours, theirs)
        base = await self._text_of_earlier() or self.held.base
        merged = reconciled(None if base is None else parse(base), ours, theirs, sound=records.sound)
        if merged.resource is ours:
            return Reconciled(Outcome.DUPLICATE, current.version)
        if merged.resource is theirs:
            return Reconciled(Outcome.APPLIED, (await self._put(text)).version)
        labels = labels_in(ours, theirs)
        mine = await self._keep("text", text, labels)
        if merged.resource is not None:
            stored = await self._put(write(merged.resource))
            await self._tell_origin(f"{self._subject.reference}/_history/{stored.version}", mine, "merge")
            return Reconciled(Outcome.MERGED, stored.version)
        before = await self._earlier()
        if before is None and base is not None:
            before = await self._keep("base", base, labels)
        await self._tell_origin(f"Binary/{mine}", mine, "conflict")
        at, site = records.instant(self.op.at), self.station.site
        sibling = Sibling(mine, before, current.version, self.op.by, at, site)
        return Reconciled(Outcome.CONFLICT, current.version, await self._ask(sibling))

    async def _decision(self, ours: dict[str, Any], theirs: dict[str, Any]) -> Reconciled:
        """Take from a Task of reviews what was decided; whether it is open is the hub's word."""
        current = self.held.current
        after = decided(ours, theirs, now=records.instant(self.now))
        if after is None:
            return Reconciled(Outcome.DUPLICATE, current.version)
        return Reconciled(Outcome.MERGED, (await self._put(write(after))).version)

    async def _put(self, text: bytes) -> Stored:
        return await records.put(
            self.s,
            text,
            rtype=self.op.rtype,
            fid=self.op.fid,
            scope=access.scope_of(self.station),
            author=self.station.address,
            tenant=self.station.site,
            now=self.now,
            if_match=self.held.current.version,
            news=self.news,
        )

    # -- what is kept beside

    @property
    def _subject(self) -> Subject:
        return Subject(self.op.rtype, self.op.fid, self.held.current.patient)

    async def _id(self, what: str, op: int) -> str:
        return await records.steady_id(self.s, what, str(self.op.epoch), str(op))

    async def _earlier(self) -> str | None:
        """Return the Binary of the operation that this one was made from."""
        return None if self.op.after is None else await self._id("text", self.op.after)

    async def _text_of_earlier(self) -> bytes | None:
        binary = await self._earlier()
        kept = None if binary is None else await records.beside(self.s, "Binary", binary, now=self.now)
        return None if kept is None else text_of(parse(kept.text)).encode()

    async def _keep(self, what: str, text: bytes, labels: list[dict[str, Any]]) -> str:
        fid = await self._id(what, self.op.op)
        await self._say(text_beside(fid, text.decode(), self._subject, labels=labels))
        return fid

    async def _tell_origin(self, target: str, mine: str, activity: str) -> None:
        record = self._subject.reference
        entities = {f"{record}/_history/{self.held.current.version}": "revision", f"Binary/{mine}": "source"}
        if self.op.base is not None:
            entities[f"{record}/_history/{self.op.base}"] = "derivation"
        at, recorded = records.instant(self.op.at), records.instant(self.now)
        origin = Origin(self.op.by, self.station.site, at, recorded)
        fid = await self._id("provenance", self.op.op)
        await self._say(provenance(fid, target, origin, activity=activity, entities=entities))

    async def _ask(self, sibling: Sibling | None) -> str:
        """Open the one Task of the record, or add to it; its row is not taken by others, who wait for the record's."""
        fid = await review_id(self.s, self.op.rtype, self.op.fid)
        kept = await records.beside(self.s, "Task", fid, now=self.now)
        before = None if kept is None else parse(kept.text)
        await self._say(asked(before, fid, self._subject, sibling=sibling, now=records.instant(self.now)))
        return fid

    async def _say(self, resource: dict[str, Any]) -> None:
        await records.keep_beside(self.s, resource, record=self.held.current, now=self.now, news=self.news)


async def review_id(session: AsyncSession, rtype: str, fid: str) -> str:
    """Return the id of the one Task that asks about a record."""
    return await records.steady_id(session, "review", rtype, fid)
