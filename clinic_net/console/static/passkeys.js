// @ts-check
/** Passkeys: every `[data-passkey]` has a button that signs in, proves or adds one. The hub says what is asked. */

/** @param {string} text base64url @returns {ArrayBuffer} */
function bytes(text) {
  const binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0)).buffer;
}

/** @param {ArrayBuffer} buffer @returns {string} base64url */
function text(buffer) {
  const binary = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

class Refused extends Error {}

/** @param {string} path @param {Record<string, unknown>} what @returns {Promise<any>} */
async function ask(path, what) {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(what) });
  const said = await answer.json();
  if (!answer.ok) throw new Refused(said.code);
  return said;
}

/** @param {any} asked @returns {Promise<Record<string, unknown>>} */
async function create(asked) {
  const publicKey = {
    ...asked,
    challenge: bytes(asked.challenge),
    user: { ...asked.user, id: bytes(asked.user.id) },
    excludeCredentials: asked.excludeCredentials.map((/** @type {any} */ key) => ({ ...key, id: bytes(key.id) })),
  };
  const made = await navigator.credentials.create({ publicKey });
  if (!(made instanceof PublicKeyCredential && made.response instanceof AuthenticatorAttestationResponse)) throw new Error();
  const response = { clientDataJSON: text(made.response.clientDataJSON), attestationObject: text(made.response.attestationObject) };
  return { id: made.id, rawId: text(made.rawId), type: made.type, response };
}

/** @param {any} asked @returns {Promise<Record<string, unknown>>} */
async function prove(asked) {
  const publicKey = {
    ...asked,
    challenge: bytes(asked.challenge),
    allowCredentials: asked.allowCredentials.map((/** @type {any} */ key) => ({ ...key, id: bytes(key.id) })),
  };
  const made = await navigator.credentials.get({ publicKey });
  if (!(made instanceof PublicKeyCredential && made.response instanceof AuthenticatorAssertionResponse)) throw new Error();
  const { clientDataJSON, authenticatorData, signature, userHandle } = made.response;
  const response = {
    clientDataJSON: text(clientDataJSON),
    authenticatorData: text(authenticatorData),
    signature: text(signature),
    userHandle: userHandle === null ? null : text(userHandle),
  };
  return { id: made.id, rawId: text(made.rawId), type: made.type, response };
}

/** What this device is called in the list of passkeys. */
function label() {
  const system = /Android|iPhone|iPad|Windows|Mac OS X|Linux/.exec(navigator.userAgent);
  return system === null ? "" : system[0];
}

/** @param {unknown} problem */
function wordOf(problem) {
  if (!(problem instanceof Refused)) return "passkey.cancelled";
  return problem.message === "sign-in-expired" ? "passkey.expired" : "passkey.refused";
}

/** @param {HTMLElement} place */
async function use(place) {
  const occasion = place.dataset.passkey ?? "";
  const adds = occasion === "add" || occasion === "set-up";
  const asked = await ask("/passkeys/options", { for: occasion });
  const credential = adds ? await create(asked) : await prove(asked);
  const done = await ask("/passkeys/answer", { for: occasion, credential, label: label(), next: place.dataset.next ?? "/" });
  location.assign(done.to);
}

for (const place of document.querySelectorAll("[data-passkey]")) {
  const button = place.querySelector("button");
  const problem = place.querySelector("[role=alert]");
  if (!(place instanceof HTMLElement && button !== null && problem instanceof HTMLElement)) continue;
  /** @param {string} word */
  const say = (word) => {
    problem.textContent = place.querySelector(`[data-word="${word}"]`)?.textContent ?? "";
    problem.hidden = false;
  };
  button.addEventListener("click", () => {
    if (!("PublicKeyCredential" in window)) return say("passkey.unsupported");
    problem.hidden = true;
    button.disabled = true;
    use(place).catch((refused) => {
      button.disabled = false;
      if (refused instanceof Refused && refused.message === "verification-needed") {
        return location.assign(`/verify?next=${encodeURIComponent(location.pathname)}`);
      }
      say(wordOf(refused));
    });
  });
}
