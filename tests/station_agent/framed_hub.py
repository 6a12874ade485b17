"""The framed form of the wire as a hub speaks it, in memory: chains, scopes with sums, repairs, prepared copies."""

import base64
import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

import httpx
import zstandard
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jws
from joserfc.jwk import ECKey
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from clinic_net.protocol.sync import (
    MEDIA_TYPE,
    SIGNATURE_HEADER,
    BatchAnswer,
    Behind,
    Digest,
    DigestAsk,
    EntryHead,
    Fork,
    Lane,
    Manifest,
    OpHead,
    OpResult,
    PageHead,
    PullAsk,
    PushHead,
    PushReply,
    Segment,
    SnapshotOffer,
    Sum,
    codec,
    frames,
    sums,
)
from clinic_net.protocol.sync.signing import signing_input
from clinic_net.protocol.sync.standing import STANDING, Receipts, Standing, StandingAsk, proof_input

Key = tuple[str, str]


@dataclass
class Row:
    """The one live row of a resource in a scope."""

    seq: int
    kind: str
    version: int
    text: bytes


@dataclass
class Records:
    """What is in the hub's database: a backup is a copy of this."""

    stored: dict[Key, dict[str, Any]] = field(default_factory=dict)
    versions: dict[Key, int] = field(default_factory=dict)
    made_by: dict[tuple[str, Key], int] = field(default_factory=dict)
    answers: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    effects: list[Key] = field(default_factory=list)
    chains: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    ops: dict[tuple[str, int, int], list[int]] = field(default_factory=dict)
    forks: dict[str, str] = field(default_factory=dict)
    scopes: dict[str, dict[Key, Row]] = field(default_factory=dict)
    heads: dict[str, int] = field(default_factory=dict)


