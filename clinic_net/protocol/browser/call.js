// @ts-check
/**
 * The call client: a page's side of a consultation, at the hub and at a station alike.
 *
 *     const client = new CallClient(signal, callId, {localVideo, remoteVideo, onState});
 *     await client.start();     // after a click: browsers want one before they play sound
 *     client.mute(true); client.camera(false); client.end();
 *
 * It shows codes, never sentences: words belong to the page. Losing the signalling socket changes nothing
 * for the media; losing the media asks the hub for a new epoch; a reload of the page joins again.
 */

import { Devices } from "./devices.js";
import { Leg } from "./leg.js";
import { SignalRefusal } from "./signal.js";

/** @typedef {import("./signal.js").SignalPeer} SignalPeer */
/** @typedef {import("./wire").Message} Message */
/** @typedef {import("./wire").CallView} CallView */
/** @typedef {import("./wire").CallState} CallState */

const LOOK_EVERY_MS = 1000;
const DISCONNECTED_MS = 5000;
const CONNECT_WITHIN_MS = 15_000;
const SILENT_MS = 10_000;
const VIDEO_FLOWS_WITHIN_MS = 3000;
const AUDIO_FLOWS_WITHIN_MS = 10_000;
const COMPLAIN_AGAIN_MS = [5000, 10_000, 20_000, 40_000];
const ICE_FRESH_MS = 30 * 60_000;

export class CallClient {
  /** @type {CallState} */
  state = {
    phase: "idle", problem: null, error: null, role: null, ep: 0, microphone: false, camera: false,
    muted: false, cameraOff: false, needsTap: false, signalling: "offline", peerSignalling: true,
    media: { flowing: false, audio: false, video: false }, call: null,
  };
  #signal;
  #call;
  #localVideo;
  #remoteVideo;
  #onState;
  #devices;
  /** @type {Leg | null} */
  #leg = null;
  /** The leg before, shown until the new one brings something. @type {Leg | null} */
  #former = null;
  /** @type {{servers: RTCIceServer[], at: number}} */
  #ice = { servers: [], at: 0 };
  /** @type {Map<number, import("./leg.js").Batch[]>} */
  #earlyCandidates = new Map();
  /** @type {(() => void)[]} */
  #listening = [];
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  /** @type {import("./leg.js").Measure | null} */
  #measure = null;
  /** @type {Leg | null} */
  #measured = null;
  #reportDue = false;
  #framesShown = 0;
  #seen = { video: 0, audio: 0, packets: 0 };
  #troubleSince = 0;
  #complaints = 0;
  #complainedAt = 0;
  #work = Promise.resolve();

  /**
   * @param {SignalPeer} signal
   * @param {string} callId
   * @param {{localVideo?: HTMLVideoElement, remoteVideo?: HTMLVideoElement, onState?: (state: CallState) => void, video?: boolean}} [options]
   */
  constructor(signal, callId, { localVideo, remoteVideo, onState, video = true } = {}) {
    this.#signal = signal;
    this.#call = callId;
    this.#localVideo = localVideo;
    this.#remoteVideo = remoteVideo;
    this.#onState = onState;
    this.#devices = new Devices(() => this.#devicesChanged(), { video });
  }

