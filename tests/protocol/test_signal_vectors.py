"""The peer's half keeps to the vectors, in Python and in JavaScript."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from clinic_net.protocol.signalling import (
    Answered,
    Delivered,
    PeerEvent,
    PeerHalf,
    SignalError,
    backoff,
    decode,
)

VECTORS = Path(__file__).parent / "vectors" / "signal.v1"
ROOT = Path(__file__).parent.parent.parent


def load(name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))
    return loaded


def request_id(n: int) -> UUID:
    return UUID(f"00000000-0000-4000-8000-{n:012d}")


def told(event: PeerEvent) -> dict[str, Any]:
    match event:
        case Answered(id_, t, ok, d):
            return {"e": "answered", "id": str(id_), "t": t, "ok": ok, "d": d}
        case Delivered(envelope):
            return {"e": "delivered", "message": json.loads(envelope.encode())}
        case _:
            return {
                "e": "welcomed",
                "sid": event.sid,
                "resumed": event.resumed,
                "snapshot": event.snapshot,
            }


@pytest.mark.parametrize("vector", load("frames"), ids=lambda v: v["name"])
def test_a_frame_is_a_message_or_not(vector: dict[str, Any]) -> None:
    if vector["message"]:
        decode(vector["frame"])
    else:
        with pytest.raises(SignalError):
            decode(vector["frame"])


@pytest.mark.parametrize("vector", load("backoff"))
def test_the_wait_before_a_reconnection(vector: dict[str, Any]) -> None:
    assert backoff(vector["attempt"], lambda: vector["rng"]) == pytest.approx(vector["seconds"])


@pytest.mark.parametrize("vector", load("peer"), ids=lambda v: v["name"])
def test_a_conversation_of_the_peers_half(vector: dict[str, Any]) -> None:
    made = iter(range(1, 100))
    peer = PeerHalf(lambda: request_id(next(made)))
    for step in vector["steps"]:
        play(peer, step)


def play(peer: PeerHalf, step: dict[str, Any]) -> None:
    now = step.get("now", 0)
    match step["do"]:
        case "opened":
            peer.opened(now=now)
        case "closed":
            peer.closed(step["code"], now=now)
        case "request":
            call = UUID(step["call"]) if "call" in step else None
            peer.request(step["t"], step.get("d"), call=call, ep=step.get("ep"))
        case "forget":
            peer.forget(request_id(step["request"]))
        case "tick":
            peer.tick(now=now)
        case "receive":
            text = step["text"] if "text" in step else json.dumps(step["frame"])
            assert [told(event) for event in peer.receive(text, now=now)] == step["events"]
        case "take":
            assert [json.loads(frame) for frame in peer.take(now=now)] == step["frames"]
    if "retry_after" in step:
        assert peer.retry_after(lambda: step["rng"]) == step["retry_after"]
    state = {
        "phase": peer.phase.value,
        "hang_up": peer.hang_up,
        "due": peer.due,
        "sid": peer.sid,
        "last_seq": peer.last_seq,
        "attempt": peer.attempt,
    }
    for name in state.keys() & step.keys():
        assert state[name] == step[name], name


def test_the_javascript_peer_keeps_to_the_same_vectors() -> None:
    node = Path(sys.executable).parent / "node"
    done = subprocess.run(
        [node, "--test", ROOT / "tests" / "browser" / "signal.test.js"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
