// @ts-check
/**
 * A page's half of clinicnet.signal.v1. The wire in prose: clinic_net/protocol/README.md.
 *
 * `PeerHalf` is the conversation: no socket, no clock; the same machine as peer_half.py, held to it by the
 * vectors in tests/protocol/vectors/signal.v1. `SignalPeer` is the shell around it: a WebSocket, timers,
 * the browser's hint that the network came back.
 */

/** @typedef {import("./wire").Message} Message */
/** @typedef {import("./wire").PeerEvent} PeerEvent */
/** @typedef {{message: Message, sentAt: number | null, notBefore: number, retries: number}} Pending */

export const SUBPROTOCOL = "clinicnet.signal.v1";
export const CLOSE = Object.freeze({
  BYE: 4000, UNAUTHENTICATED: 4001, REVOKED: 4002, SUPERSEDED: 4003, SLOW_CONSUMER: 4008,
  PROTOCOL_ERROR: 4009, VERSION: 4010, TRY_AGAIN: 4013,
});

const MAX_FRAME_BYTES = 64 * 1024;
const SILENT_AFTER_S = 40;
const ANSWER_WITHIN_S = 15;
const ACK_AFTER_MESSAGES = 8;
const ACK_AFTER_S = 5;
const STEADY_AFTER_S = 10;
const TRY_AGAIN_LEAST_S = 2;
const MAX_RETRIES = 8;
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
  return Math.max(0.05, Math.min(15, 0.5 * 2 ** Math.min(attempt, 16)) * rng());
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
   * @param {string} t
   * @param {{d?: Record<string, unknown>, call?: string, ep?: number}} [content]
   */
  request(t, { d = {}, call, ep } = {}) {
    const id = this.#newId();
    /** @type {Message} */
    const message = { t, id, d };
    if (call !== undefined) message.call = call;
    if (ep !== undefined) message.ep = ep;
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
      pending.retries += 1;
      pending.sentAt = null;
      pending.notBefore = now + retryMs / 1000;
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

/** The hub refused a request. `code` is one of the wire's error codes; `by` a display name, with answered_elsewhere. */
export class SignalRefusal extends Error {
  /** @param {string} code @param {string} [by] */
  constructor(code, by) {
    super(code);
    this.name = "SignalRefusal";
    this.code = code;
    this.by = by;
  }
}

/** A random UUID, also where the page is not a secure context. */
function newId() {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const marked = bytes.map((byte, i) => (i === 6 ? (byte & 0x0f) | 0x40 : i === 8 ? (byte & 0x3f) | 0x80 : byte));
  const hex = [...marked].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const nowS = () => performance.now() / 1000;
const BULK = 64 * 1024;

/**
 * The page's connection: reconnects for ever, resumes, repeats what was not answered.
 *
 *     const signal = new SignalPeer();
 *     signal.on("call.invite", (message) => …);
 *     signal.onState((state) => …);              // "connecting" | "online" | "offline" | "stopped"
 *     signal.onWelcome(({resumed, snapshot}) => …);
 *     signal.start();
 *     const {role, ep, ice} = await signal.ask("call.join", {call});
 */
export class SignalPeer {
  /** @type {"connecting" | "online" | "offline" | "stopped"} */
  state = "offline";
  #half = new PeerHalf(newId);
  #url;
  /** @type {WebSocket | null} */
  #socket = null;
  #running = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;
  /** @type {Map<string, {resolve: (d: any) => void, reject: (error: SignalRefusal) => void}>} */
  #waiting = new Map();
  /** @type {Map<string, Set<(message: Message) => void>>} */
  #listeners = new Map();
  /** @type {Set<(state: string, closedWith: number | null) => void>} */
  #stateListeners = new Set();
  /** @type {Set<(welcome: {resumed: boolean, snapshot: any}) => void>} */
  #welcomeListeners = new Set();

  /** @param {{url?: string}} [options] the address, by default `/signal` of the page's own origin */
  constructor({ url } = {}) {
    const address = new URL(url ?? "/signal", location.href);
    address.protocol = address.protocol.replace(/^http/, "ws");
    this.#url = address.href;
  }

  /** Open the connection and keep it. */
  start() {
    if (this.#running) return;
    this.#running = true;
    addEventListener("online", this.#hurry);
    addEventListener("offline", this.#probe);
    document.addEventListener("visibilitychange", this.#hurry);
    this.#open();
  }

  /** Close the connection and leave it. */
  stop() {
    this.#running = false;
    removeEventListener("online", this.#hurry);
    removeEventListener("offline", this.#probe);
    document.removeEventListener("visibilitychange", this.#hurry);
    clearTimeout(this.#timer);
    clearTimeout(this.#retryTimer);
    this.#socket?.close(1000);
  }

  /**
   * Ask, and get the content of the answer; repeated over every reconnection.
   * @param {string} t
   * @param {{d?: Record<string, unknown>, call?: string, ep?: number}} [content]
   * @returns {Promise<any>} rejects with SignalRefusal
   */
  ask(t, content) {
    const id = this.#half.request(t, content);
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#pump();
    return answer;
  }

  /**
   * Listen to a type of message, `*` for all. Returns how to stop listening.
   * @param {string} t @param {(message: Message) => void} listener
   */
  on(t, listener) {
    const listeners = this.#listeners.get(t) ?? new Set();
    this.#listeners.set(t, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** @param {(state: string, closedWith: number | null) => void} listener */
  onState(listener) {
    this.#stateListeners.add(listener);
    listener(this.state, this.#half.closedWith);
    return () => void this.#stateListeners.delete(listener);
  }

  /** @param {(welcome: {resumed: boolean, snapshot: any}) => void} listener */
  onWelcome(listener) {
    this.#welcomeListeners.add(listener);
    return () => void this.#welcomeListeners.delete(listener);
  }

  #open() {
    if (!this.#running || this.#socket !== null) return;
    clearTimeout(this.#retryTimer);
    this.#say("connecting");
    const socket = new WebSocket(this.#url, [SUBPROTOCOL]);
    this.#socket = socket;
    socket.onopen = () => {
      this.#half.opened(nowS());
      this.#pump();
    };
    socket.onmessage = ({ data }) => {
      for (const event of this.#half.receive(String(data), nowS())) this.#handle(event);
      this.#pump();
    };
    socket.onclose = ({ code }) => this.#lost(socket, code);
  }

  /** @param {WebSocket} socket @param {number} code */
  #lost(socket, code) {
    if (this.#socket !== socket) return;
    this.#socket = null;
    clearTimeout(this.#timer);
    this.#half.closed(code, nowS());
    const wait = this.#running ? this.#half.retryAfter(Math.random) : null;
    this.#say(this.#half.phase === "stopped" ? "stopped" : "offline");
    if (wait !== null) this.#retryTimer = setTimeout(() => this.#open(), wait * 1000);
  }

  /** The browser says that the network is back, or the page is looked at again: do not wait. */
  #hurry = () => {
    if (document.visibilityState !== "hidden" && this.#half.phase === "offline") this.#open();
  };

  /** The browser says that the network is gone: a socket that hangs is let go at once. */
  #probe = () => {
    const socket = this.#socket;
    if (socket === null) return;
    socket.close();
    this.#lost(socket, 1006);
  };

  #pump() {
    const socket = this.#socket;
    if (socket === null || socket.readyState !== WebSocket.OPEN) return;
    this.#half.tick(nowS());
    if (this.#half.hangUp !== null) {
      socket.close(1000);
      this.#lost(socket, 1006);
      return;
    }
    if (socket.bufferedAmount < BULK) for (const frame of this.#half.take(nowS())) socket.send(frame);
    clearTimeout(this.#timer);
    const due = this.#half.due;
    if (due !== null) this.#timer = setTimeout(() => this.#pump(), Math.max(20, (due - nowS()) * 1000));
  }

  /** @param {PeerEvent} event */
  #handle(event) {
    if (event.e === "delivered") {
      for (const t of [event.message.t, "*"]) {
        for (const listener of this.#listeners.get(t) ?? []) listener(event.message);
      }
    } else if (event.e === "answered") {
      const waiting = this.#waiting.get(event.id);
      this.#waiting.delete(event.id);
      if (event.ok) waiting?.resolve(event.d);
      else waiting?.reject(new SignalRefusal(String(event.d.code), /** @type {any} */ (event.d.by)));
    } else {
      this.#say("online");
      for (const listener of this.#welcomeListeners) listener(event);
    }
  }

  /** @param {"connecting" | "online" | "offline" | "stopped"} state */
  #say(state) {
    if (state === this.state) return;
    this.state = state;
    for (const listener of this.#stateListeners) listener(state, this.#half.closedWith);
  }
}
