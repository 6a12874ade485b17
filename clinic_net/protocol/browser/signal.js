// @ts-check
/**
 * The page's connection with the hub (or with the station's agent, which speaks the same): clinicnet.signal.v1
 * over a WebSocket, with timers and the browser's hint that the network came back. The conversation itself is
 * peer.js; the wire in prose: clinic_net/protocol/README.md.
 */

import { PeerHalf } from "./peer.js";

export { CLOSE, PeerHalf, backoff, decode } from "./peer.js";

/** @typedef {import("./wire").Message} Message */
/** @typedef {import("./wire").PeerEvent} PeerEvent */

export const SUBPROTOCOL = "clinicnet.signal.v1";

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
