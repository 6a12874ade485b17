// @ts-check
/** The page's own words, which it brings in its language: `<li data-word="key">`; and a clock that counts up. */

/** @param {string} key @param {Record<string, string>} [values] what to put for `{name}` */
export function word(key, values = {}) {
  const found = document.querySelector(`[data-word="${key}"]`)?.textContent ?? "";
  return found.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** The page's element of this id, or a complaint. @template {HTMLElement} T @param {string} id @param {new () => T} type @returns {T} */
export function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page lacks #${id}`);
  return found;
}

/** @type {WeakMap<Element, number>} */
const since = new WeakMap();

/** Let every `[data-seconds]` count up from what the hub said; the device's own clock may be wrong. */
export function countUp() {
  const now = performance.now();
  for (const shown of document.querySelectorAll("[data-seconds]")) {
    const began = since.get(shown) ?? now - Number(shown.getAttribute("data-seconds")) * 1000;
    since.set(shown, began);
    const seconds = Math.max(0, Math.floor((now - began) / 1000));
    const pad = (/** @type {number} */ n) => String(n).padStart(2, "0");
    const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
    shown.textContent = h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
  }
}
