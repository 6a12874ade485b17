// @ts-check
/** A doctor's page: calls ring here. The cases come over HTTPS; signalling only says that there is one. */

import { RingTone } from "/browser/ring.js";
import { SignalPeer, SignalRefusal } from "/browser/signal.js";
import { countUp, element, word } from "./words.js";

const RETRY_MS = 1000;
const ANSWER_MS = 4000;
const GONE_AFTER_MS = 20_000;

class Desk {
  #signal = new SignalPeer();
  #tone = new RingTone();
  #calls = element("calls", HTMLElement);
  #link = element("link", HTMLElement);
  #silent = element("silent", HTMLElement);
  #title = document.title;
  /** What rings, by call. @type {Map<string, {urgency: string, place: HTMLElement, loud: boolean}>} */
  #ringing = new Map();

  start() {
    this.#signal.on("call.invite", ({ call, d }) => this.#invited(call ?? String(d.call), String(d.urgency)));
    this.#signal.on("call.cancelled", ({ call, d }) => this.#cancelled(call ?? String(d.call), d));
    this.#signal.on("call.state", () => this.#renewCases());
    this.#signal.onWelcome(({ resumed, snapshot }) => {
      if (resumed) return;
      const invites = snapshot?.invites ?? [];
      for (const { call, urgency } of invites) this.#invited(call, urgency);
      for (const call of [...this.#ringing.keys()]) {
        if (!invites.some((/** @type {{call: string}} */ invite) => invite.call === call)) this.#cancelled(call, { reason: "withdrawn" });
      }
    });
    this.#signal.onState((state) => {
      this.#link.dataset.state = state;
      this.#link.textContent = word(`link.${state}`);
    });
    this.#signal.start();
    element("unmute", HTMLButtonElement).addEventListener("click", () => void this.#sound());
    addEventListener("pointerdown", () => { if (!this.#silent.hidden) void this.#sound(); });
    document.addEventListener("visibilitychange", () => this.#tellSeen());
    this.#calls.addEventListener("submit", (event) => this.#answer(event));
    setInterval(() => {
      countUp();
      document.title = this.#ringing.size > 0 && Math.floor(performance.now() / 1000) % 2 === 0 ? `🔔 ${word("title")}` : this.#title;
    }, 1000);
  }

  /** @param {string} call @param {string} urgency */
  #invited(call, urgency) {
    if (this.#ringing.has(call)) return;
    document.getElementById(`gone-${call}`)?.remove();
    const place = document.createElement("div");
    place.textContent = word("loading");
    place.className = `card offer ${urgency}`;
    this.#calls.append(place);
    this.#ringing.set(call, { urgency, place, loud: false });
    void this.#sound();
    void this.#show(call, place);
    this.#renewCases();
  }

  /** Fetch the picture of the case, for as long as it rings. @param {string} call @param {HTMLElement} place */
  async #show(call, place) {
    while (this.#ringing.get(call)?.place === place) {
      try {
        const answer = await fetch(`/consultations/${call}/card`, { headers: { "HX-Request": "true" } });
        if (answer.ok) {
          place.className = "";
          place.innerHTML = await answer.text();
          countUp();
          this.#tellSeen();
          return;
        }
        if (answer.status === 401) return location.assign("/sign-in");
        if (answer.status === 404) return this.#cancelled(call, { reason: "withdrawn" });
      } catch {
        // the network is away; try again
      }
      place.textContent = word("retry");
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** A specialist's eyes: only when the case is drawn on a page that somebody can see. */
  #tellSeen() {
    if (document.visibilityState !== "visible") return;
    for (const [call, { place }] of this.#ringing) {
      if (place.dataset.seen || place.querySelector("[data-call]") === null) continue;
      place.dataset.seen = "yes";
      requestAnimationFrame(() => void this.#signal.ask("call.seen", { call }).catch(() => undefined));
    }
  }

  async #sound() {
    this.#tone.stop();
    if (this.#ringing.size === 0) {
      this.#silent.hidden = true;
      return;
    }
    const urgent = [...this.#ringing.values()].some(({ urgency }) => urgency === "red");
    const loud = await this.#tone.start({ urgent });
    this.#silent.hidden = loud;
    for (const [call, ring] of this.#ringing) {
      if (!loud || ring.loud) continue;
      ring.loud = true;
      void this.#signal.ask("call.ringing", { call }).catch(() => undefined);
    }
  }

  /** @param {string} call @param {Record<string, unknown>} d */
  #cancelled(call, d) {
    const ring = this.#ringing.get(call);
    this.#ringing.delete(call);
    void this.#sound();
    this.#renewCases();
    if (ring === undefined) return;
    ring.place.id = `gone-${call}`;
    ring.place.className = "notice info";
    ring.place.textContent = word(String(d.reason ?? "withdrawn"), { by: String(d.by ?? "") }) || word("withdrawn");
    setTimeout(() => ring.place.remove(), GONE_AFTER_MS);
  }

  /** Answer over signalling; where that does not answer, the form goes the ordinary way. @param {SubmitEvent} event */
  #answer(event) {
    const form = event.target;
    const call = form instanceof HTMLFormElement && form.closest("[data-call]")?.getAttribute("data-call");
    if (!call || this.#signal.state !== "online") return;
    event.preventDefault();
    const accepts = form.classList.contains("accept");
    const reason = event.submitter instanceof HTMLButtonElement ? event.submitter.value : "other";
    const asked = accepts ? this.#signal.ask("call.accept", { call }) : this.#signal.ask("call.reject", { call, d: { reason } });
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error("late")), ANSWER_MS));
    for (const button of form.querySelectorAll("button")) button.disabled = true;
    Promise.race([asked, late]).then(
      () => (accepts ? location.assign(`/consultations/${call}`) : this.#cancelled(call, { reason: "declined" })),
      (error) => {
        if (error instanceof SignalRefusal && error.code === "answered_elsewhere") {
          this.#cancelled(call, { reason: "answered_elsewhere", by: error.by });
        } else {
          for (const button of form.querySelectorAll("button")) button.disabled = false;
          if (event.submitter instanceof HTMLButtonElement && event.submitter.name) {
            const sent = document.createElement("input");
            sent.type = "hidden";
            sent.name = event.submitter.name;
            sent.value = event.submitter.value;
            form.append(sent);
          }
          form.submit();
        }
      },
    );
  }

  #renewCases() {
    document.getElementById("cases")?.dispatchEvent(new Event("refresh"));
  }
}

if (document.getElementById("calls") !== null) new Desk().start();
