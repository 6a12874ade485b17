"""Histories: of one resource, of a type, of everything within reach; newest first, in pages with signed cursors."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope
from clinic_net.fhir import InvalidSearchValue, UnknownSearchParameter
from clinic_net.fhir.dates import date_range
from clinic_net.kernel.errors import Place
from clinic_net.records import history_store, store
from clinic_net.records.errors import InvalidCursor, UnknownResource
from clinic_net.records.history_store import Wanted
from clinic_net.records.keys import Keys
from clinic_net.records.shapes import Stored
from clinic_net.records.trail import noted
from clinic_net.records.vault import keys_of

DEFAULT_COUNT = 50
MAX_COUNT = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class PastVersion:
    """A version and the interaction that made it: C, U or D."""

    stored: Stored
    method: str


@dataclass(frozen=True)
class Asked:
    """A history that is asked for. ``rtypes`` are the types that the caller may have, None for any; with ``fid`` the
    one type of that resource."""

    rtypes: tuple[str, ...] | None
    fid: str | None = None
    since: datetime | None = None
    at: tuple[datetime, datetime] | None = None
    count: int = DEFAULT_COUNT


@dataclass(frozen=True)
class Past:
    """A page of a history. ``next`` is the cursor of the page behind it."""

    versions: list[PastVersion]
    next: str | None


def read_parameters(
    asked: Asked, pairs: Sequence[tuple[str, str]], *, lenient: bool
) -> tuple[Asked, str | None, list[tuple[str, str]]]:
    """Return what ``_since``, ``_at`` and ``_count`` make of ``asked``, the cursor, and the pairs that applied.

    Raises:
        UnknownSearchParameter: another parameter, unless ``lenient``.
        InvalidSearchValue: a value that is no date or no count, or a parameter given twice.
    """
    cursor: str | None = None
    applied: list[tuple[str, str]] = []
    for name, value in pairs:
        if name in ("_format", "_pretty"):
            continue
        if name == "_cursor":
            cursor = value
            continue
        if name not in ("_since", "_at", "_count"):
            if lenient:
                continue
            message = "a history has no such parameter"
            raise UnknownSearchParameter(
                message, places=[Place("a parameter", UnknownSearchParameter.code, message)]
            )
        if any(name == other for other, _ in applied):
            raise _invalid(name, "may be given once")
        asked = _with(asked, name, value)
        applied.append((name, value))
    return asked, cursor, applied


def _with(asked: Asked, name: str, value: str) -> Asked:
    if name == "_count":
        if not (value.isascii() and value.isdigit() and len(value) < 19):
            raise _invalid(name, "must be one whole number")
        return replace(asked, count=min(int(value), MAX_COUNT))
    try:
        low, high = date_range(value.replace(" ", "+"))
        at = (_EPOCH + timedelta(microseconds=low), _EPOCH + timedelta(microseconds=high))
    except (ValueError, OverflowError):
        raise _invalid(name, "must be a date or an instant") from None
    return replace(asked, since=at[0]) if name == "_since" else replace(asked, at=at)


def _invalid(name: str, message: str) -> InvalidSearchValue:
    return InvalidSearchValue(f"{name}: {message}", places=[Place(name, InvalidSearchValue.code, message)])


def _fingerprint(asked: Asked, scope: RecordScope) -> str:
    """Name history and scope, so that a cursor of another one is refused."""
    plain = [asked.rtypes, asked.fid, str(asked.since), str(asked.at), scope.mark]
    return blake2b(json.dumps(plain).encode(), digest_size=9).hexdigest()


def _behind(cursor: str | None, keys: Keys, fingerprint: str) -> int | None:
    if cursor is None:
        return None
    payload = keys.unsign(cursor)
    name, values = (None, []) if payload is None else json.loads(payload)
    if name != f"history {fingerprint}":
        raise InvalidCursor("the page's cursor is not valid")
    return int(values[0])


async def past(
    s: AsyncSession,
    asked: Asked,
    *,
    scope: RecordScope,
    now: datetime,
    by: str | None = None,
    cursor: str | None = None,
) -> Past:
    """Return a page of versions, newest first. Old versions follow today's right to the resource.

    Raises:
        UnknownResource: the one resource does not exist, or not within the scope.
        InvalidCursor: ``cursor`` is not one of this history and scope.
    """
    rid = None
    if asked.fid is not None:
        assert asked.rtypes is not None
        head = await store.find(s, asked.rtypes[0], asked.fid, scope=scope, now=now)
        if head is None:
            raise UnknownResource
        rid = head.rid
    wanted = Wanted(rid, asked.rtypes if rid is None else None, asked.since, asked.at)
    keys = await keys_of(s)
    fingerprint = _fingerprint(asked, scope)
    behind = _behind(cursor, keys, fingerprint)
    if asked.count == 0:
        return Past([], None)
    rows = await history_store.page(s, wanted, scope=scope, now=now, behind=behind, limit=asked.count + 1)
    more, rows = len(rows) > asked.count, rows[: asked.count]
    found = [PastVersion(stored, method) for _, method, stored in rows]
    following = keys.sign(json.dumps([f"history {fingerprint}", [rows[-1][0]]]).encode()) if more else None
    subject = "/".join((*(asked.rtypes or ("system",))[:1], *([asked.fid] if asked.fid else [])))
    seen = [version.stored for version in found]
    await noted(s, "record.history", seen, subject=subject, scope=scope, now=now, by=by)
    return Past(found, following)


async def history(
    s: AsyncSession, rtype: str, fid: str, *, scope: RecordScope, now: datetime, by: str | None = None
) -> list[PastVersion]:
    """Return the newest versions of a resource, newest first; see ``past`` for pages and refusals."""
    asked = Asked((rtype,), fid, count=MAX_COUNT)
    return (await past(s, asked, scope=scope, now=now, by=by)).versions
