// @ts-check
/**
 * A page that must not grow old: refreshes its part `#live` when the hub says that something changed, counts its
 * times on between refreshes, and says so when it could not be refreshed.
 */

import { RingTone } from "/browser/ring.js";
import { SignalPeer } from "/browser/signal.js";

const STALE_AFTER_MS = 35_000;
const CHIME_MS = 2_500;

const live = /** @type {HTMLElement} */ (document.getElementById("live"));
const stale = document.getElementById("stale");
const link = document.getElementById("link");
const sound = document.getElementById("sound");
const title = document.title;
const tone = new RingTone();

let renderedAt = performance.now();
let owed = 0;
let loud = false;

/** @param {number} seconds */
function written(seconds) {
  const whole = Math.floor(seconds);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

function tick() {
  const passed = (performance.now() - renderedAt) / 1000;
  for (const element of live.querySelectorAll("[data-tick]")) {
    const { tick: way, seconds } = /** @type {HTMLElement} */ (element).dataset;
    element.textContent = written(Math.max(0, Number(seconds) + (way === "up" ? passed : -passed)));
  }
  if (stale) stale.hidden = passed * 1000 < STALE_AFTER_MS;
}

/** Whoever works in another window sees in the title, and hears if they like, that a case waits for them. */
function alarm() {
  const before = owed;
  owed = Number(live.querySelector("[data-owed]")?.getAttribute("data-owed") ?? 0);
  document.title = owed ? `(${owed}) ${title}` : title;
  if (loud && owed > before) {
    void tone.start({ urgent: true });
    setTimeout(() => tone.stop(), CHIME_MS);
  }
}

live.addEventListener("htmx:afterSwap", () => {
  renderedAt = performance.now();
  tick();
  alarm();
});

// The session is over: the page itself leads to signing in again.
live.addEventListener("htmx:responseError", (event) => {
  if (/** @type {CustomEvent} */ (event).detail.xhr.status === 401) location.reload();
});

if (sound) {
  sound.hidden = false;
  sound.addEventListener("click", () => {
    loud = !loud;
    sound.setAttribute("aria-pressed", String(loud));
    if (!loud) return tone.stop();
    void tone.start();
    setTimeout(() => tone.stop(), CHIME_MS);
  });
}

const refresh = () => document.body.dispatchEvent(new CustomEvent("board"));
/** @type {ReturnType<typeof setTimeout> | undefined} */
let soon;

const signal = new SignalPeer();
signal.on("poke", ({ d }) => {
  if (d.what !== "board") return;
  clearTimeout(soon);
  soon = setTimeout(refresh, 200);
});
signal.onState((state) => {
  if (link) link.dataset.state = state === "stopped" ? "offline" : state;
});
signal.onWelcome(refresh);
signal.start();

setInterval(tick, 1000);
alarm();
