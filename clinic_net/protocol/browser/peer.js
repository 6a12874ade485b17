// @ts-check
/**
 * A page's half of clinicnet.signal.v1, pure: no socket, no clock; the same machine as peer_half.py, held to it
 * by the vectors in tests/protocol/vectors/signal.v1. signal.js is the shell around it.
 * The wire in prose: clinic_net/protocol/README.md.
 */

/** @typedef {import("./wire").Message} Message */
/** @typedef {import("./wire").PeerEvent} PeerEvent */
/** @typedef {{message: Message, sentAt: number | null, notBefore: number, retries: number}} Pending */

export const CLOSE = Object.freeze({
  BYE: 4000, UNAUTHENTICATED: 4001, REVOKED: 4002, SUPERSEDED: 4003, SLOW_CONSUMER: 4008,
  PROTOCOL_ERROR: 4009, VERSION: 4010, TRY_AGAIN: 4013,
});

const MAX_FRAME_BYTES = 64 * 1024;
const ROOM_FOR_ACK = 40;
const SILENT_AFTER_S = 40;
const ANSWER_WITHIN_S = 15;
const ACK_AFTER_MESSAGES = 8;
const ACK_AFTER_S = 5;
const STEADY_AFTER_S = 10;
const TRY_AGAIN_LEAST_S = 2;
const MAX_RETRIES = 8;
const BACKOFF_MOST_S = 15;
/** Requests that mean something only in the session they were made in. */
const SESSION_BOUND = new Set([
  "call.join", "call.media", "ice.get", "media.offer", "media.answer", "media.cand", "media.need_offer",
]);
const TYPE = /^[a-z_]+(\.[a-z_]+)*$/;

/**
 * Seconds to wait before attempt number `attempt` to reconnect: full jitter up to 0.5, 1, 2 … 15 s.
 * @param {number} attempt  0 is the first
 * @param {() => number} rng  gives a number in [0, 1)
 */
export function backoff(attempt, rng) {
  return Math.max(0.05, Math.min(BACKOFF_MOST_S, 0.5 * 2 ** Math.min(attempt, 16)) * rng());
}

/** @param {unknown} value */
const natural = (value) => Number.isInteger(value) && /** @type {number} */ (value) >= 0;

/**
 * Read one frame; null when it is no message.
 * @param {string} text
 * @returns {Message | null}
 */
export function decode(text) {
  if (new TextEncoder().encode(text).length > MAX_FRAME_BYTES) return null;
  let m;
  try {
    m = JSON.parse(text);
  } catch {
    return null;
  }
  if (m === null || typeof m !== "object" || Array.isArray(m)) return null;
  if (typeof m.t !== "string" || m.t.length > 40 || !TYPE.test(m.t)) return null;
  if (m.seq != null && !(natural(m.seq) && m.seq >= 1)) return null;
  for (const member of ["ack", "ep"]) if (m[member] != null && !natural(m[member])) return null;
  for (const member of ["id", "re", "call"]) if (m[member] != null && typeof m[member] !== "string") return null;
  if (m.d === undefined) m.d = {};
  if (m.d === null || typeof m.d !== "object" || Array.isArray(m.d)) return null;
  return m;
}

/** A peer's session through all its sockets. Times are seconds on any clock that does not go back. */
export class PeerHalf {
  /** @type {"offline" | "greeting" | "open" | "stopped"} */
  phase = "offline";
  /** @type {string | null} */
  sid = null;
  lastSeq = 0;
  attempt = 0;
  /** @type {number | null} */
  closedWith = null;
  /** Why the shell must close the socket now. @type {string | null} */
  hangUp = null;

  /** @type {Map<string, Pending>} */
  #pending = new Map();
  /** @type {Message[]} */
  #out = [];
  #acked = 0;
  /** @type {number | null} */
  #ackWantedAt = null;
  #heardAt = 0;
  #openSince = 0;
  #byeDelay = 0;
  #hadSession = false;
  #newId;

  /** @param {() => string} newId makes the ids of requests */
  constructor(newId) {
    this.#newId = newId;
  }