class FramedHub:
    """Form 2. ``batches`` holds each push as it came: coding, bytes, headers."""

    key: ECKey | None
    station = "03163-01"
    revoked: bool

    def __init__(self) -> None:
        self.records = Records()
        self.batches: list[tuple[str, bytes, dict[str, str]]] = []
        self.pushes: list[tuple[int, list[dict[str, Any]]]] = []
        self.asked: list[PullAsk] = []
        self.repairs: list[DigestAsk] = []
        self.receipts: list[dict[str, Any]] = []
        self.defers: Callable[[dict[str, Any]], bool] = lambda op: False
        self.pending = False
        self.lost_answers = 0
        self.page_size = 3
        self.no_dictionary = False
        self.config: dict[str, object] | None = None
        self.departed: set[Key] = set()
        self.signing_key = self.published_key = ECKey.generate_key("P-256", private=True)
        self.snapshot: tuple[Manifest, list[bytes]] | None = None
        self.segments_asked: list[tuple[int, str]] = []

    def routes_of_frames(self) -> list[Route]:
        return [
            Route("/sync/v1/digest", self._digest, methods=["POST"]),
            Route("/snapshots/{name}", self._manifest),
            Route("/snapshots/{name}/{n:int}", self._segment),
            Route("/oauth/jwks", self._jwks),
            Route("/sync/v1/standing", self._standing, methods=["POST"]),
            Route("/sync/v1/receipts", self._receipts, methods=["POST"]),
        ]

    # -- what a test does

    def feed_put(self, key: Key, version: int, text: bytes, scope: str = "") -> None:
        self._move(scope or f"stn:{self.station}", key, "put", version, text)

    def feed_out(self, key: Key, scope: str = "", kind: str = "out") -> None:
        self._move(scope or f"stn:{self.station}", key, kind, 0, b"")

    def _move(self, scope: str, key: Key, kind: str, version: int, text: bytes) -> None:
        seq = self.records.heads.get(scope, 0) + 1
        self.records.heads[scope] = seq
        self.records.scopes.setdefault(scope, {})[key] = Row(seq, kind, version, text)

    def backup(self) -> Records:
        return copy.deepcopy(self.records)

    def restore(self, backup: Records) -> None:
        self.records = copy.deepcopy(backup)

    def holds(self, scope: str = "") -> dict[Key, int]:
        rows = self.records.scopes.get(scope or f"stn:{self.station}", {})
        return {key: row.version for key, row in rows.items() if row.kind == "put"}

    def prepare_snapshot(self, scope: str, *, per_segment: int) -> None:
        """Make a copy of a scope as it is now; new stations are offered it."""
        rows = [(k, r) for k, r in self.records.scopes[scope].items() if r.kind == "put"]
        parts = [rows[i : i + per_segment] for i in range(0, len(rows), per_segment)]
        contents = []
        for part in parts:
            stream = b"".join(
                EntryHead(
                    scope=scope, seq=row.seq, type=key[0], id=key[1], version=row.version, size=len(row.text)
                ).model_dump_json(exclude_defaults=True).encode() + b"\n" + row.text + b"\n"
                for key, row in part
            )  # fmt: skip
            contents.append(zstandard.ZstdCompressor(level=3).compress(stream))
        manifest = Manifest(
            scope=scope, as_of=self.records.heads[scope], total=self._sum(scope),
            segments=tuple(
                Segment(n=n, sha256=sha256(c).hexdigest(), bytes=len(c), records=len(parts[n]))
                for n, c in enumerate(contents)
            ),
        )  # fmt: skip
        self.snapshot = (manifest, contents)

    # -- push

    def _refuses(self, request: Request) -> Response | None:
        raise NotImplementedError

    def _apply(self, epoch: str, op: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def _is_unreadable(self, op: dict[str, Any]) -> bool:
        raise NotImplementedError

    async def _push_frames(self, request: Request) -> Response:
        raw, coding = await request.body(), request.headers.get("Content-Encoding", "identity")
        self.batches.append((coding, raw, dict(request.headers)))
        if coding == codec.DCZ and self.no_dictionary:
            return JSONResponse({"code": "unknown-coding"}, 415)
        stream = codec.decompress(raw, coding, limit=4 * 1024 * 1024)
        self._demand_signature(stream, request.headers[SIGNATURE_HEADER])
        head, start = frames.first_of(stream, PushHead)
        assert head.station == self.station
        ops = [_op(op, text) for op, text in frames.frames_of(stream, start, OpHead, head.count)]
        if any(self._is_unreadable(op) for op in ops):
            return JSONResponse({"code": "malformed-push"}, 400)
        epoch, chain = str(head.db_epoch), self.records.chains.setdefault((str(head.db_epoch), head.lane), [])
        digest = sha256(stream).hexdigest()
        if epoch in self.records.forks or (head.seq <= len(chain) and chain[head.seq - 1] != digest):
            other = self.records.forks.setdefault(epoch, str(uuid4()))
            return JSONResponse(json.loads(Fork(epoch=other).model_dump_json()), 409)
        if head.seq > len(chain) + 1:
            return JSONResponse(
                json.loads(Behind(lane=head.lane, expected=len(chain) + 1).model_dump_json()), 409
            )
        if head.seq == len(chain) + 1:
            chain.append(digest)
            self.pushes.append((int(head.lane), ops))
            self.records.ops[(epoch, head.lane, head.seq)] = [op["op"] for op in ops]
            for op in ops:
                self._answer(epoch, op)
        if self.lost_answers:
            self.lost_answers -= 1
            raise httpx.ReadError("cut")
        answer = (
            BatchAnswer(lane=head.lane, seq=head.seq, pending=True)
            if self.pending
            else self._told(epoch, head.lane, head.seq)
        )
        return JSONResponse(json.loads(PushReply(answer=answer).model_dump_json()))

    def _demand_signature(self, stream: bytes, said: str) -> None:
        raw = base64.urlsafe_b64decode(said + "==")
        der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        assert self.key is not None
        self.key.public_key.verify(der, signing_input(stream), ECDSA(SHA256()))

    def _answer(self, epoch: str, op: dict[str, Any]) -> None:
        if self.defers(op):
            self.records.answers[(epoch, op["op"])] = {"op": op["op"], "outcome": "deferred", "waits": op}
            return
        record = (op["type"], op["id"])
        if op["base"] is None and (epoch, record) in self.records.made_by:
            op = {**op, "base": self.records.made_by[(epoch, record)]}
        before = self.records.answers.get((epoch, op["op"]))
        if before is not None and before["outcome"] != "deferred":
            return
        self.records.answers.pop((epoch, op["op"]), None)
        answer = self._apply(epoch, op)
        if answer["outcome"] == "applied":
            self.records.made_by[(epoch, record)] = answer["version"]
            if record not in self.departed:
                self.feed_put(record, answer["version"], op["body"].encode())

    def _told(self, epoch: str, lane: int, seq: int) -> BatchAnswer:
        for op in self.records.ops[(epoch, lane, seq)]:
            held = self.records.answers[(epoch, op)]
            if held["outcome"] == "deferred" and not self.defers(held["waits"]):
                self._answer(epoch, held["waits"])
        results = [
            OpResult.model_validate(self.records.answers[(epoch, op)])
            for op in self.records.ops[(epoch, lane, seq)]
        ]
        runs = tuple((r.op, 1, r.version or 0) for r in results if r.outcome == "applied")
        others = tuple(r for r in results if r.outcome != "applied")
        waits = any(r.outcome == "deferred" for r in others)
        return BatchAnswer(lane=Lane(lane), seq=seq, pending=waits, runs=runs, others=others)

    # -- pull

    async def _pull_frames(self, request: Request) -> Response:
        ask = PullAsk.model_validate_json(await request.body())
        assert ask.station == self.station
        self.asked.append(ask)
        for receipt in ask.receipts:
            assert self.key is not None
            self.receipts.append(
                json.loads(jws.deserialize_compact(receipt, self.key, algorithms=["ES256"]).payload)
            )
        cursors, entries, told, more = (
            dict[str, int](),
            list[tuple[EntryHead, bytes]](),
            dict[str, Sum](),
            False,
        )
        for scope in sorted(ask.cursors):
            at = min(ask.cursors[scope], self.records.heads.get(scope, 0))
            rows = sorted(self.records.scopes.get(scope, {}).items(), key=lambda item: item[1].seq)
            after = [(key, row) for key, row in rows if row.seq > at]
            page = after[: max(0, self.page_size - len(entries))]
            entries += [(_entry(scope, key, row), row.text) for key, row in page]
            cursors[scope] = page[-1][1].seq if page else at
            if len(page) < len(after):
                more = True
            elif not scope.startswith("dev:"):
                told[scope] = self._sum(scope)
        offer = None
        if self.snapshot is not None and ask.cursors.get(self.snapshot[0].scope) == 0:
            manifest = self.snapshot[0]
            offer = SnapshotOffer(scope=manifest.scope, as_of=manifest.as_of, url="/snapshots/one")
            entries = [pair for pair in entries if pair[0].scope != manifest.scope]
            cursors[manifest.scope] = 0
            told.pop(manifest.scope, None)
        epoch = str(ask.db_epoch)
        answers = tuple(self._told(epoch, lane, seq) for lane, seq in ask.asks)
        head = PageHead(
            cursors=cursors, count=len(entries), more=more and offer is None, sums=told, answers=answers,
            snapshot=offer, config=self.config, server_time=datetime.now(UTC),
        )  # fmt: skip
        body, coding = codec.compress(frames.write(head, entries), None)
        return Response(body, media_type=MEDIA_TYPE, headers={"Content-Encoding": coding})

    def _sum(self, scope: str) -> Sum:
        held = self.holds(scope)
        total = sums.total(sums.of_version(*key, version) for key, version in held.items())
        return Sum(count=len(held), sum=sums.spelled(total))

    async def _digest(self, request: Request) -> Response:
        ask = DigestAsk.model_validate_json(await request.body())
        self.repairs.append(ask)
        held = self.holds(ask.scope)
        if not ask.bins:
            parts: list[list[tuple[Key, int]]] = [[] for _ in range(sums.BINS)]
            for key, version in held.items():
                parts[sums.bin_of(*key)].append((key, version))
            bins = tuple(
                Sum(count=len(p), sum=sums.spelled(sums.total(sums.of_version(*k, v) for k, v in p)))
                for p in parts
            )
            digest = Digest(scope=ask.scope, seq=self.records.heads.get(ask.scope, 0), bins=bins)
            return JSONResponse(json.loads(digest.model_dump_json()))
        wanted = sorted(key for key in held if sums.bin_of(*key) in ask.bins)
        wanted = [key for key in wanted if f"{key[0]}/{key[1]}" > ask.after]
        page = wanted[: self.page_size]
        rows = self.records.scopes.get(ask.scope, {})
        entries = [(_entry(ask.scope, key, rows[key]), rows[key].text) for key in page]
        head = PageHead(cursors={}, count=len(entries), more=len(page) < len(wanted))
        return Response(frames.write(head, entries), media_type=MEDIA_TYPE)

    # -- prepared copies

    async def _manifest(self, request: Request) -> Response:
        if self.snapshot is None:
            return Response(status_code=404)
        text = self.snapshot[0].model_dump_json().encode()
        return Response(jws.serialize_compact({"alg": "ES256"}, text, self.signing_key))

    async def _segment(self, request: Request) -> Response:
        if self.snapshot is None:
            return Response(status_code=404)
        n, asked = int(request.path_params["n"]), request.headers["Range"]
        self.segments_asked.append((n, asked))
        first, last = (int(part) for part in asked.removeprefix("bytes=").split("-"))
        return Response(self.snapshot[1][n][first : last + 1], 206)

    async def _standing(self, request: Request) -> Response:
        ask = StandingAsk.model_validate_json(await request.body())
        assert self.key is not None
        assert jws.deserialize_compact(ask.proof, self.key, algorithms=["ES256"]).payload == proof_input(
            ask.device, ask.nonce
        )
        told = Standing(
            device=ask.device, station=self.station, status="revoked" if self.revoked else "active", nonce=ask.nonce,
            at=datetime.now(UTC), seq=77 if self.revoked else None,
        )  # fmt: skip
        signed = {"alg": "ES256", "typ": STANDING}
        return Response(jws.serialize_compact(signed, told.model_dump_json().encode(), self.signing_key))

    async def _receipts(self, request: Request) -> Response:
        given = Receipts.model_validate_json(await request.body())
        assert self.key is not None
        for receipt in given.receipts:
            said = jws.deserialize_compact(receipt, self.key, algorithms=["ES256"])
            self.receipts.append(json.loads(said.payload))
        return JSONResponse({"taken": len(given.receipts)})

    async def _jwks(self, request: Request) -> Response:
        return JSONResponse({"keys": [self.published_key.as_dict(private=False)]})


def _op(op: OpHead, text: bytes) -> dict[str, Any]:
    return {
        "op": op.op, "tx": op.tx, "type": op.type, "id": op.id, "base": op.base, "body": text.decode(),
    }  # fmt: skip


def _entry(scope: str, key: Key, row: Row) -> EntryHead:
    return EntryHead.model_validate(
        {
            "scope": scope, "seq": row.seq, "kind": row.kind, "type": key[0], "id": key[1], "version": row.version,
            "size": len(row.text),
        }
    )  # fmt: skip
