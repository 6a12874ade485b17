"""Transactions and batches: many interactions in one request, all or nothing or each for itself."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import demand
from clinic_net.fhir import (
    Patch,
    parse,
    parse_search,
    read_fhirpath_patch,
    read_json_patch,
)
from clinic_net.fhir.definitions import resource_types
from clinic_net.kernel.errors import Refusal
from clinic_net.kernel.gate import breathe
from clinic_net.kernel.ids import new_id
from clinic_net.records import rules, store
from clinic_net.records.bundle_rules import (
    CHANGES,
    Answer,
    Asking,
    at,
    demand_distinct,
    demand_right,
    order_of,
    refused,
    written,
)
from clinic_net.records.conditional import Writer, patch
from clinic_net.records.drafts import Order
from clinic_net.records.entries import (
    Entry,
    Pairs,
    malformed,
    pairs_of,
    read_bundle,
    references,
    with_references,
)
from clinic_net.records.errors import UnknownReference, UnknownResource
from clinic_net.records.outcomes import refusal_of
from clinic_net.records.preconditions import has_already
from clinic_net.records.putting import put_many
from clinic_net.records.reading import read
from clinic_net.records.render import response_bundle, search_bundle
from clinic_net.records.searching import Searching, find
from clinic_net.records.shapes import News, Stored, instant
from clinic_net.records.vault import keys_of
from clinic_net.records.writing import condition_key, delete, match_one, put_order, tell


def _order_of(entry: Entry) -> int:
    return rules.BUNDLE_ORDER[entry.method]


async def run_bundle(s: AsyncSession, text: bytes, asking: Asking) -> bytes:
    """Carry out a transaction or batch and return its response bundle.

    A transaction happens as a whole or not at all; a refusal says which entry. In a batch every entry stands alone.
    The right to each interaction is looked at entry by entry.

    Raises:
        MalformedJson, MalformedRequest: it cannot be understood.
        Refusal: any that an entry of a transaction met; ``places`` begin with ``Bundle.entry[n]``.
    """
    kind, entries = await read_bundle(text, base=asking.base)
    running = _Run(s, asking)
    answers = await (running.transaction(entries) if kind == "transaction" else running.batch(entries))
    await tell(s, running.news)
    return response_bundle(kind, answers)


def _patch_of(position: int, text: bytes) -> Patch:
    """Return the patch of an entry: Parameters, or a Binary that holds a JSON Patch (FHIR R4 http §3.1.0.11.2)."""
    content = parse(text)
    if content.get("resourceType") == "Parameters":
        return read_fhirpath_patch(content)
    data = content.get("data")
    if (
        content.get("resourceType") != "Binary"
        or content.get("contentType") != "application/json-patch+json"
        or not isinstance(data, str)
    ):
        raise malformed(position, "a patch is a Parameters, or a Binary of application/json-patch+json")
    try:
        return read_json_patch(base64.b64decode(data, validate=True))
    except binascii.Error:
        raise malformed(position, "the patch's data is not base64") from None


class _Run:
    def __init__(self, s: AsyncSession, asking: Asking) -> None:
        self._s = s
        self._asking = asking
        self._scope = asking.scope
        self.news: News = []
        self._found: dict[int, Stored] = {}
        """By entry: what a conditional create found there already."""
        self._fresh: set[int] = set()
        """Entries of updates by search that found nothing: they must make what they write."""
        self._idle: set[int] = set()
        """Entries of deletes by search that found nothing."""

    async def batch(self, entries: Sequence[Entry]) -> list[Answer]:
        answers = []
        for entry in entries:
            told = len(self.news)
            try:
                async with self._s.begin_nested():
                    demand_right(entry, self._asking)
                    if entry.criteria is not None:
                        await self._conditions([entry])
                        entry = await self._identified(entry)
                    answers.append(await self._answer(entry))
            except Refusal as refusal:
                del self.news[told:]
                answers.append(refused(refusal))
            except DBAPIError as failure:
                del self.news[told:]
                answers.append(refused(refusal_of(failure)))
        return answers

    async def transaction(self, entries: Sequence[Entry]) -> list[Answer]:
        demand_distinct(entries)
        for entry in entries:
            with at(entry):
                demand_right(entry, self._asking)
        await self._conditions(entries)
        identified = []
        for entry in entries:
            with at(entry):
                identified.append(await self._identified(entry))
        self._demand_unrelated(identified)
        linked = await self._linked(identified)
        held = [(entry.rtype, entry.fid) for entry in linked if entry.method in CHANGES and entry.fid]
        if held:
            await store.lock(self._s, held, scope=self._scope, now=self._asking.now)
        answers: dict[int, Answer] = {}
        for order, group in groupby(sorted(linked, key=_order_of), key=_order_of):
            if order == rules.BUNDLE_ORDER["POST"]:
                answers |= await self._stored_together(list(group))
                continue
            for entry in group:
                with at(entry):
                    answers[entry.position] = await self._answer(entry)
        return [answers[entry.position] for entry in entries]

    async def _stored_together(self, entries: Sequence[Entry]) -> dict[int, Answer]:
        """Store all whole resources of a transaction at once."""
        answers: dict[int, Answer] = {}
        orders: list[Order] = []
        ordered: list[Entry] = []
        for done, entry in enumerate(entries):
            await breathe(done)
            found = self._found.get(entry.position)
            if found is not None:
                answers[entry.position] = written(found, self._asking)
                continue
            with at(entry):
                orders.append(self._order(entry))
            ordered.append(entry)
        stored = await put_many(self._s, orders, await keys_of(self._s), now=self._asking.now)
        for entry, told in zip(ordered, stored, strict=True):
            with at(entry):
                if isinstance(told, Refusal):
                    raise told
            if told.changed:
                self.news.append(told)
            answers[entry.position] = written(told, self._asking)
        return answers

    def _demand_unrelated(self, identified: Sequence[Entry]) -> None:
        """Refuse two entries of which one changes what the other changes or found, now that searches are done."""
        changed: set[tuple[str, str | None]] = set()
        for entry in sorted(identified, key=lambda entry: entry.method not in CHANGES):
            if entry.position in self._idle or (entry.method == "POST" and entry.position not in self._found):
                continue
            identity = (entry.rtype, entry.fid)
            if entry.method != "GET" and identity in changed:
                raise malformed(entry.position, "two entries speak of the same resource")
            if entry.method in CHANGES:
                changed.add(identity)

    async def _conditions(self, entries: Sequence[Entry]) -> None:
        """Take the turns of all that may create by search at once, so that two bundles never wait for each other."""
        keys = []
        for entry in entries:
            if entry.criteria is not None and entry.method in ("POST", "PUT"):
                with at(entry):
                    criteria = parse_search(entry.rtype, entry.criteria, base_url=self._asking.base)
                keys.append(await condition_key(self._s, criteria, self._asking.tenant))
        if keys and self._scope.writable:
            await store.hold_conditions(self._s, keys, scope=self._scope, now=self._asking.now)

    async def _identified(self, entry: Entry) -> Entry:
        """Give a create its id now, so that other entries can point to it, and find what is named by a search."""
        if entry.method in CHANGES and entry.criteria is not None:
            return await self._found_by(entry, entry.criteria)
        if entry.method != "POST":
            return entry
        if entry.if_none_exist is not None:
            found = await self._match(entry.rtype, entry.if_none_exist)
            if found is not None:
                self._found[entry.position] = found
                return replace(entry, fid=found.fid)
        return replace(entry, fid=str(new_id(self._asking.now)))

    async def _found_by(self, entry: Entry, criteria: Pairs) -> Entry:
        found = await self._match(entry.rtype, criteria)
        if entry.method == "PUT":
            assert entry.text is not None
            given = parse(entry.text).get("id")
            if found is None:
                demand(self._asking.caller, entry.rtype, "c")
                self._fresh.add(entry.position)
                return replace(entry, fid=given if isinstance(given, str) else str(new_id(self._asking.now)))
            if given not in (None, found.fid):
                raise malformed(entry.position, "the resource's id is not that of the match")
        if found is not None:
            return replace(entry, fid=found.fid)
        if entry.method == "PATCH":
            raise UnknownResource
        self._idle.add(entry.position)
        return entry

    async def _match(self, rtype: str, pairs: Pairs) -> Stored | None:
        criteria = parse_search(rtype, pairs, base_url=self._asking.base)
        head = await match_one(self._s, criteria, scope=self._scope, now=self._asking.now)
        if head is None:
            return None
        return await read(
            self._s,
            head.rtype,
            head.fid,
            scope=self._scope,
            now=self._asking.now,
            by=self._asking.caller.address,
        )

    async def _linked(self, entries: Sequence[Entry]) -> list[Entry]:
        """Replace what points to another entry, or names its target by a search, by the real reference."""
        targets = {
            entry.full_url: f"{entry.rtype}/{entry.fid}"
            for entry in entries
            if entry.full_url is not None and entry.method in ("POST", "PUT")
        }
        linked = []
        for entry in entries:
            with at(entry):
                for reference in references(entry) - targets.keys():
                    rtype, mark, query = reference.partition("?")
                    if mark and rtype in resource_types():
                        targets[reference] = await self._target(rtype, query)
            linked.append(with_references(entry, targets)[0])
        return linked

    async def _target(self, rtype: str, query: str) -> str:
        demand(self._asking.caller, rtype, "s")
        demand(self._asking.caller, rtype, "r")
        found = await self._match(rtype, pairs_of(query))
        if found is None:
            raise UnknownReference("a conditional reference fits no resource")
        return f"{found.rtype}/{found.fid}"

    async def _answer(self, entry: Entry) -> Answer:
        match entry.method:
            case "GET":
                return await self._get(entry)
            case "PATCH":
                return written(await self._patched(entry), self._asking)
            case "DELETE" if entry.position in self._idle:
                return {"response": {"status": "204 No Content"}}, None
            case "DELETE":
                assert entry.fid is not None
                gone = await delete(
                    self._s,
                    entry.rtype,
                    entry.fid,
                    scope=self._scope,
                    author=self._asking.caller.address,
                    now=self._asking.now,
                    if_match=entry.if_match,
                    news=self.news,
                )
                return {"response": {"status": "204 No Content", "etag": f'W/"{gone.version}"'}}, None
            case _:
                return written(await self._write(entry), self._asking)

    async def _patched(self, entry: Entry) -> Stored:
        assert entry.fid is not None
        assert entry.text is not None
        asking = self._asking
        by = Writer(self._scope, asking.caller.address, asking.tenant, asking.now, self.news)
        change = _patch_of(entry.position, entry.text)
        return await patch(self._s, entry.rtype, entry.fid, change, by, if_match=entry.if_match)

    async def _write(self, entry: Entry) -> Stored:
        if entry.position in self._found:
            return self._found[entry.position]
        return await put_order(self._s, self._order(entry), now=self._asking.now, news=self.news)

    def _order(self, entry: Entry) -> Order:
        return order_of(entry, self._asking, fresh=entry.position in self._fresh)

    async def _get(self, entry: Entry) -> Answer:
        asking = self._asking
        by = asking.caller.address
        if entry.fid is not None:
            if entry.query:
                raise malformed(entry.position, "a read takes no parameters")
            stored = await read(self._s, entry.rtype, entry.fid, scope=self._scope, now=asking.now, by=by)
            response = {
                "status": "200 OK",
                "etag": f'W/"{stored.version}"',
                "lastModified": instant(stored.updated),
            }
            if has_already(entry.if_none_match, entry.if_modified_since, stored):
                return {"response": {**response, "status": "304 Not Modified"}}, None
            return {"response": response}, stored.text
        asked = parse_search(entry.rtype, entry.query, base_url=asking.base)
        found = await find(self._s, asked, Searching(asking.caller, asking.now))
        body = search_bundle(found, asked, base=asking.base, links=())
        return {"response": {"status": "200 OK"}}, body
