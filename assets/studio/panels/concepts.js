// Concept influence: bars around 1, each of which selects a concept, and the image with its mask and the strongest
// pixels. Masks arrive as bits and are drawn here.
import { shown } from "../shown.js";
import { createWork, showWork } from "../work.js";

export function start({ element, props, trigger, watch }) {
  const find = (selector) => element.querySelector(selector);
  const section = find(".ge-concepts");
  const choice = (name) => find(`[data-choice=${name}]`);
  let result = null;
  let chosen = null; // name of the concept whose mask is shown
  let image = null; // the image below the mask

  const work = createWork({
    name: "concepts",
    ask: (question) => trigger("ask", question),
    stop: () => trigger("stop"),
    repaint,
  });

  // ---- a mask and its legend, which are separate components above this one

  function takeUploads() {
    const place = find(".ge-painted > div");
    for (const name of ["concepts-mask", "concepts-legend"]) {
      const part = document.getElementById(name);
      if (part && part.parentElement !== place) place.append(part);
    }
  }

  const uploads = !document.querySelector(".ge-consent[data-uploads=off]");
  choice("segmenter").querySelector("[value=mask]").disabled = !uploads;

  // ---- bars

  function button(row) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = row.concept;
    made.disabled = row.mask === null;
    made.title = row.mask === null ? "There is none in the image" : "Show where it is";
    return made;
  }

  function span(name, text) {
    const made = document.createElement("span");
    made.className = name;
    made.textContent = text;
    return made;
  }

  function bar(row) {
    const line = document.createElement("li");
    line.dataset.concept = row.concept;
    const track = span("ge-track", "");
    const fill = document.createElement("span");
    fill.dataset.more = row.ci > 1;
    fill.dataset.said = row.said;
    fill.style.setProperty("--length", Math.abs(row.length));
    track.append(fill);
    if (row.chance) {
      const range = document.createElement("i");
      range.style.setProperty("--from", row.chance[0]);
      range.style.setProperty("--to", row.chance[1]);
      track.append(range);
    }
    const figure = span("ge-ci", row.figure);
    line.title = `${row.concept}: ${row.words}`;
    line.dataset.said = row.said;
    const said = { more: "more than chance", fewer: "fewer than chance" }[row.said] || "as by chance";
    line.append(button(row), track, figure, span("ge-shares", `${row.tki} on ${row.share}: ${said}`));
    line.addEventListener("click", () => row.mask && choose(row.concept));
    return line;
  }

  function ignored(row) {
    const line = document.createElement("li");
    line.dataset.concept = row.concept;
    line.append(button(row), span("ge-reason", row.ignored));
    line.addEventListener("click", () => row.mask && choose(row.concept));
    return line;
  }

  function choose(name) {
    chosen = chosen === name ? null : name;
    for (const line of element.querySelectorAll("[data-concept]")) {
      const pressed = line.dataset.concept === chosen;
      line.dataset.chosen = pressed;
      line.querySelector("button").setAttribute("aria-pressed", pressed);
    }
    paint();
  }

  // ---- the picture

  function bits(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return (i) => (bytes[i >> 3] >> (7 - (i & 7))) & 1;
  }

  const TIMES = 3; // pixels of the picture per pixel of the network's view

  function paint() {
    const row = result.rows.find(({ concept }) => concept === chosen);
    find(".ge-concepts-shown").textContent = row
      ? `Bright: ${row.concept}, ${row.share} of the image`
      : "Choose a bar to see where it is";
    const canvas = find(".ge-concepts-picture canvas");
    canvas.setAttribute("aria-label", row ? `Where ${row.concept} is` : "The image");
    if (!image) return;
    const [H, W] = result.size;
    canvas.width = TIMES * W;
    canvas.height = TIMES * H;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
    const inside = row?.mask ? bits(row.mask) : null;
    const top = choice("top").checked && !result.flat ? bits(result.top) : null;
    const border = (x, y) => {
      // Outside the mask, but next to a pixel inside.
      for (const [u, v] of [
        [x - 1, y],
        [x + 1, y],
        [x, y - 1],
        [x, y + 1],
      ]) {
        const [column, line] = [Math.floor(u / TIMES), Math.floor(v / TIMES)];
        if (column >= 0 && column < W && line >= 0 && line < H && inside(line * W + column)) return true;
      }
      return false;
    };
    for (let y = 0; y < canvas.height; y++) {
      for (let x = 0; x < canvas.width; x++) {
        const i = Math.floor(y / TIMES) * W + Math.floor(x / TIMES);
        const k = 4 * (y * canvas.width + x);
        if (inside && !inside(i)) {
          const light = border(x, y) ? [255, 255, 255] : null;
          for (let c = 0; c < 3; c++) pixels.data[k + c] = light ? light[c] : pixels.data[k + c] >> 2;
        }
        if (top?.(i))
          for (let c = 0; c < 3; c++) pixels.data[k + c] = 0.3 * pixels.data[k + c] + 0.7 * [255, 213, 0][c];
      }
    }
    context.putImageData(pixels, 0, 0);
  }

  async function load(about) {
    const of = result;
    const loaded = new Image();
    loaded.src = about.image;
    await loaded.decode();
    if (result !== of) return;
    image = loaded;
    paint();
  }

  // ---- work

  function showResult() {
    result = work.report;
    image = null;
    const about = shown();
    const counted = result.rows.filter((row) => !row.ignored).sort((one, other) => other.ci - one.ci);
    const rest = result.rows.filter((row) => row.ignored);
    find(".ge-caption").textContent =
      `${result.method} of ${about.label} (${about.percent}): share of the strongest pixels over share of the image`;
    find(".ge-bars").replaceChildren(...counted.map(bar));
    find(".ge-axis").hidden = find(".ge-bars").hidden = counted.length === 0;
    find(".ge-none").hidden = counted.length > 0;
    find(".ge-ignored").hidden = rest.length === 0;
    find(".ge-ignored ul").replaceChildren(...rest.map(ignored));
    find(".ge-top-words").textContent = result.topWords;
    find(".ge-notes").textContent = result.notes;
    choice("top").disabled = result.flat;
    const [H, W] = result.size;
    section.style.setProperty("--ge-aspect", `${W} / ${H}`);
    const before = chosen;
    chosen = null;
    const kept = result.rows.find(({ concept, mask }) => concept === before && mask);
    choose(kept ? before : null);
    load(about);
  }

  function repaint() {
    const about = shown();
    const busy = work.state === "running" || work.state === "stopping";
    if (work.state === "done" && result !== work.report) showResult();
    if (work.state === "idle") result = null;
    find(".ge-start").hidden = busy;
    find(".ge-start").disabled = !about;
    showWork(section, work, "passes");
    const segmenter = choice("segmenter").value;
    find(".ge-painted").hidden = segmenter !== "mask";
    find(".ge-width").hidden = segmenter !== "landcover";
    find(".ge-concepts-result").hidden = result === null;
    section.dataset.state = work.state;
  }

  const value = (name) => {
    const input = choice(name);
    return input.value === "" ? null : Number(input.value);
  };

  find(".ge-start").addEventListener("click", () => {
    const { asked, combi } = shown();
    work.start({
      ...asked(),
      method: choice("method").value,
      segmenter: choice("segmenter").value,
      combi: combi(),
      width: value("width"),
      k: value("k"),
      share: value("share"),
      dilate: value("dilate"),
    });
  });
  find(".ge-cancel").addEventListener("click", work.stop);
  choice("top").addEventListener("change", paint);
  choice("segmenter").addEventListener("change", () => {
    takeUploads();
    repaint();
  });
  document.addEventListener("geoexplain-shown", () => {
    work.forget();
    repaint();
  });
  watch("report", () => work.hear(props.report));
  takeUploads();
  repaint();
}
