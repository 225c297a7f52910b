// One tile per stage or block: its map, a switch and a weight. The caller defines what the tiles stand for and how it
// reacts to changes.

export const fillSlider = (slider) => slider.style.setProperty("--ge-fill", `${(100 * slider.value) / slider.max}%`);

// The server's text for the value of a slider.
export const sliderWords = (slider) => slider.dataset.words.split("|")[Math.round(slider.value / slider.step)];

function tile(template, { title, size }, i, weights, enabled, changed) {
  const node = template.content.firstElementChild.cloneNode(true);
  node.querySelector(".ge-tile-name").textContent = title;
  node.querySelector(".ge-tile-size").textContent = size;
  const toggle = node.querySelector("input[type=checkbox]");
  const slider = node.querySelector("input[type=range]");
  toggle.setAttribute("aria-label", `${title} on or off`);
  slider.setAttribute("aria-label", `${title} weight`);
  const show = () => {
    toggle.checked = enabled[i];
    slider.value = weights[i];
    fillSlider(slider);
    slider.disabled = !toggle.checked;
    node.querySelector("output").textContent = weights[i].toFixed(2); // it may lie between two steps of the slider
    node.classList.toggle("ge-off", !toggle.checked);
  };
  toggle.addEventListener("change", () => {
    enabled[i] = toggle.checked;
    if (toggle.checked && weights[i] === 0) weights[i] = 1;
    show();
    changed();
  });
  slider.addEventListener("input", () => {
    weights[i] = Number(slider.value);
    show();
    changed();
  });
  show();
  return node;
}

// `entries` name the tiles; `weights` and `enabled`, one per tile, are changed in place.
export function buildTiles(holder, template, entries, weights, enabled, changed) {
  holder.dataset.many = String(entries.length > 12);
  holder.replaceChildren(...entries.map((entry, i) => tile(template, entry, i, weights, enabled, changed)));
}

// `draw(i, canvas)` returns whether the map is flat.
export function paintTiles(holder, draw) {
  [...holder.children].forEach((node, i) => {
    node.querySelector(".ge-tile-flat").hidden = !draw(i, node.querySelector("canvas"));
  });
}

// Draws RGBA pixels on a canvas, which is resized to fit them.
export function paintPixels(canvas, pixels, W, H) {
  canvas.width = W;
  canvas.height = H;
  canvas.getContext("2d").putImageData(new ImageData(pixels, W, H), 0, 0);
}
