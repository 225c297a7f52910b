// Why here and not there. The server sends the raw maps of both cells once; all else, even a swap of the two, is
// computed here, in the same order as in geoexplain/explainer/combine.py and view/diverging.py.
import { decode, fold } from "../blend.js";
import { shown } from "../shown.js";
import { paintTiles as drawTiles, buildTiles as fillTiles, paintPixels } from "../tiles.js";
import { createWork, showWork } from "../work.js";
import { divergingPixels, pairLayer, signed } from "./diverging.js";

const TILE = { ground: 0, veil: 140, opacity: 1 }; // a map alone, on grey

export function start({ element, props, trigger, watch }) {
  const find = (selector) => element.querySelector(selector);
  const section = find(".ge-contrast");
  const selects = { here: find("[data-side=here] select"), there: find("[data-side=there] select") };
  const choice = (name) => find(`[data-choice=${name}]`);
  let cells = []; // the cells to choose from: { cell, label, percent }
  let pair = { here: null, there: null }; // the chosen cells
  let result = null; // the last report with its maps as numbers
  let turned = false; // whether the chosen cells are swapped compared with the report
  let layers = {}; // "method/block/how" → both maps at the network's input size
  const weights = {};
  const enabled = {};

  const work = createWork({
    name: "contrast",
    ask: (question) => trigger("ask", question),
    stop: () => trigger("stop"),
    repaint,
  });

  function ask(against) {
    leaveMap();
    work.start({ model: shown().model, cell: pair.here, against });
  }

  // ---- the two cells

  function fillSelects() {
    for (const [side, select] of Object.entries(selects)) {
      const other = pair[side === "here" ? "there" : "here"];
      select.replaceChildren(
        ...cells.map(({ cell, label, percent }) => {
          const option = document.createElement("option");
          option.value = cell;
          option.textContent = `${label} (${percent})`;
          option.disabled = cell === other;
          return option;
        }),
      );
      if (pair[side] !== null) select.value = pair[side];
    }
  }

  function know(cell) {
    if (!cells.some((known) => known.cell === cell.cell)) cells.push(cell);
  }

  const holds = (here, there) => result && result.here.cell === here && result.there.cell === there;

  function choose(side, cell) {
    pair[side] = cell;
    fillSelects();
    if (!result) return repaint(); // nothing is computed before the first request
    if (holds(pair.here, pair.there) || holds(pair.there, pair.here)) showPair();
    else ask(pair.there);
  }

  function showPair() {
    turned = !holds(pair.here, pair.there);
    paintAll();
  }

  // ---- choosing on the map

  const picking = () => document.body.classList.contains("ge-picking");

  function leaveMap() {
    if (!picking()) return;
    document.body.classList.remove("ge-picking");
    repaint();
  }

  document.addEventListener("geoexplain-picked", (event) => {
    if (!picking()) return;
    event.preventDefault(); // do not explain this cell
    section.scrollIntoView({ block: "nearest" });
    ask(event.detail);
  });
  document.addEventListener("keydown", (event) => event.key === "Escape" && leaveMap());
  find(".ge-pick").addEventListener("click", () => {
    if (picking()) return leaveMap();
    document.body.classList.add("ge-picking");
    document.querySelector("#map").scrollIntoView({ block: "center" });
    repaint();
  });

  // ---- the picture

  const wayOf = (how) => result.combinations.find(({ name }) => name === how);

  function layer(method, block, how) {
    const key = `${method}/${block}/${how}`;
    if (!layers[key]) {
      const { here, there } = result.numbers[method];
      layers[key] = pairLayer(here[block], there[block], wayOf(how), result.blocks[block], result.size);
    }
    return layers[key];
  }

  const difference = (here, there) => (turned ? signed(there, here) : signed(here, there));

  const level = () => choice("level-of").value;
  const blocksAt = () => (level() === "block" ? result.blocks.map((_, i) => i) : result.stage_ends);
  const effective = () => weights[level()].map((weight, i) => (enabled[level()][i] ? weight : 0));

  function paintPicture() {
    const how = choice("how-of").value;
    const chosen = blocksAt().map((block) => layer(choice("of").value, block, how));
    const [here, there] = ["here", "there"].map((side) =>
      fold(
        chosen.map((both) => both[side]),
        effective(),
        wayOf(how),
      ),
    );
    const values = difference(here, there);
    const [H, W] = result.size;
    const { lightest, darkest, opacity } = result.look;
    const overImage = { ground: (lightest - darkest) / 255, veil: darkest, opacity };
    paintPixels(find(".ge-contrast-picture canvas"), divergingPixels(values, W * H, result.look, overImage), W, H);
    find(".ge-flat").hidden = values !== null;
  }

  function paintTiles() {
    const { here, there } = result.numbers[choice("of").value];
    drawTiles(find(".ge-tiles"), (i, canvas) => {
      const block = blocksAt()[i];
      const { h, w } = result.blocks[block];
      const values = difference(here[block], there[block]);
      paintPixels(canvas, divergingPixels(values, w * h, result.look, TILE), w, h);
      return values === null;
    });
  }

  function buildTiles() {
    const entries = blocksAt().map((block, i) => {
      const { h, w, stage } = result.blocks[block];
      return level() === "block"
        ? { title: `Block ${i + 1}`, size: `${h}×${w} · stage\u00a0${stage}` }
        : { title: `Stage ${i + 1}`, size: `${h}×${w}` };
    });
    fillTiles(find(".ge-tiles"), find("template"), entries, weights[level()], enabled[level()], paintPicture);
    paintTiles();
    paintPicture();
  }

  function setStages(all) {
    for (const [name, count] of [
      ["stage", result.stage_ends.length],
      ["block", result.blocks.length],
    ]) {
      weights[name] = Array(count).fill(1);
      enabled[name] = weights[name].map((_, i) => all || i === count - 1);
    }
  }

  function paintAll() {
    const [here, there] = turned ? [result.there, result.here] : [result.here, result.there];
    for (const [side, { label, percent }] of [
      ["here", here],
      ["there", there],
    ]) {
      find(`.ge-contrast-legend [data-side=${side}] span`).textContent = `${label}: ${percent}`;
    }
    find(".ge-odds").textContent = turned ? result.swapped : result.sentence;
    const about = shown();
    find("img").src = about.image;
    find("img").alt = `${about.alt}; orange speaks for ${here.label}, blue for ${there.label}`;
    const [H, W] = result.size;
    section.style.setProperty("--ge-aspect", `${W} / ${H}`);
    buildTiles();
  }

  // ---- work

  function takeReport() {
    const fresh = !result || result.blocks.length !== work.report.blocks.length;
    result = { ...work.report, numbers: {} };
    for (const [method, { here, there }] of Object.entries(result.maps)) {
      result.numbers[method] = { here: here.map(decode), there: there.map(decode) };
    }
    result.of = work.report;
    layers = {};
    turned = false;
    know(result.here);
    know(result.there);
    pair = { here: result.here.cell, there: result.there.cell };
    fillSelects();
    if (fresh) setStages(true);
    paintAll();
  }

  function repaint() {
    const about = shown();
    const busy = work.state === "running" || work.state === "stopping";
    if (work.state === "done" && result?.of !== work.report) takeReport();
    if (work.state === "idle" && result) {
      // Refused or cancelled: the result stays, and its cells become the chosen ones again.
      pair = turned
        ? { here: result.there.cell, there: result.here.cell }
        : { here: result.here.cell, there: result.there.cell };
      fillSelects();
    }
    find(".ge-start").hidden = busy || result !== null;
    find(".ge-start").disabled = !about || pair.there === null;
    // The requested pair stays chosen until its answer arrives.
    for (const control of [selects.here, selects.there, find(".ge-swap")])
      control.disabled = busy || !about || pair.there === null;
    find(".ge-pick").disabled = busy || !about;
    find(".ge-pick").setAttribute("aria-pressed", String(picking()));
    find(".ge-pick-words").hidden = !picking();
    showWork(section, work, "passes");
    find(".ge-contrast-result").hidden = result === null;
    section.dataset.state = work.state;
  }

  function startAnew() {
    const about = shown();
    const before = pair.there;
    work.forget();
    leaveMap();
    result = null;
    layers = {};
    cells = about ? [...about.best] : [];
    pair = { here: null, there: null };
    find(".ge-contrast-cells").textContent = about?.place
      ? `Cells are compared here: of ${about.label}, the most probable one.`
      : "";
    if (about) {
      know(about.cell);
      const others = cells.filter(({ cell }) => cell !== about.target);
      const kept = others.find(({ cell }) => cell === before) || others[0];
      pair = { here: about.target, there: kept ? kept.cell : null };
    }
    fillSelects();
    repaint();
  }

  for (const [side, select] of Object.entries(selects)) {
    select.addEventListener("change", () => choose(side, Number(select.value)));
  }
  find(".ge-swap").addEventListener("click", () => {
    pair = { here: pair.there, there: pair.here };
    fillSelects();
    if (result && (holds(pair.here, pair.there) || holds(pair.there, pair.here))) showPair();
  });
  find(".ge-start").addEventListener("click", () => ask(pair.there));
  find(".ge-cancel").addEventListener("click", work.stop);
  choice("of").addEventListener("change", () => {
    paintTiles();
    paintPicture();
  });
  choice("how-of").addEventListener("change", paintPicture);
  choice("level-of").addEventListener("change", buildTiles);
  for (const button of element.querySelectorAll("[data-all]")) {
    button.addEventListener("click", () => {
      setStages(button.dataset.all === "true");
      buildTiles();
    });
  }
  document.addEventListener("geoexplain-shown", startAnew);
  watch("report", () => work.hear(props.report));
  startAnew();
}
