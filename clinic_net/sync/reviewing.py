"""What a person at the hub sees of two versions of one record, and the decision: a normal write with two parents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import access
from clinic_net.access import policy
from clinic_net.access.policy import RecordScope
from clinic_net.access.principals import UserPrincipal
from clinic_net.fhir import parse, parse_search, write
from clinic_net.kernel.ids import new_id
from clinic_net.protocol.sync.comparing import Difference, UndecidedError, compare, decide
from clinic_net.protocol.sync.merge import Resource, Side
from clinic_net.protocol.sync.merge_policy import REVIEW_CODE, REVIEW_SYSTEM
from clinic_net.protocol.sync.reviews import (
    OPEN,
    Origin,
    Review,
    Sibling,
    provenance,
    read_review,
    settled,
    text_of,
)
from clinic_net.records import Stored
from clinic_net.records import service as records
from clinic_net.records.errors import UnknownResource, VersionConflict
from clinic_net.sync.errors import Undecided

_MOST = 200


@dataclass(frozen=True)
class Looked:
    """A review as somebody sees it: the hub's version beside one that waits. ``sibling`` None: the record was deleted
    at one place and changed at the other.

    ``seen`` names the versions of the Task and of the record that were looked at: a decision on others is refused.
    """

    review: Review
    sibling: Sibling | None
    current: Stored
    differences: tuple[Difference, ...]
    seen: str
    may_decide: bool


@dataclass(frozen=True)
class Decision:
    """What a person decided: one side as a whole, or an answer to each question. ``sibling`` is the version decided on;
    None says that a record that was deleted at one place and changed at the other stands as it is."""

    task: str
    sibling: str | None
    seen: str
    whole: Side | None = None
    answers: Mapping[int, Side] | None = None


async def open_reviews(session: AsyncSession, *, by: UserPrincipal, now: datetime) -> list[Review]:
    """Return what waits for a person within somebody's reach, urgent first, then the oldest; at most 200."""
    asked = parse_search(
        "Task", [("code", f"{REVIEW_SYSTEM}|{REVIEW_CODE}"), ("status", OPEN), ("_count", str(_MOST))]
    )
    scope = access.scope_of(by)
    found = await records.search(session, asked, scope=scope, now=now, by=by.address)
    every = [review for entry in found.entries if (review := read_review(parse(entry.text))) is not None]
    # That something is asked about an allergy is part of what a role that sees no allergies does not see.
    reviews = [review for review in every if scope.types is None or review.rtype in scope.types]
    return sorted(reviews, key=lambda review: (not review.urgent, review.since))


async def named(
    session: AsyncSession, reviews: Sequence[Review], *, by: UserPrincipal, now: datetime
) -> dict[str, Resource]:
    """Return the Patients whom reviews are about, by their ids, as far as somebody reaches them."""
    ids = sorted({review.patient for review in reviews if review.patient is not None})
    if not ids:
        return {}
    asked = parse_search("Patient", [("_id", ",".join(ids)), ("_count", str(_MOST))])
    found = await records.search(session, asked, scope=access.scope_of(by), now=now, by=by.address)
    return {entry.fid: parse(entry.text) for entry in found.entries}


async def look(
    session: AsyncSession, task: str, sibling: str | None, *, by: UserPrincipal, now: datetime
) -> Looked:
    """Return a review, with the first version that waits, or with the one asked for.

    Raises:
        UnknownResource: there is no such open review, or not within reach.
        RoleNotAllowed: this role never sees such records.
    """
    seeing = await _Seeing.of(session, task, by=by, now=now)
    policy.demand(by, seeing.review.rtype, "r")
    found = seeing.sibling(sibling)
    differences: tuple[Difference, ...] = ()
    if found is not None:
        base, theirs = await seeing.texts(found)
        differences = compare(base, parse(seeing.current.text), theirs, sound=records.sound)
    return Looked(
        seeing.review,
        found,
        seeing.current,
        differences,
        seeing.seen,
        policy.may(by, seeing.review.rtype, "u"),
    )


