// @ts-check
/**
 * Adding a picture to a visit: made small here, before anything is sent or kept. Drawing it anew also leaves out what
 * the camera wrote beside it (place, time, device).
 */

const MOST_BYTES = 200 * 1024;
const SIDES = [1600, 1280, 960, 720];
const QUALITIES = [0.82, 0.7, 0.55, 0.42];
const THUMBNAIL = { side: 200, most: 12 * 1024, qualities: [0.7, 0.5, 0.3] };

/**
 * @param {ImageBitmap} picture
 * @param {number} side the longer side in pixels
 * @returns {HTMLCanvasElement}
 */
function drawn(picture, side) {
  const scale = Math.min(1, side / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  const pen = canvas.getContext("2d");
  if (!pen) throw new Error("no canvas");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number} quality
 * @returns {Promise<Blob>}
 */
function packed(canvas, quality) {
  return new Promise((done, failed) =>
    canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("no picture"))), "image/jpeg", quality),
  );
}

/**
 * Return a picture as a JPEG of at most so many bytes: first less exact, then smaller.
 * @param {ImageBitmap} picture
 * @param {number[]} sides
 * @param {number[]} qualities
 * @param {number} most
 * @returns {Promise<Blob>}
 */
export async function made(picture, sides, qualities, most) {
  let last = null;
  for (const side of sides) {
    const canvas = drawn(picture, side);
    for (const quality of qualities) {
      last = await packed(canvas, quality);
      if (last.size <= most) return last;
    }
  }
  if (!last) throw new Error("no picture");
  return last;
}

/**
 * @param {HTMLElement} place
 * @param {File} file
 * @param {string} words
 */
async function send(place, file, words) {
  const form = new FormData();
  form.set("id", crypto.randomUUID());
  form.set("words", words);
  if (file.type.startsWith("image/")) {
    const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
    form.set("picture", await made(picture, SIDES, QUALITIES, MOST_BYTES), "picture.jpg");
    form.set("thumbnail", await made(picture, [THUMBNAIL.side, 120], THUMBNAIL.qualities, THUMBNAIL.most), "small.jpg");
    picture.close();
  } else {
    form.set("picture", file, "document.pdf");
  }
  const answer = await fetch(`${place.dataset.address}`, { method: "POST", body: form });
  const list = document.getElementById("picture-list");
  if (list) list.innerHTML = await answer.text();
}

const place = document.getElementById("pictures");
const note = /** @type {HTMLInputElement | null} */ (document.getElementById("picture-words"));
const state = document.getElementById("picture-state");

if (place && state) {
  for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (place.querySelectorAll("input.picture"))) {
    input.addEventListener("change", async () => {
      const file = input.files?.[0];
      if (!file) return;
      input.disabled = true;
      state.dataset.state = "busy";
      try {
        await send(place, file, note?.value ?? "");
        state.dataset.state = "";
        if (note) note.value = "";
      } catch {
        state.dataset.state = "failed";
      }
      input.value = "";
      input.disabled = false;
    });
  }
}
