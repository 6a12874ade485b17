"""The one way in for whole resources: looks, decides and stores for many drafts at once.

Three statements whatever their number: a transaction's entries, or the single writes of many callers that share a
commit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from clinic_net.access import consent
from clinic_net.access.consent import Given, Statement
from clinic_net.access.labels import singly
from clinic_net.access.policy import Record, RecordScope
from clinic_net.kernel.errors import Place, Refusal
from clinic_net.kernel.gate import breathe
from clinic_net.kernel.links import Database
from clinic_net.records import rules, store, store_writes, trail
from clinic_net.records.drafts import Draft, Order
from clinic_net.records.errors import (
    Abandoned,
    AlreadyExists,
    LabelNotAllowed,
    ReadOnly,
    ResourceExists,
    TryAgain,
    UnknownPatient,
    UnknownResource,
    VersionConflict,
)
from clinic_net.records.keys import Keys
from clinic_net.records.preconditions import forbids
from clinic_net.records.shapes import Stored, milliseconds, stored_of
from clinic_net.records.store import Head
from clinic_net.records.store_writes import Change


async def put_many(
    s: Database, orders: Sequence[Order], keys: Keys, *, now: datetime
) -> list[Stored | Refusal]:
    """Store drafts; return, for each, what is stored now or why it is not. Nothing is told: see ``tell``.

    A refused one leaves nothing behind and the others stand, but for those of its ``unit`` (``Abandoned``). All of one
    scope see each other's patients.

    Raises:
        TryAgain: a type and id were taken in this instant, and orders of several units travel together: let each
            unit try by itself.
    """
    running = _Putting(s, keys, now)
    waiting = list(range(len(orders)))
    answers: dict[int, Stored | Refusal] = {}
    while waiting:
        # Two drafts of one resource take turns: the second is the next version of the first.
        turn: dict[tuple[str, str], int] = {}
        for position in waiting:
            turn.setdefault(orders[position].identity, position)
        now_due = sorted(turn.values())
        told = await running.put([orders[position] for position in now_due])
        answers.update(zip(now_due, told, strict=True))
        waiting = [position for position in waiting if position not in answers]
    told = [answers[position] for position in range(len(orders))]
    await trail.written(s, orders, told, now=now)
    return told


@dataclass(eq=False)
class _Step:
    """An order on its way: what is there already, and what is to be written."""

    order: Order
    head: Head | None = None
    about: Head | None = None
    change: Change | None = None
    said: Statement | None = None
    answer: Stored | Refusal | None = None


class _Putting:
    """One ``put_many``: looks, decides, writes."""

    def __init__(self, s: Database, keys: Keys, now: datetime) -> None:
        self._s = s
        self._keys = keys
        self._now = now
        self._at = milliseconds(now)
        """When the new versions were made. Who may see what is asked at the exact moment: a right may be as young."""
        self._foreseen: dict[tuple[RecordScope, Record], bool] = {}

    async def put(self, orders: Sequence[Order]) -> list[Stored | Refusal]:
        steps = [_Step(order) for order in orders]
        await self._look([step for step in steps if step.order.draft.chosen])
        await self._decide(steps)
        await self._understand_consents(steps)
        _abandon_units(steps)
        # Made in this instant by somebody else, or outside the scope: the second look tells.
        taken = await self._write(steps)
        if any(step.order.unit for step in taken) and len({step.order.unit for step in steps}) > 1:
            raise TryAgain("somebody else is changing the same records; try again")
        await self._look(taken)
        for step in taken:
            step.change = None
            if step.head is None:
                step.answer = UnknownResource()
        again = [step for step in taken if step.answer is None]
        await self._decide(again)
        await self._understand_consents(again)
        await self._write(taken)
        await self._follow_consents(steps)
        return [_answered(step) for step in steps]

    async def _look(self, steps: Sequence[_Step]) -> None:
        """Find and hold what is there already, in one order for everybody."""
        for scope, mine in _by_scope(steps).items():
            held = await store.lock(
                self._s, [step.order.identity for step in mine], scope=scope, now=self._now
            )
            for step in mine:
                step.head = held.get(step.order.identity)

    async def _decide(self, steps: Sequence[_Step]) -> None:
        for step in steps:
            step.answer = _refused(step.order, step.head)
        for scope, mine in _by_scope([step for step in steps if step.answer is None]).items():
            await self._find_patients(mine, scope)
            await self._foresee(mine, scope)
            for done, step in enumerate(mine):
                await breathe(done)
                try:
                    await self._plan(step)
                except Refusal as refusal:
                    step.answer = refusal

    async def _find_patients(self, steps: Sequence[_Step], scope: RecordScope) -> None:
        """Find whom the drafts are about: among what is stored, and among the drafts of this scope."""
        wanted = {step.order.draft.patient or "" for step in steps if _needs_patient(step)} - {""}
        if not wanted:
            return
        identities = [("Patient", fid) for fid in sorted(wanted)]
        found = await store.find_many(self._s, identities, scope=scope, now=self._now, limit=len(identities))
        known = {head.fid: head for head in found}
        for step in steps:
            made = step.order.draft
            if made.rtype == "Patient" and made.fid in wanted and step.head is None:
                known.setdefault(made.fid, _coming(step.order, self._at))
        for step in steps:
            if _needs_patient(step):
                step.about = known.get(step.order.draft.patient or "")

    async def _foresee(self, steps: Sequence[_Step], scope: RecordScope) -> None:
        """Ask at once what ``_check_right`` asks of every new record of a scope: a statement each costs more than all
        else about it."""
        new = [step.order for step in steps if step.head is None]
        if scope.everywhere or len(new) < 2:
            return
        records = {Record(order.tenant, order.draft.patient, order.draft.rtype, 0) for order in new}
        writing = scope.to_write()
        told = await store.permitted_many(self._s, sorted(records, key=repr), scope=writing, now=self._now)
        self._foreseen |= {(writing, record): allowed for record, allowed in told.items()}

    async def _plan(self, step: _Step) -> None:
        """Decide what to write, or answer with what is there.

        Raises:
            UnknownPatient, ReadOnly: see ``put``.
        """
        order, head = step.order, step.head
        made = order.draft
        if head is not None and _same(made, head):
            step.answer = stored_of(head)
            return
        if _needs_patient(step) and step.about is None and not order.scope.everywhere:
            place = Place(f"{made.rtype}.subject", "unknown-patient", "there is no such patient")
            raise UnknownPatient("the resource is about an unknown patient", places=[place])
        tenant = order.tenant if head is None else head.tenant
        if head is None and order.with_patient and step.about is not None:
            tenant = step.about.tenant
        if not order.scope.everywhere:
            await self._check_right(step, tenant)
        version = 1 if head is None else head.version + 1
        step.change = Change(
            rid=None if head is None else head.rid,
            rtype=made.rtype,
            fid=made.fid,
            version=version,
            method="C" if head is None else "U",
            tenant=tenant,
            patient=made.patient,
            author=order.author,
            body=made.stamped(version, self._at),
            rows=made.rows(self._keys),
            labels=made.labels,
        )

    async def _check_right(self, step: _Step, tenant: str) -> None:
        """Refuse a write for a place that is neither the caller's nor its patient's, or by a right to look only; and
        labels put on or taken off by whom they keep out."""
        order, head, scope = step.order, step.head, step.order.scope.to_write()
        made, about = order.draft, step.about
        ours = (
            scope.tenants is None or tenant in scope.tenants or (about is not None and about.tenant == tenant)
        )
        before = 0 if head is None else store.labels_said(head)
        if head is not None and made.patient == head.patient:
            ours = True
        elif head is not None and not await self._permitted(head.patient, made.rtype, tenant, before, scope):
            ours = False
        if not ours or not await self._permitted(made.patient, made.rtype, tenant, 0, scope):
            raise ReadOnly("this caller may not write records of this place")
        for label in singly(before ^ made.labels):
            if not await self._permitted(made.patient, made.rtype, tenant, label, scope):
                raise LabelNotAllowed("this caller may not put on or take off this security label")
        if head is not None and rules.goes_back(made.rtype, head.body, made.resource):
            raise ReadOnly("what is final does not become preliminary again")

    async def _understand_consents(self, steps: Sequence[_Step]) -> None:
        """Refuse Consents that could not be kept."""
        for step in steps:
            if step.change is not None and step.change.rtype == "Consent":
                try:
                    step.said = await consent.understood(
                        store.session_of(self._s), _given(step, step.change), now=self._now
                    )
                except Refusal as refusal:
                    step.change, step.answer = None, refusal

    async def _follow_consents(self, steps: Sequence[_Step]) -> None:
        """Take on what the Consents say that have been written, in the transaction that stores them."""
        for step in steps:
            if step.change is not None and step.change.rtype == "Consent":
                await consent.follow(
                    store.session_of(self._s), _given(step, step.change), step.said, now=self._now
                )

    async def _permitted(
        self, patient: str | None, rtype: str, tenant: str, labels: int, scope: RecordScope
    ) -> bool:
        record = Record(tenant, patient, rtype, labels)
        foreseen = self._foreseen.get((scope, record))
        if foreseen is not None:
            return foreseen
        return await store.permitted(self._s, record, scope=scope, now=self._now)

    async def _write(self, steps: Sequence[_Step]) -> list[_Step]:
        """Write what was decided; return the steps whose type and id were taken meanwhile."""
        taken = []
        for scope, mine in _by_scope([step for step in steps if step.change is not None]).items():
            new = [step for step in mine if step.head is None]
            if new:
                changes = [step.change for step in new if step.change is not None]
                free = await store_writes.create(self._s, changes, scope=scope, now=self._at)
                taken += [step for position, step in enumerate(new) if position not in free]
            changes = [step.change for step in mine if step.head is not None and step.change is not None]
            if changes:
                await store_writes.replace(self._s, changes, scope=scope, now=self._at)
        for step in steps:
            if step.change is not None and step not in taken:
                created = step.head is None or step.head.deleted
                step.answer = stored_by(step.change, self._at, created=created)
        return taken


def _abandon_units(steps: Sequence[_Step]) -> None:
    """Leave unwritten whatever belongs together with something that is refused."""
    broken = {step.order.unit for step in steps if isinstance(step.answer, Refusal)} - {0}
    for step in steps:
        if step.order.unit in broken and not isinstance(step.answer, Refusal):
            step.change, step.answer = None, Abandoned("another part of the transaction is refused")


def _by_scope(steps: Sequence[_Step]) -> Mapping[RecordScope, list[_Step]]:
    found: dict[RecordScope, list[_Step]] = {}
    scope: RecordScope | None = None
    mine: list[_Step] = []
    for step in steps:
        if (
            step.order.scope is not scope
        ):  # a bundle's orders share one; to hash it for each costs more than this
            scope = step.order.scope
            mine = found.setdefault(scope, [])
        mine.append(step)
    return found


def _refused(order: Order, head: Head | None) -> Refusal | None:
    """Return why an order cannot be carried out on what is there."""
    if not order.scope.writable:
        return ReadOnly("this caller may not write records")
    if head is None:
        guessable = not rules.may_choose(order.draft.fid, everywhere=order.scope.everywhere)
        if order.if_match is not None or (order.with_patient and order.draft.chosen and guessable):
            return UnknownResource()
    elif order.create_only and not head.deleted and not _same(order.draft, head):
        return AlreadyExists("a resource of this type and id exists")
    elif order.if_match is not None and order.if_match != head.version:
        return VersionConflict("the resource has changed since that version")
    elif not head.deleted and forbids(order.if_none_match, head.version):
        return ResourceExists("the resource is there already")
    return None


def _needs_patient(step: _Step) -> bool:
    """Whether the patient of a draft must be looked up: to find its place, or to keep foreign records closed."""
    order = step.order
    if order.draft.patient is None or order.draft.rtype == "Patient":
        return False
    if step.head is None:
        return order.with_patient or not order.scope.everywhere
    return not order.scope.everywhere and order.draft.patient != step.head.patient


def _given(step: _Step, change: Change) -> Given:
    order = step.order
    own = frozenset() if order.scope.own is None else frozenset({order.scope.own})
    return Given(
        order.draft.resource, change.fid, change.patient, change.tenant, order.author, order.scope.names, own
    )


def _coming(order: Order, now: datetime) -> Head:
    """Return the head that a draft of a Patient will have."""
    made = order.draft
    return Head(
        0, made.rtype, made.fid, 1, now, False, order.tenant, made.fid, order.author, made.labels, None
    )


def _same(made: Draft, head: Head) -> bool:
    """Whether the text is the current version's, apart from the stamps."""
    return head.body is not None and made.stamped(head.version, head.updated) == head.body


def _answered(step: _Step) -> Stored | Refusal:
    assert step.answer is not None
    return step.answer


def stored_by(change: Change, now: datetime, *, created: bool = False) -> Stored:
    """Return what a change has made of a resource."""
    return Stored(
        rtype=change.rtype,
        fid=change.fid,
        version=change.version,
        updated=now,
        text=change.body or b"",
        changed=True,
        patient=change.patient,
        tenant=change.tenant,
        author=change.author,
        created=created,
        deleted=change.method == "D",
        labels=change.labels,
    )
