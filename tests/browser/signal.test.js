// The page's half of clinicnet.signal.v1 keeps to the vectors that the Python half keeps to: node --test.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { PeerHalf, backoff, decode } from "../../clinic_net/protocol/browser/peer.js";

const load = (name) =>
  JSON.parse(readFileSync(new URL(`../protocol/vectors/signal.v1/${name}.json`, import.meta.url), "utf-8"));
const requestId = (n) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

/** Members that say nothing are not compared: `d: {}` is the same as none. */
const bare = (message) => {
  const { d, ...rest } = message;
  return d !== undefined && Object.keys(d).length > 0 ? { ...rest, d } : rest;
};
const told = (event) => (event.e === "delivered" ? { e: event.e, message: bare(event.message) } : event);

for (const { name, frame, message } of load("frames")) {
  test(`frame: ${name}`, () => assert.equal(decode(frame) !== null, message));
}

for (const { attempt, rng, seconds } of load("backoff")) {
  test(`back-off: attempt ${attempt}, ${rng}`, () => {
    assert.ok(Math.abs(backoff(attempt, () => rng) - seconds) < 1e-9);
  });
}

for (const { name, steps } of load("peer")) {
  test(`peer: ${name}`, () => {
    let made = 0;
    const peer = new PeerHalf(() => requestId(++made));
    for (const step of steps) play(peer, step);
  });
}

function play(peer, step) {
  const now = step.now ?? 0;
  switch (step.do) {
    case "opened":
      peer.opened(now);
      break;
    case "closed":
      peer.closed(step.code, now);
      break;
    case "request":
      peer.request(step.t, { d: step.d, call: step.call, ep: step.ep });
      break;
    case "forget":
      peer.forget(requestId(step.request));
      break;
    case "tick":
      peer.tick(now);
      break;
    case "receive":
      assert.deepEqual(peer.receive(step.text ?? JSON.stringify(step.frame), now).map(told), step.events);
      break;
    case "take":
      assert.deepEqual(peer.take(now).map((frame) => bare(JSON.parse(frame))), step.frames);
      break;
    default:
      assert.fail(`unknown step ${step.do}`);
  }
  if ("retry_after" in step) assert.equal(peer.retryAfter(() => step.rng), step.retry_after);
  const state = {
    phase: peer.phase, hang_up: peer.hangUp, due: peer.due, sid: peer.sid, last_seq: peer.lastSeq, attempt: peer.attempt,
  };
  for (const [key, value] of Object.entries(state)) if (key in step) assert.equal(value, step[key], key);
}