  /** Open camera and microphone, join the call and keep it until it ends. */
  async start() {
    if (this.state.phase !== "idle") return;
    this.#set({ phase: "devices" });
    Object.assign(globalThis, { clinicCall: { stats: () => this.stats(), state: () => this.state } });
    await this.#devices.open();
    this.#devicesChanged();
    if (this.#over) return;
    this.#listen();
    this.#watchFrames();
    this.#timer = setInterval(() => void this.#look(), LOOK_EVERY_MS);
    await this.#join();
  }

  /** @param {boolean} on */
  mute(on) {
    this.#devices.enable("audio", !on);
    this.#set({ muted: on });
  }

  /** @param {boolean} on */
  camera(on) {
    this.#devices.enable("video", on);
    this.#set({ cameraOff: !on });
  }

  /** Start the picture and sound that the browser held back until somebody touched the page. */
  async play() {
    try {
      await this.#remoteVideo?.play();
      this.#set({ needsTap: false });
    } catch (error) {
      if (error instanceof Error && error.name === "NotAllowedError") this.#set({ needsTap: true });
    }
  }

  /** End the call for both. @param {"completed" | "cancelled" | "media_failed"} [reason] */
  end(reason = "completed") {
    const told = this.#signal.ask("call.end", { call: this.#call, d: { reason } }).catch(() => undefined);
    this.#close();
    return told;
  }

  /** Leave the page's part of the call without ending it: the page goes away, and may come back. */
  leave() {
    this.#close();
  }

  /** What really arrives, as last measured. */
  stats() {
    const m = this.#measure;
    return {
      framesDecoded: m?.framesDecoded ?? 0, audioEnergy: m?.audioEnergy ?? 0, width: m?.width ?? 0,
      height: m?.height ?? 0, packets: m?.packets ?? 0, lost: m?.lost ?? 0, rttMs: m?.rttMs ?? null,
      relayed: m?.relayed ?? false, framesShown: this.#framesShown, ep: this.state.ep,
      connection: this.#leg?.connection ?? "new",
    };
  }

  // -- signalling

  #listen() {
    const signal = this.#signal;
    /** @param {string} t @param {(message: Message) => Promise<void> | void} handle */
    const on = (t, handle) =>
      signal.on(t, (message) => {
        if (message.call === this.#call) this.#inTurn(async () => handle(message));
      });
    this.#listening = [
      on("media.need_offer", (message) => this.#needOffer(epoch(message))),
      on("media.reset", (message) => this.#reset(epoch(message))),
      on("media.offer", (message) => this.#offered(message)),
      on("media.answer", async (message) => {
        if (message.ep === this.#leg?.ep) await this.#leg?.answered(String(message.d.sdp));
      }),
      on("media.cand", (message) => this.#candidates(message)),
      on("call.state", ({ d }) => this.#callChanged(/** @type {any} */ (d))),
      on("peer.lost", () => this.#set({ peerSignalling: false })),
      on("peer.back", () => this.#set({ peerSignalling: true })),
      signal.onState((state) => this.#set({ signalling: /** @type {any} */ (state) })),
      signal.onWelcome(({ resumed, snapshot }) => {
        const view = snapshot?.calls?.find((/** @type {CallView} */ call) => call.call === this.#call);
        if (view !== undefined) this.#callChanged(view);
        if (!resumed && this.state.role !== null) void this.#join();
      }),
    ];
  }

  /** One thing after the other: descriptions must not overtake each other. @param {() => Promise<void>} task */
  #inTurn(task) {
    this.#work = this.#work.then(async () => {
      if (this.#over) return;
      try {
        await task();
      } catch (error) {
        console.warn("call step failed", error);
      }
    });
  }

  async #join() {
    if (this.#over) return;
    if (this.#leg === null) this.#set({ phase: "joining" });
    try {
      const { role, ep, ice } = await this.#signal.ask("call.join", { call: this.#call });
      this.#ice = { servers: ice, at: performance.now() };
      this.#set({ role, error: null, ep: Math.max(ep, this.state.ep) });
      if (this.#leg === null) this.#set({ phase: "waiting" });
      this.#reportDue = true;
    } catch (error) {
      if (!(error instanceof SignalRefusal)) throw error;
      if (error.code === "session_lost") return; // the welcome that follows joins again
      this.#set({ error: error.code });
      this.#close();
    }
  }

  /** @param {CallView} view */
  #callChanged(view) {
    if (this.state.call !== null && view.rev < this.state.call.rev) return;
    this.#set({ call: view });
    if (view.state === "ended") this.#close();
  }

  /**
   * @param {string} t @param {number} ep @param {Record<string, unknown>} d
   */
  async #tell(t, ep, d) {
    try {
      return await this.#signal.ask(t, { call: this.#call, ep, d });
    } catch (error) {
      // stale_epoch, session_lost, bad_state: a newer epoch is on its way, or the other side is not there yet
      if (!(error instanceof SignalRefusal)) throw error;
      return null;
    }
  }

  // -- media sessions

  /** @param {number} ep */
  async #needOffer(ep) {
    if (ep < this.state.ep || (this.#leg?.ep === ep && this.#leg.offered)) return;
    const leg = await this.#newLeg(ep);
    void this.#tell("media.offer", ep, { sdp: await leg.offer() });
  }

  /** The answerer's: what was is over; an offer follows. @param {number} ep */
  #reset(ep) {
    if (ep > this.state.ep) this.#set({ ep, phase: this.#leg === null ? "waiting" : "reconnecting" });
  }

  /** @param {Message} message */
  async #offered({ ep, d }) {
    if (ep === undefined || ep < this.state.ep || this.#leg?.ep === ep) return;
    const leg = await this.#newLeg(ep);
    void this.#tell("media.answer", ep, { sdp: await leg.answer(String(d.sdp)) });
  }

  /** @param {Message} message */
  async #candidates({ ep, d }) {
    const batch = /** @type {import("./leg.js").Batch} */ ({ c: Array.isArray(d.c) ? d.c : [] });
    if (ep === undefined || ep < this.state.ep) return;
    if (this.#leg?.ep === ep) await this.#leg.candidates(batch);
    else this.#earlyCandidates.set(ep, [...(this.#earlyCandidates.get(ep) ?? []), batch]);
  }

  /** @param {number} ep */
  async #newLeg(ep) {
    if (performance.now() - this.#ice.at > ICE_FRESH_MS) {
      const fresh = await this.#tell("ice.get", ep, {});
      if (fresh !== null) this.#ice = { servers: fresh.ice, at: performance.now() };
    }
    this.#former?.close();
    this.#former = this.#leg;
    const leg = new Leg(ep, this.#ice.servers, this.#devices, {
      batch: (batch) => void this.#tell("media.cand", ep, { ...batch }),
      connection: (changed) => this.#connectionChanged(changed),
    });
    this.#leg = leg;
    this.#set({ ep, phase: this.#former?.connectedOnce ? "reconnecting" : "connecting" });
    for (const batch of this.#earlyCandidates.get(ep) ?? []) await leg.candidates(batch);
    this.#earlyCandidates.clear();
    return leg;
  }

  /** @param {Leg} leg */
  #connectionChanged(leg) {
    if (leg !== this.#leg || this.#over) return;
    if (leg.connection === "connected") {
      this.#former?.close();
      this.#former = null;
      this.#troubleSince = 0;
      this.#seen = { video: 0, audio: 0, packets: performance.now() };
      this.#reportDue = true;
      this.#set({ phase: "connected" });
      if (this.#remoteVideo && this.#remoteVideo.srcObject !== leg.remote) {
        this.#remoteVideo.srcObject = leg.remote;
        void this.play();
      }
    } else if (leg.connection === "failed") {
      this.#complain("failed");
    } else if (leg.connection === "disconnected") {
      this.#troubleSince ||= performance.now();
    }
  }

  /** Ask for a new media session, ever more rarely while it does not help. @param {string} why */
  #complain(why) {
    const now = performance.now();
    const pause = COMPLAIN_AGAIN_MS[Math.min(this.#complaints, COMPLAIN_AGAIN_MS.length) - 1] ?? 0;
    if (now - this.#complainedAt < pause) return;
    this.#complaints += 1;
    this.#complainedAt = now;
    this.#set({ phase: "reconnecting" });
    void this.#tell("media.need_offer", this.state.ep, { why });
  }

  // -- what arrives

  async #look() {
    const leg = this.#leg;
    if (leg === null || this.#over) return;
    const shown = leg.connectedOnce ? leg : (this.#former ?? leg);
    const measured = await shown.measure();
    if (this.#over) return;
    const before = shown === this.#measured ? this.#measure : null;
    this.#measured = shown;
    const now = performance.now();
    if (measured.framesDecoded > (before?.framesDecoded ?? 0)) this.#seen.video = now;
    if (measured.audioEnergy > (before?.audioEnergy ?? 0)) this.#seen.audio = now;
    if (measured.packets > (before?.packets ?? 0)) this.#seen.packets = now;
    this.#measure = measured;
    const video = this.#seen.video > 0 && now - this.#seen.video < VIDEO_FLOWS_WITHIN_MS;
    const audio = this.#seen.audio > 0 && now - this.#seen.audio < AUDIO_FLOWS_WITHIN_MS;
    const was = this.state.media;
    if (this.#reportDue || was.video !== video || was.audio !== audio) this.#report({ flowing: video || audio, audio, video });
    if ((video || audio) && leg.connection === "connected") this.#complaints = 0;
    this.#watch(leg, now);
  }

  /** @param {Leg} leg @param {number} now */
  #watch(leg, now) {
    if (leg.connection === "connected") {
      if (now - this.#seen.packets > SILENT_MS) this.#complain("silence");
    } else if (leg.connection === "failed") {
      this.#complain("failed");
    } else if (leg.connectedOnce) {
      if (this.#troubleSince > 0 && now - this.#troubleSince >= DISCONNECTED_MS) this.#complain("disconnected");
    } else if (now - leg.openedAt > CONNECT_WITHIN_MS) {
      this.#complain("timeout");
    }
  }

  /** @param {{flowing: boolean, audio: boolean, video: boolean}} media */
  #report(media) {
    this.#reportDue = false;
    this.#set({ media });
    void this.#tell("call.media", this.state.ep, media);
  }

  #watchFrames() {
    const video = this.#remoteVideo;
    if (video === undefined || !("requestVideoFrameCallback" in video)) return;
    const seen = () => {
      this.#framesShown += 1;
      if (!this.#over) video.requestVideoFrameCallback(seen);
    };
    video.requestVideoFrameCallback(seen);
  }

  // -- the page's own side

  #devicesChanged() {
    const { stream, problem } = this.#devices;
    const { muted, cameraOff } = this.state;
    this.#devices.enable("audio", !muted);
    this.#devices.enable("video", !cameraOff);
    if (this.#localVideo && this.#localVideo.srcObject !== stream) {
      this.#localVideo.muted = true;
      this.#localVideo.srcObject = stream;
      void this.#localVideo.play().catch(() => undefined);
    }
    this.#set({
      problem, microphone: this.#devices.track("audio") !== null, camera: this.#devices.track("video") !== null,
    });
    const leg = this.#leg;
    if (leg !== null) this.#inTurn(() => leg.refreshTracks());
  }

  get #over() {
    return this.state.phase === "ended";
  }

  #close() {
    if (this.#over) return;
    clearInterval(this.#timer);
    for (const stop of this.#listening) stop();
    this.#former?.close();
    this.#leg?.close();
    this.#devices.close();
    for (const video of [this.#localVideo, this.#remoteVideo]) if (video) video.srcObject = null;
    this.#set({ phase: "ended", media: { flowing: false, audio: false, video: false } });
  }

  /** @param {Partial<CallState>} change */
  #set(change) {
    if (this.#over) delete change.phase;
    this.state = { ...this.state, ...change };
    this.#onState?.(this.state);
  }
}

/** The epoch that a message of the hub names. @param {Message} message */
function epoch({ ep, d }) {
  return ep ?? Number(d.ep);
}
