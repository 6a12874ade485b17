// @ts-check
/** On every page: a form that was sent is not sent twice by an impatient finger. */

document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  if (form.hasAttribute("hx-post") && event.defaultPrevented) return;
  // After the browser has taken the pressed button's value along.
  setTimeout(() => {
    for (const button of form.querySelectorAll("button")) button.disabled = true;
  }, 0);
});

addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const button of document.querySelectorAll("button")) button.disabled = false;
});

export {};
