// @ts-check
/** The camera and the microphone of a page: what there is, what is missing and why, and their return. */

/** Small first: a station's line carries 128–512 kbit/s. */
const VIDEO = { width: { ideal: 640 }, height: { ideal: 360 }, frameRate: { ideal: 15, max: 20 } };
const AUDIO = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** @typedef {"audio" | "video"} Kind */
/** @typedef {"denied" | "no_devices" | "in_use" | "device_lost" | "insecure" | null} Problem */

export class Devices {
  /** Why something is missing, or null. @type {Problem} */
  problem = null;
  stream = new MediaStream();
  #wanted;
  #changed;
  #closed = false;

  /**
   * @param {() => void} changed  called whenever a track came or went
   * @param {{video?: boolean}} [options]
   */
  constructor(changed, { video = true } = {}) {
    this.#changed = changed;
    /** @type {Record<Kind, boolean>} */
    this.#wanted = { audio: true, video };
  }

  /** @param {Kind} kind */
  track(kind) {
    return this.stream.getTracks().find((track) => track.kind === kind) ?? null;
  }

  /** Ask for both; then for either alone; then go on with none: who cannot be seen can still see. */
  async open() {
    const media = navigator.mediaDevices;
    if (media === undefined) {
      this.problem = "insecure";
      return;
    }
    media.addEventListener("devicechange", this.#lookAgain);
    const { video } = this.#wanted;
    for (const ask of video ? [{ audio: AUDIO, video: VIDEO }, { audio: AUDIO }, { video: VIDEO }] : [{ audio: AUDIO }]) {
      const stream = await this.#get(ask);
      if (stream === null) continue;
      this.#adopt(stream);
      if (this.stream.getTracks().length === (video ? 2 : 1)) this.problem = null;
      return;
    }
  }

  close() {
    this.#closed = true;
    navigator.mediaDevices?.removeEventListener("devicechange", this.#lookAgain);
    for (const track of this.stream.getTracks()) track.stop();
  }

  /** @param {Kind} kind @param {boolean} on */
  enable(kind, on) {
    const track = this.track(kind);
    if (track !== null) track.enabled = on;
  }

  /** @param {MediaStreamConstraints} ask */
  async #get(ask) {
    try {
      return await navigator.mediaDevices.getUserMedia(ask);
    } catch (error) {
      const name = error instanceof Error ? error.name : "";
      if (name === "NotAllowedError" || name === "SecurityError") this.problem = "denied";
      else if (name === "NotReadableError" || name === "AbortError") this.problem = "in_use";
      else this.problem ??= "no_devices";
      return null;
    }
  }

  /** @param {MediaStream} stream */
  #adopt(stream) {
    for (const track of stream.getTracks()) {
      if (this.#closed) {
        track.stop();
        continue;
      }
      this.stream.addTrack(track);
      track.addEventListener("ended", () => {
        this.stream.removeTrack(track);
        this.problem = "device_lost";
        this.#changed();
        void this.#lookAgain();
      });
    }
    this.#changed();
  }

  /** A device was plugged in, or one went away: fetch what is missing. */
  #lookAgain = async () => {
    if (this.#closed) return;
    const missing = /** @type {Kind[]} */ (["audio", "video"]).filter((k) => this.#wanted[k] && this.track(k) === null);
    for (const kind of missing) {
      const stream = await this.#get(kind === "audio" ? { audio: AUDIO } : { video: VIDEO });
      if (stream !== null) this.#adopt(stream);
    }
    if (missing.every((kind) => this.track(kind) !== null)) this.problem = null;
    this.#changed();
  };
}
