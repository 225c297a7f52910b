// The heatmap panels and the Combi-CAM controls. All that needs no pass of the network is computed here: colours,
// opacity, weights, level, combination.
import { decode, isFlat, normalise, upsample } from "./blend.js";
import { colorPixels, createHeatmaps } from "./heatmaps.js";
import { createOnDemand } from "./ondemand.js";
import { show as tellWhatIsShown } from "./shown.js";
import { paintTiles as drawTiles, fillSlider, buildTiles as fillTiles, paintPixels, sliderWords } from "./tiles.js";
import { createTuning } from "./tuning.js";

const FOR_IMAGE = "for-image"; // the preset that was tuned for the image on the page
const SHOWN = ["model", "target", "place", "label", "percent", "cell", "best", "image", "alt", "size"];

export function start({ element, props, trigger, watch }) {
  const menu = props.menu;
  const find = (selector) => element.querySelector(selector);
  const all = (selector) => [...element.querySelectorAll(selector)];
  const root = find(".ge-explanation");
  const state = {
    method: menu.methods[0].name,
    level: "stage",
    how: menu.first_how,
    preset: null,
    weights: { stage: [], block: [] },
    enabled: { stage: [], block: [] },
    colormap: menu.colormaps[0].name,
  };
  let payload = null; // what the server sent for the current image and cell
  let heatmaps = null; // the maps of the payload
  const onDemand = menu.on_demand.map((name) =>
    createOnDemand(find(`[data-panel="${name}"]`), {
      ask: (question) => trigger("scorecam", { ...question, method: name }),
      stop: () => trigger("stop"),
      question: () => ({ score: payload.score, ...asked() }),
      paint: ({ h, w, values }) =>
        paintPanel(name, upsample(decode(values), h, w, ...payload.size), `last stage, ${h}×${w}`),
    }),
  );
  const tuning = createTuning(find(".ge-tuning"), {
    ask: (question) => trigger("tune", question),
    stop: () => trigger("stoptuning"),
    question: () => ({ ...asked(), combi: combi() }),
    found: () => applyPreset(FOR_IMAGE),
  });
  let pendingPreset = menu.first_preset;
  let pendingFrame = 0;

  const luts = Object.fromEntries(
    menu.colormaps.map(({ name, lut }) => [name, Uint8Array.from(atob(lut), (c) => c.charCodeAt(0))]),
  );

  // The cell or place that is explained, as requests name it.
  const asked = () => ({ model: payload.model, ...(payload.place || { cell: payload.target }) });

  const paint = (canvas, normalised, W, H) => paintPixels(canvas, colorPixels(normalised, luts[state.colormap]), W, H);

  function paintPanel(name, values, note) {
    const figure = find(`[data-panel="${name}"]`);
    const [H, W] = payload.size;
    const flat = isFlat(values);
    const canvas = figure.querySelector("canvas");
    canvas.hidden = flat;
    if (!flat) paint(canvas, normalise(values), W, H);
    figure.querySelector(".ge-flat").hidden = !flat;
    figure.querySelector(".ge-note").textContent = note;
  }

  function effectiveWeights() {
    return state.weights[state.level].map((weight, i) => (state.enabled[state.level][i] ? weight : 0));
  }

  const combi = () => ({
    method: state.method,
    level: state.level,
    how: state.how,
    weights: effectiveWeights(),
    score: payload.score,
  });

  function paintCombination() {
    pendingFrame = 0;
    if (!payload) return;
    const setting = combi();
    const chosen = setting.weights.filter((weight) => weight > 0).length;
    paintPanel("combi-cam", heatmaps.combination(setting), `${chosen} of ${setting.weights.length} ${state.level}s`);
    root.dataset.painted = String(Number(root.dataset.painted || 0) + 1);
  }

  function repaint() {
    if (!pendingFrame) pendingFrame = requestAnimationFrame(paintCombination);
  }

  function paintSingles() {
    const last = payload.stage_ends[payload.stage_ends.length - 1];
    const { h, w } = payload.blocks[last];
    for (const { name } of menu.methods)
      paintPanel(name, heatmaps.layer(name, last, menu.first_how), `last stage, ${h}×${w}`);
    for (const panel of onDemand) panel.repaint();
  }

  function paintTiles() {
    drawTiles(find(".ge-tiles"), (i, canvas) => {
      const block = heatmaps.blocksAt(state.level)[i];
      const { h, w } = payload.blocks[block];
      const values = heatmaps.raw(state.method, block);
      paint(canvas, normalise(values), w, h);
      return isFlat(values);
    });
  }

  function buildTiles() {
    const { level } = state;
    const entries = heatmaps.blocksAt(level).map((block, i) => {
      const { h, w, channels, stage } = payload.blocks[block];
      const size = `${h}×${w} · ${channels}\u00a0ch`;
      return level === "block"
        ? { title: `Block ${i + 1}`, size: `${size} · stage\u00a0${stage}` }
        : { title: `Stage ${i + 1}`, size };
    });
    fillTiles(find(".ge-tiles"), find("template"), entries, state.weights[level], state.enabled[level], () => {
      markPreset(null);
      repaint();
    });
    paintTiles();
  }

  function markPreset(name) {
    state.preset = name;
    all("[data-preset]").forEach((button) =>
      button.setAttribute("aria-pressed", String(button.dataset.preset === name)),
    );
    tuning.show(name === FOR_IMAGE, name === menu.tuned_preset ? payload.tuned.words : "");
  }

  // Tuned presets, of the model or of the image, come with their own weights.
  function presetOf(name) {
    if (name === FOR_IMAGE) return tuning.preset;
    if (name === menu.tuned_preset) return payload.tuned;
    const preset = menu.presets.find((p) => p.name === name);
    return preset && { ...preset, weights: payload.preset_weights[name] };
  }

  function setWeights(level, weights) {
    state.weights[level] = weights.map((weight) => (weight > 0 ? weight : 1));
    state.enabled[level] = weights.map((weight) => weight > 0);
  }

  function syncControls() {
    find("[data-choice=method]").value = state.method;
    find("[data-choice=level]").value = state.level;
    find("[data-choice=how]").value = state.how;
    find("[data-choice=score]").value = payload ? payload.score : "probability";
    find("[data-choice=colormap]").value = state.colormap;
  }

  function applyPreset(name) {
    const preset = presetOf(name);
    state.method = preset.method;
    state.level = preset.level;
    state.how = preset.how;
    setWeights(preset.level, preset.weights);
    markPreset(name);
    if (payload.score !== preset.score) {
      pendingPreset = name; // the server sends the maps of the other score; then this preset is applied again
      requestScore(preset.score);
      return;
    }
    syncControls();
    buildTiles();
    repaint();
  }

  function requestScore(score) {
    say("Working: the network runs once more …");
    trigger("rescore", { score, ...asked() });
  }

  function say(text) {
    find(".ge-state").textContent = text;
  }

  function paintLegend() {
    const bar = find(".ge-legend canvas");
    paint(
      bar,
      Float32Array.from({ length: 256 }, (_, i) => i / 255),
      256,
      1,
    );
  }

  // What the page shows, for the panels below; null for nothing.
  function tellShown() {
    const about = payload && Object.fromEntries(SHOWN.map((key) => [key, payload[key]]));
    tellWhatIsShown(about && { ...about, colormap: () => state.colormap, combi, asked });
  }

  function showEverything() {
    const shown = payload;
    payload = props.value;
    root.dataset.state = payload ? "done" : "empty";
    root.dataset.model = payload ? payload.model : "";
    for (const panel of onDemand) panel.forget(); // its result belongs to the last answer
    const same = shown && payload && ["model", "image", "target", "alt"].every((key) => shown[key] === payload[key]);
    if (!(same && pendingPreset === FOR_IMAGE)) {
      if (pendingPreset === FOR_IMAGE) pendingPreset = null;
      if (state.preset === FOR_IMAGE) markPreset(null);
      tuning.forget();
    }
    tellShown();
    if (!payload) {
      say(menu.words.empty);
      return;
    }
    heatmaps = createHeatmaps(payload, menu.combinations);
    all(".ge-panel img").forEach((image) => {
      image.src = payload.image;
      image.alt = payload.alt;
    });
    root.style.setProperty("--ge-aspect", `${payload.size[1]} / ${payload.size[0]}`);
    say(payload.words);
    const known =
      state.weights.block.length === payload.blocks.length && state.weights.stage.length === payload.stage_ends.length;
    if (!known) {
      setWeights("stage", Array(payload.stage_ends.length).fill(1));
      setWeights("block", Array(payload.blocks.length).fill(1));
      pendingPreset = state.preset || menu.first_preset; // another network has other stages and weights
    }
    const tunedButton = find(`[data-preset="${menu.tuned_preset}"]`);
    tunedButton.hidden = !payload.tuned;
    if (payload.tuned) tunedButton.title = payload.tuned.words;
    if (state.preset === menu.tuned_preset) {
      pendingPreset = payload.tuned ? menu.tuned_preset : menu.first_preset; // each model has its own
    }
    paintSingles();
    if (pendingPreset) {
      const name = pendingPreset;
      pendingPreset = null;
      applyPreset(name);
    } else {
      syncControls();
      buildTiles();
      repaint();
    }
  }

  all("[data-preset]").forEach((button) =>
    button.addEventListener("click", () => payload && applyPreset(button.dataset.preset)),
  );
  find("[data-choice=method]").addEventListener("change", (event) => {
    state.method = event.target.value;
    markPreset(null);
    paintTiles();
    repaint();
  });
  find("[data-choice=level]").addEventListener("change", (event) => {
    state.level = event.target.value;
    markPreset(null);
    buildTiles();
    repaint();
  });
  find("[data-choice=how]").addEventListener("change", (event) => {
    state.how = event.target.value;
    markPreset(null);
    repaint();
  });
  find("[data-choice=score]").addEventListener("change", (event) => {
    markPreset(null);
    requestScore(event.target.value);
  });
  find("[data-choice=colormap]").addEventListener("change", (event) => {
    state.colormap = event.target.value;
    paintLegend();
    if (!payload) return;
    paintSingles();
    paintTiles();
    repaint();
  });
  const opacity = find("[data-choice=opacity]");
  const showOpacity = () => {
    root.style.setProperty("--ge-opacity", opacity.value);
    fillSlider(opacity);
    find(".ge-opacity-value").textContent = sliderWords(opacity);
  };
  opacity.addEventListener("input", showOpacity);
  watch("value", showEverything);
  watch("score_cam", () => {
    for (const panel of onDemand) panel.hear(props.score_cam);
  });
  watch("tuning", () => tuning.hear(props.tuning));
  showOpacity();
  paintLegend();
  showEverything();
}
