// The scores: a table with selectable rows, two curves, and the image at the step under the pointer.
import { shown as aboutShown } from "../shown.js";
import { fillSlider } from "../tiles.js";
import { createWork, showWork } from "../work.js";

export function start({ element, props, trigger, watch }) {
  const find = (selector) => element.querySelector(selector);
  const all = (selector) => [...element.querySelectorAll(selector)];
  const section = find(".ge-faith");
  const metrics = all("[data-metric]").map((head) => head.dataset.metric);
  const SVG = "http://www.w3.org/2000/svg";
  const PLOT = { left: 38, right: 390, top: 10, bottom: 192 };
  let result = null;
  let chosen = null; // name of the selected row
  let curve = "deletion"; // which of the two curves the picture belongs to
  let step = 0;
  let pictures = {}; // "image" and "blurred", as ImageData

  const work = createWork({
    name: "faithfulness",
    ask: (question) => trigger("ask", question),
    stop: () => trigger("stop"),
    repaint,
  });

  function node(tag, attributes, text) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  const rowOf = (name) => result.rows.find((row) => row.name === name);

  // The limits that a method has to pass: equally coarse maps that are unrelated to the image do not pass them.
  function limits() {
    const line = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = "beyond chance";
    head.title = "What unrelated maps that are as coarse do not reach: ten of the methods’ own maps, moved elsewhere";
    line.append(head);
    for (const metric of metrics) {
      const cell = document.createElement("td");
      cell.textContent = result.limit_words[metric] ?? "–";
      line.append(cell);
    }
    return line;
  }

  function tableRow(row) {
    const line = document.createElement("tr");
    line.dataset.row = row.name;
    line.dataset.baseline = row.baseline;
    const head = document.createElement("th");
    head.scope = "row";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = row.title;
    button.title = "Show its curves";
    head.append(button);
    line.append(head);
    for (const metric of metrics) {
      const cell = document.createElement("td");
      cell.dataset.metric = metric;
      cell.textContent = row.figures[metric];
      if (result.standing[metric]?.includes(row.name)) cell.dataset.standing = "true";
      if (metric !== "time" && row.reasons[metric]) cell.title = row.reasons[metric];
      line.append(cell);
    }
    line.addEventListener("click", () => choose(row.name));
    return line;
  }

  function choose(name) {
    chosen = name;
    all(".ge-scores tbody tr").forEach((line) => {
      line.setAttribute("aria-selected", line.dataset.row === name);
      line.querySelector("button").setAttribute("aria-pressed", line.dataset.row === name);
    });
    paintCurves();
    paintStep();
  }

  const x = (share) => PLOT.left + share * (PLOT.right - PLOT.left);
  const y = (probability) => PLOT.bottom - (probability / result.highest) * (PLOT.bottom - PLOT.top);

  function paintCurves() {
    for (const kind of ["deletion", "insertion"]) {
      const svg = find(`[data-curve="${kind}"] svg`);
      svg.replaceChildren();
      svg.setAttribute(
        "aria-label",
        `Probability of ${aboutShown().label} while pixels are changed, ${kind}, ${rowOf(chosen).title}`,
      );
      for (const [i, part] of [0, 0.5, 1].entries()) {
        const level = part * result.highest;
        svg.append(node("line", { x1: PLOT.left, x2: PLOT.right, y1: y(level), y2: y(level), class: "ge-curve-grid" }));
        svg.append(
          node(
            "text",
            { x: PLOT.left - 6, y: y(level) + 4, "text-anchor": "end", class: "ge-curve-word" },
            result.up[i],
          ),
        );
        svg.append(
          node(
            "text",
            {
              x: x(part),
              y: PLOT.bottom + 16,
              "text-anchor": ["start", "middle", "end"][2 * part],
              class: "ge-curve-word",
            },
            result.across[i],
          ),
        );
      }
      const draw = (row, look) => {
        const points = row.curves[kind];
        if (!points) return;
        const path = points.shares
          .map((share, i) => `${i ? "L" : "M"}${x(share)} ${y(points.probabilities[i])}`)
          .join("");
        if (look === "chosen")
          svg.append(node("path", { d: `${path}L${x(1)} ${y(0)}L${x(0)} ${y(0)}Z`, class: "ge-curve-area" }));
        svg.append(node("path", { d: path, class: `ge-faith-line ge-faith-${look}` }));
      };
      for (const row of result.rows) if (row.name !== chosen) draw(row, row.baseline ? "baseline" : "other");
      draw(rowOf(chosen), "chosen");
      svg.append(node("line", { y1: PLOT.top, y2: PLOT.bottom, class: "ge-curve-scale" }));
      svg.append(node("circle", { r: 4.5, class: "ge-curve-dot ge-faith-dot" }));
    }
  }

  function paintStep() {
    const row = rowOf(chosen);
    const slider = find(".ge-step-choice input");
    slider.max = result.steps;
    slider.value = step;
    fillSlider(slider);
    const share = step / result.steps;
    find(".ge-step-choice output").textContent = `${step} of ${result.steps}`;
    for (const kind of ["deletion", "insertion"]) {
      const svg = find(`[data-curve="${kind}"] svg`);
      const points = row.curves[kind];
      const at = points ? points.shares[step] : share;
      svg.querySelector(".ge-curve-scale").setAttribute("x1", x(at));
      svg.querySelector(".ge-curve-scale").setAttribute("x2", x(at));
      const dot = svg.querySelector("circle");
      dot.style.display = points ? "" : "none";
      if (points) {
        dot.setAttribute("cx", x(at));
        dot.setAttribute("cy", y(points.probabilities[step]));
      }
    }
    const points = row.curves[curve];
    const caption = find(".ge-step figcaption");
    if (!points || !pictures.image || !pictures.blurred) {
      caption.textContent = points ? "" : "A flat map: it puts no pixel before another.";
      return;
    }
    const [part, probability] = [points.pixels[step], points.percent[step]];
    caption.textContent =
      curve === "deletion"
        ? `${row.title}: ${part} of the pixels hidden, probability ${probability}`
        : `${row.title}: ${part} of the pixels sharp again, probability ${probability}`;
    const [H, W] = result.size;
    const canvas = find(".ge-step canvas");
    canvas.width = W;
    canvas.height = H;
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(W, H);
    row.turns ??= Uint8Array.from(atob(row.order), (c) => c.charCodeAt(0));
    for (let i = 0; i < row.turns.length; i++) {
      const changed = row.turns[i] <= step;
      for (let c = 0; c < 3; c++) {
        const k = 4 * i + c;
        if (curve === "deletion") pixels.data[k] = changed ? result.blank[c] : pictures.image.data[k];
        else pixels.data[k] = (changed ? pictures.image : pictures.blurred).data[k];
      }
      pixels.data[4 * i + 3] = 255;
    }
    context.putImageData(pixels, 0, 0);
  }

  async function read(name) {
    const image = new Image();
    image.src = result[name];
    const of = result;
    await image.decode();
    if (of !== result) return;
    const [H, W] = result.size;
    const canvas = Object.assign(document.createElement("canvas"), { width: W, height: H });
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0, W, H);
    pictures[name] = context.getImageData(0, 0, W, H);
    paintStep();
  }

  function showResult() {
    result = work.report;
    pictures = {};
    const { label, percent } = aboutShown();
    find(".ge-caption").textContent =
      `${label} (${percent}), deletion and insertion in ${result.steps} steps. Marked: beyond chance, and better than every map that knows nothing of the network. Choose a row to see its curves.`;
    find(".ge-scores tbody").replaceChildren(...result.rows.map(tableRow));
    find(".ge-scores tfoot").replaceChildren(limits());
    find(".ge-reading").textContent = result.reading;
    step = Math.round(result.steps / 4);
    choose(result.rows.some((row) => row.name === chosen) ? chosen : result.rows[0].name);
    read("image");
    read("blurred");
  }

  function repaint() {
    const about = aboutShown();
    find(".ge-start").disabled = !about || work.state !== "idle";
    find(".ge-start").hidden = work.state === "running" || work.state === "stopping";
    showWork(section, work, "maps");
    if (work.total)
      find(".ge-count").textContent =
        work.state === "stopping" ? "Stopping …" : `${Math.floor(work.done / 100)} of ${work.total / 100} measured`;
    if (work.state === "done" && result !== work.report) showResult();
    if (work.state === "done") find(".ge-start").disabled = false;
    if (work.state === "idle") result = null;
    find(".ge-faith-result").hidden = result === null;
    section.dataset.state = work.state;
  }

  find(".ge-start").addEventListener("click", () => {
    const { asked, combi } = aboutShown();
    work.start({
      ...asked(),
      steps: Number(find("[data-choice=steps]").value),
      scoreCam: find("[data-choice=score-cam]").checked,
      combi: combi(),
    });
  });
  find(".ge-cancel").addEventListener("click", work.stop);
  find(".ge-step-choice input").addEventListener("input", (event) => {
    step = Number(event.target.value);
    paintStep();
  });
  for (const box of all("[data-curve]")) {
    const svg = box.querySelector("svg");
    const follow = (event) => {
      if (!result) return;
      const { left, width } = svg.getBoundingClientRect();
      const share = (((event.clientX - left) / width) * 400 - PLOT.left) / (PLOT.right - PLOT.left);
      curve = box.dataset.curve;
      step = Math.max(0, Math.min(result.steps, Math.round(share * result.steps)));
      all("[data-curve]").forEach((other) => (other.dataset.followed = other === box));
      paintStep();
    };
    svg.addEventListener("pointermove", follow);
    svg.addEventListener("pointerdown", follow);
  }
  document.addEventListener("geoexplain-shown", () => {
    work.forget();
    repaint();
  });
  watch("report", () => work.hear(props.report));
  repaint();
}
