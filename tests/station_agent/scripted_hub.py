"""A hub that speaks the wire and does what a test tells it: stores, forgets to answer, refuses, revokes."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
from joserfc import jws, jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from clinic_net.protocol.sync import MEDIA_TYPE
from tests.station_agent.framed_hub import FramedHub

STATION = "03163-01"
ADDRESS = "http://hub.test"


class ScriptedHub(FramedHub):
    """``stored`` is what it holds; ``pushes`` the operations of each push, in the order they came. ``form`` is the
    newest form that it speaks."""

    def __init__(self, form: int = 2) -> None:
        super().__init__()
        self.form = form
        self.codes = {"7K3M9QXWZ2"}
        self.key: ECKey | None = None
        self.device = str(uuid4())
        self.feed: list[dict[str, Any]] = []
        self.reports: list[dict[str, Any]] = []
        self.statuses: list[tuple[int, dict[str, str]]] = []
        self.cut_answers = 0
        self.refuses: Callable[[dict[str, Any]], str | None] = lambda op: None
        self.unreadable: Callable[[dict[str, Any]], bool] = lambda op: False
        self.revoked = False
        self.down = False
        self.clock_offset_s = 0.0
        self.tokens_issued = 0
        self.views: list[dict[str, Any]] = []
        self.sockets: list[WebSocket] = []
        self.said: list[dict[str, Any]] = []
        self.seq = 0

    @property
    def stored(self) -> dict[tuple[str, str], dict[str, Any]]:
        return self.records.stored

    @property
    def versions(self) -> dict[tuple[str, str], int]:
        return self.records.versions

    @property
    def effects(self) -> list[tuple[str, str]]:
        return self.records.effects

    # -- what a test does

    def sends_down(self, resource: dict[str, Any], version: int = 1) -> None:
        self.feed_put((resource["resourceType"], resource["id"]), version, json.dumps(resource).encode())
        self.feed.append(
            {
                "seq": len(self.feed) + 1, "kind": "put", "type": resource["resourceType"], "id": resource["id"],
                "version": version, "body": json.dumps(resource),
            }
        )  # fmt: skip

    async def says(self, t: str, d: dict[str, Any], **members: Any) -> None:
        self.seq += 1
        for socket in self.sockets:
            await socket.send_text(json.dumps({"t": t, "seq": self.seq, "d": d, **members}))

    # -- the wire

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/fleet/v1/enrol", self._enrol, methods=["POST"]),
                Route("/oauth/token", self._token, methods=["POST"]),
                Route("/sync/v1/push", self._push, methods=["POST"]),
                Route("/sync/v1/pull", self._pull, methods=["POST"]),
                *self.routes_of_frames(),
                WebSocketRoute("/signal", self._signal),
            ]
        )

    async def _enrol(self, request: Request) -> Response:
        asked = await request.json()
        if asked["code"] not in self.codes:
            return JSONResponse(
                {"code": "enrolment-code-unknown", "message": "this code does not exist"}, 404
            )
        self.key = ECKey.import_key(asked["jwk"])
        assert "d" not in asked["jwk"]
        assert (
            jws.deserialize_compact(asked["proof"], self.key, algorithms=["ES256"]).payload
            == asked["code"].encode()
        )
        self.codes.discard(asked["code"])
        return JSONResponse(
            {
                "device": self.device, "station": STATION, "name": "Trạm Y tế Sủng Là", "facility": "02163",
                "facility_name": "Trung tâm Y tế Đồng Văn", "commune": "03163", "province": "08",
                "token_endpoint": "/oauth/token", "audience": "https://hub.example/oauth/token",
            },
            201,
        )  # fmt: skip

    async def _token(self, request: Request) -> Response:
        if self.down:
            raise httpx.ConnectError("down")
        form = await request.form()
        assert self.key is not None
        claims = jwt.decode(str(form["client_assertion"]), self.key, algorithms=["ES256"]).claims
        assert claims["sub"] == self.device
        assert claims["aud"] == "https://hub.example/oauth/token"
        now = datetime.now(UTC).timestamp() + self.clock_offset_s
        if not now < claims["exp"] <= now + 300:
            told = datetime.fromtimestamp(now, UTC).isoformat()
            return JSONResponse(
                {"error": "invalid_client", "code": "oauth-assertion-out-of-time", "server_time": told}, 401
            )
        if self.revoked:
            return JSONResponse({"error": "invalid_client", "code": "oauth-device-revoked"}, 401)
        self.tokens_issued += 1
        return JSONResponse(
            {"access_token": f"t{self.tokens_issued}", "expires_in": 300, "token_type": "Bearer"}
        )

    def _refuses(self, request: Request) -> Response | None:
        if self.down:
            raise httpx.ConnectError("down")
        if self.statuses:
            status, headers = self.statuses.pop(0)
            return Response(status_code=status, headers=headers)
        if self.revoked or not request.headers["Authorization"].startswith("Bearer t"):
            return Response(status_code=401)
        if self.form == 1 and request.headers["Content-Type"] != "application/json":
            return JSONResponse({"code": "malformed-push"}, 400)
        return None

    def _is_unreadable(self, op: dict[str, Any]) -> bool:
        return self.unreadable(op)

    async def _body(self, request: Request) -> dict[str, Any] | Response:
        refused = self._refuses(request)
        if refused is not None:
            return refused
        body = await request.body()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        read = json.loads(body)
        assert isinstance(read, dict)
        return read

    async def _push(self, request: Request) -> Response:
        if self.form > 1 and request.headers["Content-Type"] == MEDIA_TYPE:
            refused = self._refuses(request)
            if refused is None and self.cut_answers:
                self.cut_answers -= 1
                self.lost_answers = 1
            return await self._push_frames(request) if refused is None else refused
        push = await self._body(request)
        if isinstance(push, Response):
            return push
        assert push["station"] == STATION
        if any(self.unreadable(op) for op in push["ops"]):
            return JSONResponse({"code": "push-malformed"}, 400)
        self.pushes.append((push["lane"], push["ops"]))
        results = [self._apply(push["db_epoch"], op) for op in push["ops"]]
        if self.cut_answers:
            self.cut_answers -= 1
            raise httpx.ReadError("cut")
        return JSONResponse({"batch": push["batch"], "results": results})

    def _apply(self, epoch: str, op: dict[str, Any]) -> dict[str, Any]:
        key, record = (epoch, op["op"]), (op["type"], op["id"])
        if key in self.records.answers:
            before = self.records.answers[key]
            return {**before, "outcome": "duplicate"} if before["outcome"] == "applied" else before
        if (code := self.refuses(op)) is not None:
            issue = {"code": code, "expression": f"{op['type']}.x", "diagnostics": "no"}
            answer: dict[str, Any] = {"op": op["op"], "outcome": "quarantined", "issues": [issue]}
        elif record in self.stored and self.stored[record] == json.loads(op["body"]):
            answer = {"op": op["op"], "outcome": "duplicate", "version": self.versions[record]}
        elif self.versions.get(record) != op["base"]:
            answer = {"op": op["op"], "outcome": "conflict"}
        else:
            self.versions[record] = (op["base"] or 0) + 1
            self.stored[record] = json.loads(op["body"])
            self.effects.append(record)
            answer = {"op": op["op"], "outcome": "applied", "version": self.versions[record]}
        self.records.answers[key] = answer
        return answer

    async def _pull(self, request: Request) -> Response:
        if self.form > 1 and request.headers["Content-Type"] == MEDIA_TYPE:
            refused = self._refuses(request)
            if refused is not None:
                return refused
            self.reports.append(json.loads(await request.body())["report"])
            return await self._pull_frames(request)
        pull = await self._body(request)
        if isinstance(pull, Response):
            return pull
        self.reports.append(pull["report"])
        entries = [entry for entry in self.feed if entry["seq"] > pull["cursor"]][:3]
        cursor = entries[-1]["seq"] if entries else pull["cursor"]
        return JSONResponse({"entries": entries, "cursor": cursor, "more": cursor < len(self.feed)})

    async def _signal(self, socket: WebSocket) -> None:
        if self.revoked or not socket.headers.get("authorization", "").startswith("Bearer t"):
            await socket.close(4002)
            return
        await socket.accept(subprotocol="clinicnet.signal.v1")
        self.seq = 0
        try:
            while True:
                said = json.loads(await socket.receive_text())
                self.said.append(said)
                await self._hear(socket, said)
        except WebSocketDisconnect:
            if socket in self.sockets:
                self.sockets.remove(socket)

    async def _hear(self, socket: WebSocket, said: dict[str, Any]) -> None:
        if said["t"] == "hello":
            snapshot = {"calls": self.views, "invites": []}
            welcome = {"sid": str(uuid4()), "resumed": False, "snapshot": snapshot}
            await socket.send_text(json.dumps({"t": "welcome", "d": welcome}))
            self.sockets.append(socket)
        elif said["t"] != "ack":
            d: dict[str, Any] = {}
            if said["t"] == "call.join":
                d = {"role": "answerer", "ep": 1, "ice": []}
            elif said["t"] == "media.need_offer":
                d = {"ep": said["ep"] + 1}
            await socket.send_text(json.dumps({"t": "ok", "re": said["id"], "d": d}))
