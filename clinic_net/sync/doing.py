"""An operation on its way into the records: what it says, what is known of it, what it became."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from uuid import UUID

import structlog

from clinic_net import access, audit
from clinic_net.access import RecordScope, StationPrincipal
from clinic_net.access.principals import place_of, purpose_of
from clinic_net.kernel.errors import Invalid, Refusal
from clinic_net.kernel.logging import where
from clinic_net.protocol.sync import OpHead, OpIssue, Outcome
from clinic_net.records import service as records
from clinic_net.sync.apply_store import NOTHING_BEFORE, Aside, Became, Before
from clinic_net.sync.rules import references_in

log = structlog.get_logger()

_WAITS = "waits"
"""Of an operation that waits for a record: the code of its issue."""


class NotStorable(Invalid):
    """The record could not be stored, for a reason that the hub has no words for; its engineers find it in the log."""

    code = "not-storable"


@dataclass(eq=False)
class Doing:
    """An operation. ``aside``: its text was set aside before."""

    station: StationPrincipal
    epoch: UUID
    head: OpHead
    text: bytes
    aside: bool = False
    before: Before = NOTHING_BEFORE
    draft: records.Draft | None = None
    outcome: Outcome | None = None
    version: int | None = None
    issues: Sequence[OpIssue] = ()
    waits_for: str | None = None

    @property
    def resource(self) -> str:
        return f"{self.head.type}/{self.head.id}"

    @property
    def key(self) -> tuple[UUID, int]:
        return self.epoch, self.head.op

    @cached_property
    def references(self) -> frozenset[str]:
        """What the text refers to, itself left out."""
        return references_in(self.text) - {self.resource}

    @property
    def base(self) -> int | None:
        """The version that the change was made from: as the station says, or what its own last operation made."""
        if self.head.base is not None or self.before.outcome not in (Outcome.APPLIED, Outcome.DUPLICATE):
            return self.head.base
        return self.before.version

    @property
    def makes(self) -> bool:
        """Whether there is no such record at the hub without this operation."""
        return self.base is None and self.before.op is None

    @property
    def is_plain(self) -> bool:
        """Whether it can go with others: no later operation of its database on the record overtook it, and it does
        not build upon something that was merged or clashed."""
        return self.before.later is None and self.after is None

    @property
    def after(self) -> int | None:
        """The earlier operation of its database on the record, if that was merged or clashed and the station had not
        seen yet what the record became: the change was made from that one's text."""
        before, base = self.before, self.head.base
        if before.outcome not in (Outcome.MERGED, Outcome.CONFLICT):
            return None
        seen = base is not None and (before.version is None or base >= before.version)
        return None if seen else before.op

    def refuse(self, refusal: Refusal) -> None:
        """Note why it cannot become a record, or for which one it waits."""
        if isinstance(refusal, records.UnknownPatient) and self.draft is not None and self.draft.patient:
            self.defer(f"Patient/{self.draft.patient}")
            return
        self.outcome, self.version = Outcome.QUARANTINED, None
        self.issues = tuple(issues_of(refusal))

    @property
    def kept_aside(self) -> Aside:
        """What is said of it when its text is set aside."""
        resource = self.resource if self.makes and self.head.kind != "delete" else None
        return Aside(self.station.site, self.epoch, self.head.op, resource, self.waits_for)

    @property
    def became(self) -> Became:
        assert self.outcome is not None
        return Became(self.epoch, self.head.op, self.outcome, self.version, self.issues)

    @property
    def scope(self) -> RecordScope:
        return _scope_of(self.station)

    def order(self, base: int | None = None) -> records.Order:
        """Return how its text is to be stored; ``base`` is the version it is made from if not its own."""
        assert self.draft is not None
        return order_of(self.draft, self.station, base or self.base)

    def defer(self, resource: str) -> None:
        """Let it wait for a resource."""
        self.outcome, self.version, self.waits_for = Outcome.DEFERRED, None, resource
        words = f"waits for the {resource.split('/')[0]} that it refers to"
        self.issues = (OpIssue(code=_WAITS, expression=self.head.type, diagnostics=words),)


def issues_of(refusal: Refusal) -> list[OpIssue]:
    """Return a refusal as the wire tells it."""
    if not refusal.places:
        return [OpIssue(code=refusal.code, diagnostics=refusal.message)]
    return [
        OpIssue(code=place.code, expression=place.path, diagnostics=place.message) for place in refusal.places
    ]


def order_of(draft: records.Draft, station: StationPrincipal, base: int | None) -> records.Order:
    """Return how a station's draft is to be stored: as the next version after ``base``, or, without one, as new."""
    return records.Order(
        draft,
        _scope_of(station),
        station.address,
        station.site,
        if_match=base,
        create_only=base is None,
        origin=origin_of(station),
    )


@lru_cache(maxsize=4096)
def _scope_of(station: StationPrincipal) -> RecordScope:
    return access.scope_of(station)


@lru_cache(maxsize=4096)
def origin_of(station: StationPrincipal) -> audit.Origin:
    """Return what the audit trail says of where a station's deeds come from: whoever applies them runs elsewhere."""
    return audit.Origin(purpose=purpose_of(station), place=place_of(station), actor=station.address)


def puzzled(failure: Exception) -> NotStorable:
    """Return the refusal of a record on which the hub itself failed, and let its engineers know."""
    log.error("operation_not_storable", error=type(failure).__name__, place=where(failure))
    return NotStorable("the hub could not store this record")
