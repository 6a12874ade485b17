// @ts-check
/** The sound of a call that wants an answer, made on the spot: no file to fetch over a thin line. */

const PATTERN_S = 3;

export class RingTone {
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;

  /**
   * Ring until stop(). Returns false when the browser keeps the page silent until somebody touches it.
   * @param {{urgent?: boolean}} [options]
   */
  async start({ urgent = false } = {}) {
    this.stop();
    const context = new AudioContext();
    this.#context = context;
    // A context that stop() closes meanwhile refuses to resume: nobody waits for it any more.
    const resumed = context.resume().catch(() => undefined);
    await Promise.race([resumed, new Promise((resolve) => setTimeout(resolve, 300))]);
    if (this.#context !== context) return false;
    const play = () => this.#play(context, urgent);
    play();
    this.#timer = setInterval(play, (urgent ? PATTERN_S / 2 : PATTERN_S) * 1000);
    return context.state === "running";
  }

  stop() {
    clearInterval(this.#timer);
    void this.#context?.close().catch(() => undefined);
    this.#context = null;
  }

  /** Two notes, twice. @param {AudioContext} context @param {boolean} urgent */
  #play(context, urgent) {
    if (context.state !== "running") return;
    const notes = urgent ? [880, 1175, 880, 1175] : [659, 880, 659, 880];
    notes.forEach((frequency, i) => {
      const at = context.currentTime + i * 0.22;
      const oscillator = new OscillatorNode(context, { frequency, type: "triangle" });
      const gain = new GainNode(context, { gain: 0 });
      gain.gain.setValueAtTime(0, at);
      gain.gain.linearRampToValueAtTime(0.35, at + 0.02);
      gain.gain.exponentialRampToValueAtTime(0.001, at + 0.2);
      oscillator.connect(gain).connect(context.destination);
      oscillator.start(at);
      oscillator.stop(at + 0.22);
    });
  }
}
