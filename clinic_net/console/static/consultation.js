// @ts-check
/** The consultation's page: the call, and forms that must not lose what was typed. */

import { CallClient } from "/browser/call.js";
import { RingTone } from "/browser/ring.js";
import { SignalPeer } from "/browser/signal.js";
import { element, word } from "./words.js";

/** @typedef {import("../../protocol/browser/wire").CallState} CallState */

const SURE_MS = 4000;
const RENEW_MS = 30_000;

const page = element("consultation", HTMLElement);
const call = page.dataset.call ?? "";
const signal = new SignalPeer();
const client = new CallClient(signal, call, {
  localVideo: element("self", HTMLVideoElement),
  remoteVideo: element("remote", HTMLVideoElement),
  onState: show,
});

/** @param {CallState} state */
function show(state) {
  element("call", HTMLElement).dataset.phase = state.phase;
  element("phase", HTMLElement).textContent = word(`phase.${state.phase}`);
  element("play", HTMLButtonElement).hidden = !state.needsTap;
  element("sound-only", HTMLElement).hidden = state.phase !== "connected" || state.media.video || !state.media.audio;
  const trouble = element("trouble", HTMLElement);
  trouble.textContent = state.error ? word("error.any") : state.problem ? word(`problem.${state.problem}`) : "";
  trouble.hidden = trouble.textContent === "" || (state.phase === "ended" && !state.error);
  const link = element("link", HTMLElement);
  link.dataset.state = state.signalling;
  link.textContent = state.signalling === "online" && !state.peerSignalling ? word("link.peer") : word(`link.${state.signalling}`);
  toggle("mute", state.muted);
  toggle("camera", state.cameraOff);
}

/** @param {string} id @param {boolean} on */
function toggle(id, on) {
  const button = element(id, HTMLButtonElement);
  button.setAttribute("aria-pressed", String(on));
  button.textContent = word(`${id}.${on ? "on" : "off"}`);
}

function listenToControls() {
  element("mute", HTMLButtonElement).addEventListener("click", () => client.mute(!client.state.muted));
  element("camera", HTMLButtonElement).addEventListener("click", () => client.camera(client.state.cameraOff));
  element("play", HTMLButtonElement).addEventListener("click", () => void client.play());
  const end = element("end", HTMLButtonElement);
  let sure = false;
  element("end-form", HTMLFormElement).addEventListener("submit", (event) => {
    if (sure && signal.state !== "online") return; // without signalling the form ends the call
    event.preventDefault();
    if (sure) {
      void client.end();
      return;
    }
    sure = true;
    end.textContent = word("end.sure");
    setTimeout(() => {
      sure = false;
      end.textContent = word("end");
    }, SURE_MS);
  });
}

/** The doctor is on duty while they write: another station's call is shown here too. */
function listenToOthers() {
  const tone = new RingTone();
  const banner = element("new-call", HTMLElement);
  /** @type {Set<string>} */
  const ringing = new Set();
  const changed = () => {
    banner.hidden = ringing.size === 0;
    tone.stop();
    if (ringing.size > 0) void tone.start();
  };
  signal.on("call.invite", (message) => {
    ringing.add(message.call ?? String(message.d.call));
    changed();
  });
  signal.on("call.cancelled", (message) => {
    ringing.delete(message.call ?? String(message.d.call));
    changed();
  });
  signal.onWelcome(({ resumed, snapshot }) => {
    if (resumed) return;
    ringing.clear();
    for (const invite of snapshot?.invites ?? []) ringing.add(invite.call);
    changed();
  });
}

/** Forms: warn before what was typed is lost, and say when it was not saved. */
function guardForms() {
  /** @type {Set<string>} */
  const typed = new Set();
  page.addEventListener("input", ({ target }) => {
    const form = target instanceof Element ? target.closest("form[data-guard]") : null;
    if (form !== null) typed.add(form.id);
  });
  page.addEventListener("click", ({ target }) => {
    if (!(target instanceof HTMLElement)) return;
    const form = target.closest("form");
    if (target.matches(".add")) {
      const row = form?.querySelector("template")?.content.cloneNode(true);
      if (row) form?.querySelector(".rows")?.append(row);
      const rows = form?.querySelectorAll(".rows .medicine-row") ?? [];
      rows[rows.length - 1]?.querySelector("input")?.focus();
    } else if (target.matches(".remove")) {
      target.closest(".medicine-row")?.remove();
    }
  });
  const failure = element("failure", HTMLElement);
  /** @param {boolean} failed */
  const failed = (failed) => {
    failure.hidden = !failed;
    if (failed) failure.scrollIntoView({ block: "nearest" });
  };
  document.body.addEventListener("htmx:afterRequest", (event) => {
    const { requestConfig, successful, xhr } = /** @type {CustomEvent} */ (event).detail;
    const form = requestConfig?.elt; // the form that asked; its answer has taken its place in the page
    if (!(form instanceof HTMLFormElement)) return;
    if (xhr?.status === 200) typed.delete(form.id); // 422 is the form again, with what is missing marked
    failed(!successful);
  });
  addEventListener("beforeunload", (event) => {
    if (typed.size > 0) event.preventDefault();
  });
}

function renewRecord() {
  document.getElementById("record")?.dispatchEvent(new Event("renew"));
}

listenToOthers();
listenToControls();
guardForms();
element("renew", HTMLButtonElement).addEventListener("click", renewRecord);
signal.start();
if (page.dataset.state !== "ended") {
  void client.start();
  setInterval(() => {
    if (client.state.phase === "connected" && document.visibilityState === "visible") renewRecord();
  }, RENEW_MS);
}
addEventListener("pagehide", () => client.leave());