  /** A socket is open; `hello` waits in take(). @param {number} now */
  opened(now) {
    this.phase = "greeting";
    this.hangUp = null;
    this.closedWith = null;
    this.#byeDelay = 0;
    this.#heardAt = now;
    this.#ackWantedAt = null;
    /** @type {Record<string, unknown>} */
    const d = { proto: [1], last_seq: this.lastSeq };
    if (this.sid !== null) d.sid = this.sid;
    this.#out = [{ t: "hello", d }];
  }

  /** The socket is gone, or could not be opened. @param {number | null} code @param {number} now */
  closed(code, now) {
    if (this.phase === "open" && now - this.#openSince >= STEADY_AFTER_S) this.attempt = 0;
    this.phase = "offline";
    this.closedWith = code;
    this.#out = [];
    for (const pending of this.#pending.values()) pending.sentAt = null;
    if (code === CLOSE.REVOKED || code === CLOSE.SUPERSEDED || code === CLOSE.VERSION) this.phase = "stopped";
    if (code === CLOSE.PROTOCOL_ERROR || code === CLOSE.SUPERSEDED) {
      this.sid = null;
      this.lastSeq = 0;
    }
  }

  /**
   * Seconds to wait before the next socket, or null when stopped. Counts the attempt.
   * @param {() => number} rng
   */
  retryAfter(rng) {
    if (this.phase === "stopped") return null;
    let wait = Math.max(backoff(this.attempt, rng), this.#byeDelay);
    if (this.closedWith === CLOSE.TRY_AGAIN) wait = Math.max(wait, TRY_AGAIN_LEAST_S);
    this.attempt += 1;
    return wait;
  }

  /**
   * Ask for something, now or when there is a socket; repeated with the same id until answered.
   * Throws a RangeError when it does not fit into a frame.
   * @param {string} t
   * @param {{d?: Record<string, unknown>, call?: string, ep?: number}} [content]
   */
  request(t, { d = {}, call, ep } = {}) {
    const id = this.#newId();
    /** @type {Message} */
    const message = { t, id, d };
    if (call !== undefined) message.call = call;
    if (ep !== undefined) message.ep = ep;
    if (new TextEncoder().encode(JSON.stringify(message)).length > MAX_FRAME_BYTES - ROOM_FOR_ACK) {
      throw new RangeError("too much for one frame");
    }
    this.#pending.set(id, { message, sentAt: null, notBefore: 0, retries: 0 });
    return id;
  }

  /** Do not repeat a request any more; its answer is dropped. @param {string} id */
  forget(id) {
    this.#pending.delete(id);
  }

  /**
   * Take one frame of the hub.
   * @param {string} text @param {number} now
   * @returns {PeerEvent[]}
   */
  receive(text, now) {
    if ((this.phase !== "greeting" && this.phase !== "open") || this.hangUp !== null) return [];
    this.#heardAt = now;
    const message = decode(text);
    if (message === null) {
      this.hangUp = "not a message";
      return [];
    }
    if (this.phase === "greeting" && message.t !== "welcome" && message.t !== "bye") {
      this.hangUp = "no welcome";
      return [];
    }
    switch (message.t) {
      case "welcome":
        return this.#welcomed(message, now);
      case "ok":
      case "err":
        return this.#answered(message, now);
      case "beat":
        this.#ackWantedAt = now - ACK_AFTER_S;
        return [];
      case "bye": {
        const delay = message.d.delay_ms;
        this.#byeDelay = typeof delay === "number" ? delay / 1000 : 0;
        return [{ e: "delivered", message }];
      }
    }
    if (message.seq != null) return this.#inOrder(message, message.seq, now);
    return [{ e: "delivered", message }];
  }

  /** @param {Message} message @param {number} now @returns {PeerEvent[]} */
  #welcomed(message, now) {
    const { sid, resumed, snapshot = null } = message.d;
    if (typeof sid !== "string" || sid === "" || typeof resumed !== "boolean") {
      this.hangUp = "not a welcome";
      return [];
    }
    this.phase = "open";
    this.#openSince = now;
    /** @type {PeerEvent[]} */
    const events = [];
    if (!resumed) {
      this.lastSeq = 0;
      if (this.#hadSession) events.push(...this.#dropSessionBound());
    }
    this.#acked = this.lastSeq;
    this.sid = sid;
    this.#hadSession = true;
    events.push({ e: "welcomed", sid, resumed, snapshot: /** @type {any} */ (snapshot) });
    return events;
  }

  /** @returns {PeerEvent[]} */
  #dropSessionBound() {
    /** @type {PeerEvent[]} */
    const events = [];
    for (const [id, { message }] of [...this.#pending]) {
      if (!SESSION_BOUND.has(message.t)) continue;
      this.#pending.delete(id);
      events.push({ e: "answered", id, t: message.t, ok: false, d: { code: "session_lost" } });
    }
    return events;
  }

  /** @param {Message} message @param {number} now @returns {PeerEvent[]} */
  #answered(message, now) {
    const id = message.re;
    const pending = id == null ? undefined : this.#pending.get(id);
    if (id == null || pending === undefined) return [];
    const retryMs = message.t === "err" ? message.d.retry_ms : null;
    if (typeof retryMs === "number" && pending.retries < MAX_RETRIES) {
      pending.sentAt = null;
      pending.notBefore = now + Math.min((retryMs / 1000) * 2 ** pending.retries, BACKOFF_MOST_S);
      pending.retries += 1;
      return [];
    }
    this.#pending.delete(id);
    return [{ e: "answered", id, t: pending.message.t, ok: message.t === "ok", d: message.d }];
  }

  /** @param {Message} message @param {number} seq @param {number} now @returns {PeerEvent[]} */
  #inOrder(message, seq, now) {
    if (seq > this.lastSeq + 1) {
      this.hangUp = "gap";
      return [];
    }
    this.#ackWantedAt ??= now;
    if (seq <= this.lastSeq) return [];
    this.lastSeq = seq;
    return [{ e: "delivered", message }];
  }

  /** The frames to write now, in order. @param {number} now @returns {string[]} */
  take(now) {
    const out = this.#out;
    this.#out = [];
    if (this.phase === "open" && this.hangUp === null) {
      for (const pending of this.#pending.values()) {
        if (pending.sentAt !== null || pending.notBefore > now) continue;
        pending.sentAt = now;
        out.push({ ...pending.message });
      }
      if (out.length === 0 && this.#ackIsDue(now)) out.push({ t: "ack", d: {} });
      const last = out.at(-1);
      if (last !== undefined) {
        last.ack = this.lastSeq;
        this.#acked = this.lastSeq;
        this.#ackWantedAt = null;
      }
    }
    return out.map((message) => JSON.stringify(message));
  }

  /** @param {number} now */
  #ackIsDue(now) {
    if (this.lastSeq - this.#acked >= ACK_AFTER_MESSAGES) return true;
    return this.#ackWantedAt !== null && now - this.#ackWantedAt >= ACK_AFTER_S;
  }

  /** When tick() and take() must be called next, if nothing else happens before. @returns {number | null} */
  get due() {
    if (this.phase !== "greeting" && this.phase !== "open") return null;
    let due = this.#heardAt + SILENT_AFTER_S;
    if (this.phase === "open") {
      for (const { sentAt, notBefore } of this.#pending.values()) {
        due = Math.min(due, sentAt === null ? notBefore : Math.max(sentAt, this.#heardAt) + ANSWER_WITHIN_S);
      }
      if (this.#ackWantedAt !== null) due = Math.min(due, this.#ackWantedAt + ACK_AFTER_S);
    }
    return due;
  }

  /** Let time pass: a hub that is silent, or leaves a request unanswered, is taken to be gone. @param {number} now */
  tick(now) {
    if ((this.phase !== "greeting" && this.phase !== "open") || this.hangUp !== null) return;
    if (now - this.#heardAt >= SILENT_AFTER_S) {
      this.hangUp = "silent";
      return;
    }
    for (const { sentAt } of this.#pending.values()) {
      if (sentAt !== null && now - Math.max(sentAt, this.#heardAt) >= ANSWER_WITHIN_S) this.hangUp = "no answer";
    }
  }
}
