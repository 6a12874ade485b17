// @ts-check
/** The page of a request: it follows the case over the station's own socket, and holds the call. */

import { CallClient } from "/browser/call.js";
import { SignalPeer } from "/browser/signal.js";

const TAKEN = new Set(["accepted", "connecting", "active", "reconnecting"]);

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const panel = element("call");
const callId = panel.dataset.call ?? "";
const signal = new SignalPeer();

/** @type {CallClient | null} */
let client = null;

/** @param {string | null} code */
function say(code) {
  const word = code === null ? null : element("call-words").querySelector(`[data-word="${CSS.escape(code)}"]`);
  element("call-word").textContent = word?.textContent ?? "";
}

/** @param {import("/browser/wire").CallState} state */
function show(state) {
  element("play").hidden = !state.needsTap;
  element("mute").setAttribute("aria-pressed", String(state.muted));
  element("camera").setAttribute("aria-pressed", String(state.cameraOff));
  if (state.phase === "ended" && state.error !== null) say("refused");
  else say(state.phase === "connected" ? state.problem : state.phase);
  for (const id of ["mute", "camera", "end"]) {
    /** @type {HTMLButtonElement} */ (element(id)).disabled = state.phase === "ended";
  }
  if (state.phase === "ended") document.body.dispatchEvent(new CustomEvent("station:case"));
}

/** @param {string} state */
function follow(state) {
  document.body.dispatchEvent(new CustomEvent("station:case"));
  if (TAKEN.has(state) && (client === null || client.state.phase === "ended")) {
    if (client !== null && client.state.error === null) return;
    panel.hidden = false;
    client = new CallClient(signal, callId, {
      localVideo: /** @type {HTMLVideoElement} */ (element("local")),
      remoteVideo: /** @type {HTMLVideoElement} */ (element("remote")),
      onState: show,
    });
    void client.start();
  }
}

element("mute").addEventListener("click", () => client?.mute(!client.state.muted));
element("camera").addEventListener("click", () => client?.camera(client.state.cameraOff));
element("play").addEventListener("click", () => void client?.play());
element("end").addEventListener("click", () => void client?.end());

signal.on("call.state", ({ d }) => {
  if (d.call === callId) follow(String(d.state));
});
signal.on("poke", () => document.body.dispatchEvent(new CustomEvent("station:case")));
signal.onWelcome(({ snapshot }) => {
  const view = snapshot?.calls?.find((/** @type {{call: string}} */ call) => call.call === callId);
  if (view !== undefined) follow(view.state);
});
signal.start();
