"""Down: pages of all scopes, repairs of what differs, and prepared copies part by part."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

import httpx
import structlog
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ValidationError

from clinic_net.protocol.sync import (
    Digest,
    DigestAsk,
    EntryHead,
    Manifest,
    PageHead,
    PullAsk,
    Report,
    codec,
    frames,
)
from station_agent.errors import LinkError
from station_agent.link.line import HubRefused, Line, Request, accepting, framed
from station_agent.store import Database, Tx, batches, erasing, feed, pages, scopes, settings, snapshots
from station_agent.store.pages import Taken
from station_agent.store.scopes import Key
from station_agent.store.snapshots import Part

log = structlog.get_logger()

PULL, DIGEST, JWKS = "/sync/v1/pull", "/sync/v1/digest", "/oauth/jwks"
MAX_PAGE = 8 * 1024 * 1024
MAX_SEGMENT = 64 * 1024 * 1024
"""Bytes of a page, and of a segment, after decompression."""
FIRST_PART, LAST_PART = 32 * 1024, 256 * 1024
PART_S = 2.0
"""What one part of a prepared copy may take: so long an urgent batch waits behind it."""

_M = TypeVar("_M", bound=BaseModel)


@dataclass(frozen=True)
class Who:
    """Whose scopes these are."""

    station: str
    device: str
    province: str

    @property
    def own(self) -> str:
        return f"stn:{self.station}"

    def scopes(self) -> tuple[str, ...]:
        found = [f"dev:{self.device}", self.own, "nat"]
        return tuple(found if not self.province else [*found, f"prov:{self.province}"])


@dataclass
class _Repair:
    """A repair under way: the bins that differ, how far, and what the hub has in them."""

    scope: str
    bins: tuple[int, ...]
    after: str = ""
    listed: set[Key] = field(default_factory=set)


class Pulling:
    """Asks for what is new, and mends what differs."""

    def __init__(
        self,
        database: Database,
        line: Line,
        who: Who,
        *,
        clock: Callable[[], datetime],
        timer: Callable[[], float],
        report: Callable[[Tx], Report],
    ) -> None:
        self._database = database
        self._line = line
        self._who = who
        self._clock = clock
        self._timer = timer
        self._report = report
        self._repair: _Repair | None = None
        self.part_bytes = FIRST_PART

    async def pull(self, client: httpx.AsyncClient) -> tuple[PageHead, Taken]:
        """Ask for one page and store it.

        Raises:
            HubRefused, LinkError, httpx.HTTPError: there is none; nothing was stored.
        """
        ask = await self._database.run(self._ask)
        request = framed(PULL, ask.model_dump_json(exclude_defaults=True).encode(), **accepting())
        head, entries = self._page(await self._line.ask(client, request, limit=MAX_PAGE))
        now = self._clock()

        def store(tx: Tx) -> Taken:
            taken = pages.store(tx, head, entries, ask.cursors, now)
            erasing.delivered(tx, ask.receipts)
            feed.adopt_hub_copies(tx)
            return taken

        return head, await self._database.run(store)

    def _ask(self, tx: Tx) -> PullAsk:
        scopes.begin(tx, self._who.scopes(), self._who.own)
        feed.adopt_hub_copies(tx)
        epoch = settings.get(tx, "db_epoch") or ""
        return PullAsk.model_validate(
            {
                "station": self._who.station, "db_epoch": epoch, "cursors": scopes.cursors(tx),
                "asks": batches.asks(tx, self._clock()), "receipts": erasing.receipts(tx),
                "report": self._report(tx),
            }
        )  # fmt: skip

    def _page(self, stream: bytes) -> tuple[PageHead, list[tuple[EntryHead, bytes]]]:
        try:
            head, start = frames.first_of(stream, PageHead)
            return head, list(frames.frames_of(stream, start, EntryHead, head.count))
        except frames.Malformed:
            raise LinkError("not-a-hub") from None

    # -- repairs

    async def repair(self, client: httpx.AsyncClient, scope: str) -> list[Key]:
        """Do the next exchange of a scope's repair: which bins differ, or a page of what is in them. Return what
        changed here.

        Raises:
            HubRefused, LinkError, httpx.HTTPError: the exchange failed; it is asked again.
        """
        going = self._repair
        if going is None or going.scope != scope:
            self._repair = await self._compare(client, scope)
            return []
        ask = DigestAsk(station=self._who.station, scope=scope, bins=going.bins, after=going.after)
        request = framed(DIGEST, ask.model_dump_json(exclude_defaults=True).encode(), **accepting())
        head, entries = self._page(await self._line.ask(client, request, limit=MAX_PAGE))
        now = self._clock()
        changed = await self._database.run(lambda tx: pages.store_repair(tx, entries, now))
        going.listed |= {(entry.type, entry.id) for entry, _ in entries}
        if head.more and entries:
            going.after = f"{entries[-1][0].type}/{entries[-1][0].id}"
            return changed
        self._repair = None
        log.info("scope_repaired", bins=len(going.bins), entries=len(going.listed))
        return changed + await self._database.run(
            lambda tx: pages.end_repair(tx, scope, going.bins, going.listed, now)
        )

    async def _compare(self, client: httpx.AsyncClient, scope: str) -> _Repair | None:
        ask = DigestAsk(station=self._who.station, scope=scope)
        request = framed(DIGEST, ask.model_dump_json(exclude_defaults=True).encode(), **accepting())
        theirs = _read(Digest, await self._line.ask(client, request))

        def differing(tx: Tx) -> tuple[int, ...]:
            ours = scopes.bins(tx, scope)
            found = tuple(n for n, (a, b) in enumerate(zip(ours, theirs.bins, strict=False)) if a != b)
            held = scopes.every(tx)[scope]
            if (
                not found or theirs.seq > held.cursor
            ):  # the feed is ahead: after the next pull they are compared again
                held.suspect = False
                scopes.save(tx, held)
                found = ()
            return found

        found = await self._database.run(differing)
        return _Repair(scope, found) if found else None

    # -- prepared copies

    async def part(self, client: httpx.AsyncClient) -> bool:
        """Fetch the next part of a prepared copy; whether a whole segment was stored.

        Raises:
            HubRefused, LinkError, httpx.HTTPError: it did not come; what came before is kept.
        """
        part = await self._database.run(snapshots.next_part)
        if part is None:
            return False
        try:
            if part.n is None:
                await self._manifest(client, part)
                return False
            return await self._segment(client, part)
        except HubRefused as refused:
            if refused.status not in (404, 410):
                raise
            await self._database.run(lambda tx: snapshots.forget(tx, part.scope))
            return False

    async def _manifest(self, client: httpx.AsyncClient, part: Part) -> None:
        signed = await self._line.ask(client, Request("GET", part.url))
        manifest = await self._verified(client, signed)
        if manifest.scope != part.scope:
            raise LinkError("snapshot-of-another-scope")
        now = self._clock()
        await self._database.run(lambda tx: snapshots.began(tx, manifest, now))

    async def _verified(self, client: httpx.AsyncClient, signed: bytes) -> Manifest:
        """Return what a manifest says, if the hub signed it: by the keys that this station knows, or else by those the
        hub has now (it may have a new one)."""
        known = await self._database.run(lambda tx: settings.get(tx, "hub_keys"))
        for keys in (known, None):
            told = keys
            if told is None:
                told = (await self._line.ask(client, Request("GET", JWKS))).decode("utf-8", "replace")
            try:
                said = jws.deserialize_compact(signed.decode(), _keys(told), algorithms=["ES256"])
            except (JoseError, ValueError):
                continue
            await self._database.run(partial(settings.put, key="hub_keys", value=told))
            return _read(Manifest, said.payload)
        raise LinkError("snapshot-not-signed-by-the-hub")

    async def _segment(self, client: httpx.AsyncClient, part: Part) -> bool:
        end = min(part.size, part.start + self.part_bytes) - 1
        began = self._timer()
        request = Request("GET", f"{part.url}/{part.n}", more={"Range": f"bytes={part.start}-{end}"})
        content = await self._line.ask(client, request)
        self._pace(self._timer() - began)
        if len(content) > end + 1 - part.start:  # the whole of it came: this server knows no ranges
            content = content[part.start :]
        now = self._clock()

        def keep(tx: Tx) -> bool:
            whole = snapshots.came(tx, part, content)
            if whole is None:
                return False
            stream = codec.decompress(whole, codec.ZSTD, limit=MAX_SEGMENT)
            pages.store_segment(tx, frames.frames_of(stream, 0, EntryHead, part.records), now)
            snapshots.stored(tx, part, now)
            return True

        try:
            return await self._database.run(keep)
        except (snapshots.Damaged, frames.Malformed, codec.Undecodable, codec.TooMuch):
            await self._database.run(lambda tx: snapshots.begin_part_again(tx, part))
            raise LinkError("snapshot-damaged") from None

    def _pace(self, took_s: float) -> None:
        """Make the next part as large as two seconds allow."""
        if took_s > PART_S:
            self.part_bytes = max(FIRST_PART // 4, self.part_bytes // 2)
        elif took_s < PART_S / 4:
            self.part_bytes = min(LAST_PART, self.part_bytes * 2)


def _keys(text: str) -> KeySet:
    return KeySet.import_key_set(json.loads(text))


def _read(model: type[_M], body: bytes) -> _M:
    try:
        return model.model_validate_json(body)
    except ValidationError:
        raise LinkError("not-a-hub") from None
