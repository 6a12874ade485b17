// @ts-check
/**
 * One media session of a call: one RTCPeerConnection, for one epoch. A new epoch is a new leg, never an ICE
 * restart: not every peer can restart, and those that cannot fail in silence.
 */

/** @typedef {{c: RTCIceCandidateInit[], end?: boolean}} Batch */
/** @typedef {import("./devices.js").Devices} Devices */

const BATCH_MS = 200;
const MAX_VIDEO_BPS = 350_000;
const MAX_AUDIO_BPS = 24_000;
const KINDS = /** @type {const} */ (["audio", "video"]);

/** @typedef {{framesDecoded: number, audioEnergy: number, packets: number, width: number, height: number, rttMs: number | null, lost: number, relayed: boolean}} Measure */

export class Leg {
  /** What arrives; an element plays it. */
  remote = new MediaStream();
  offered = false;
  connectedOnce = false;
  openedAt = performance.now();
  #devices;
  #pc;
  /** @type {RTCIceCandidateInit[]} */
  #batch = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #batchTimer;
  /** Candidates that came before the description they belong to. @type {RTCIceCandidateInit[] | null} */
  #early = [];
  #sendBatch;

  /**
   * @param {number} ep
   * @param {RTCIceServer[]} iceServers
   * @param {Devices} devices
   * @param {{batch: (batch: Batch) => void, connection: (leg: Leg) => void}} on
   */
  constructor(ep, iceServers, devices, on) {
    this.ep = ep;
    this.#devices = devices;
    this.#sendBatch = on.batch;
    this.#pc = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.#pc.ontrack = ({ track }) => this.remote.addTrack(track);
    this.#pc.onicecandidate = ({ candidate }) => this.#gathered(candidate);
    this.#pc.onconnectionstatechange = () => {
      this.connectedOnce ||= this.#pc.connectionState === "connected";
      on.connection(this);
    };
  }

  get connection() {
    return this.#pc.connectionState;
  }

  /** Make the offer. @returns {Promise<string>} */
  async offer() {
    this.offered = true;
    for (const kind of KINDS) {
      const track = this.#devices.track(kind);
      this.#pc.addTransceiver(track ?? kind, { direction: "sendrecv", streams: [this.#devices.stream] });
    }
    await this.#pc.setLocalDescription();
    return this.#pc.localDescription?.sdp ?? "";
  }

  /** Take the other side's offer and make the answer. @param {string} sdp @returns {Promise<string>} */
  async answer(sdp) {
    await this.#pc.setRemoteDescription({ type: "offer", sdp });
    for (const transceiver of this.#pc.getTransceivers()) transceiver.direction = "sendrecv";
    await this.refreshTracks();
    await this.#pc.setLocalDescription();
    await this.#described();
    return this.#pc.localDescription?.sdp ?? "";
  }

  /** Take the other side's answer. @param {string} sdp */
  async answered(sdp) {
    if (this.#pc.signalingState !== "have-local-offer") return;
    await this.#pc.setRemoteDescription({ type: "answer", sdp });
    await this.#described();
  }

  /** @param {Batch} batch */
  async candidates({ c }) {
    if (this.#early !== null) {
      this.#early.push(...c);
      return;
    }
    for (const candidate of c) await this.#add(candidate);
  }

  /** Send the tracks that there are now: a device came, or went. */
  async refreshTracks() {
    for (const { sender, receiver } of this.#pc.getTransceivers()) {
      const track = this.#devices.track(receiver.track.kind === "audio" ? "audio" : "video");
      if (sender.track !== track) await sender.replaceTrack(track);
    }
  }

  close() {
    clearTimeout(this.#batchTimer);
    this.#pc.onconnectionstatechange = this.#pc.onicecandidate = this.#pc.ontrack = null;
    this.#pc.close();
  }

  /** What really arrives: decoded frames and sound energy, not the state of a transport. @returns {Promise<Measure>} */
  async measure() {
    /** @type {Measure} */
    const m = { framesDecoded: 0, audioEnergy: 0, packets: 0, width: 0, height: 0, rttMs: null, lost: 0, relayed: false };
    /** @type {any[]} */
    const all = [];
    const report = await this.#pc.getStats();
    report.forEach((/** @type {any} */ entry) => all.push(entry));
    for (const s of all) {
      if (s.type === "inbound-rtp") {
        m.packets += s.packetsReceived ?? 0;
        m.lost += s.packetsLost ?? 0;
        if (s.kind === "video") {
          m.framesDecoded += s.framesDecoded ?? 0;
          m.width = s.frameWidth ?? m.width;
          m.height = s.frameHeight ?? m.height;
        } else {
          m.audioEnergy += s.totalAudioEnergy ?? 0;
        }
      } else if (s.type === "candidate-pair" && s.nominated && s.state === "succeeded") {
        m.rttMs = s.currentRoundTripTime === undefined ? null : Math.round(s.currentRoundTripTime * 1000);
        m.relayed = report.get(s.localCandidateId)?.candidateType === "relay";
      }
    }
    return m;
  }

  async #described() {
    const early = this.#early ?? [];
    this.#early = null;
    for (const candidate of early) await this.#add(candidate);
    await this.#limitRates();
  }

  /** A candidate that this browser cannot read is only one way less. @param {RTCIceCandidateInit} candidate */
  async #add(candidate) {
    try {
      await this.#pc.addIceCandidate(candidate);
    } catch (error) {
      if (this.#pc.signalingState !== "closed") console.warn("candidate refused", error);
    }
  }

  async #limitRates() {
    for (const sender of this.#pc.getSenders()) {
      const parameters = sender.getParameters();
      const encoding = parameters.encodings[0];
      if (encoding === undefined || sender.track === null) continue;
      encoding.maxBitrate = sender.track.kind === "video" ? MAX_VIDEO_BPS : MAX_AUDIO_BPS;
      encoding.networkPriority = encoding.priority = sender.track.kind === "audio" ? "high" : "low";
      await sender.setParameters(parameters).catch(() => undefined);
    }
  }

  /** @param {RTCIceCandidate | null} candidate */
  #gathered(candidate) {
    if (candidate !== null) this.#batch.push(candidate.toJSON());
    if (candidate === null) this.#flush(true);
    else this.#batchTimer ??= setTimeout(() => this.#flush(false), BATCH_MS);
  }

  /** @param {boolean} end */
  #flush(end) {
    clearTimeout(this.#batchTimer);
    this.#batchTimer = undefined;
    const c = this.#batch.splice(0);
    if (c.length > 0 || end) this.#sendBatch(end ? { c, end } : { c });
  }
}