@dataclass(frozen=True)
class _Seeing:
    """A review within somebody's reach."""

    session: AsyncSession
    review: Review
    task: Stored
    current: Stored
    scope: RecordScope
    now: datetime

    @classmethod
    async def of(cls, session: AsyncSession, task: str, *, by: UserPrincipal, now: datetime) -> "_Seeing":
        scope = access.scope_of(by)
        asked = await records.beside(session, "Task", task, scope=scope, now=now)
        review = None if asked is None else read_review(parse(asked.text))
        if asked is None or review is None or not review.open:
            raise UnknownResource
        current = await records.read(session, review.rtype, review.fid, scope=scope, now=now, by=by.address)
        return cls(session, review, asked, current, scope, now)

    @property
    def seen(self) -> str:
        return f"{self.task.version}-{self.current.version}"

    def sibling(self, wanted: str | None) -> Sibling | None:
        waiting = {sibling.text: sibling for sibling in self.review.siblings}
        if wanted is not None:
            if wanted not in waiting:
                raise UnknownResource
            return waiting[wanted]
        return next(iter(waiting.values()), None)

    async def texts(self, sibling: Sibling) -> tuple[Resource | None, Resource]:
        """Return the text that both came from and the one that waits. Whoever may see the record may see these: a
        Binary's rights are those of what its ``securityContext`` names, whatever types somebody is kept to."""
        theirs = await self._text(sibling.text)
        if theirs is None:
            raise UnknownResource
        base = None if sibling.base is None else await self._text(sibling.base)
        return base, theirs

    async def _text(self, binary: str) -> Resource | None:
        scope = replace(self.scope, types=None)
        kept = await records.beside(self.session, "Binary", binary, scope=scope, now=self.now)
        if kept is None:
            return None
        said = parse(kept.text)
        about = said.get("securityContext", {}).get("reference")
        return parse(text_of(said).encode()) if about == f"{self.review.rtype}/{self.review.fid}" else None


async def decide_review(
    session: AsyncSession, decision: Decision, *, by: UserPrincipal, now: datetime
) -> Review:
    """Write what somebody decided, with both versions as its parents, and take the question off the Task.

    Raises:
        UnknownResource: there is no such open review, or not within reach.
        VersionConflict: the record or the Task has changed since it was looked at.
        Undecided: a question was left open, or the answers do not go together.
        RoleNotAllowed: this role never changes such records.
        ReadOnly …: see ``records.service.put``.
    """
    seeing = await _Seeing.of(session, decision.task, by=by, now=now)
    policy.demand(by, seeing.review.rtype, "u")
    if decision.seen != seeing.seen:
        raise VersionConflict("somebody has changed it in between: look again")
    found = None if decision.sibling is None else seeing.sibling(decision.sibling)
    news: records.News = []
    if found is not None:
        await _write(seeing, found, decision, by=by, news=news)
    task = settled(parse(seeing.task.text), decision.sibling, now=records.instant(now))
    await records.put(
        session, write(task), rtype="Task", fid=decision.task, scope=seeing.scope, author=by.address,
        tenant=seeing.task.tenant, now=now, if_match=seeing.task.version, news=news,
    )  # fmt: skip
    await records.tell(session, news)
    after = read_review(task)
    assert after is not None
    return after


async def _write(
    seeing: _Seeing, sibling: Sibling, decision: Decision, *, by: UserPrincipal, news: records.News
) -> None:
    session, current, now = seeing.session, seeing.current, seeing.now
    base, theirs = await seeing.texts(sibling)
    ours = parse(current.text)
    try:
        resource: dict[str, Any] = decide(
            base, ours, theirs, whole=decision.whole, answers=decision.answers or {}, sound=records.sound
        )
    except UndecidedError:
        raise Undecided from None
    stored = current
    if resource is not ours:
        stored = await records.put(
            session, write(resource), rtype=current.rtype, fid=current.fid, scope=seeing.scope,
            author=by.address, tenant=current.tenant, now=now, if_match=current.version, news=news,
        )  # fmt: skip
    record, at = f"{current.rtype}/{current.fid}", records.instant(now)
    entities = {f"{record}/_history/{current.version}": "revision", f"Binary/{sibling.text}": "revision"}
    origin = Origin(by.name, None, at, at)
    target = f"{record}/_history/{stored.version}"
    told = provenance(str(new_id(now)), target, origin, activity="resolve", entities=entities)
    await records.keep_beside(session, told, record=current, now=now, news=news)
