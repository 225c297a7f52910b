// The panels and the Combi-CAM controls. Runs inside gr.HTML with element, props, trigger and watch in scope, after
// blend.js, tiles.js and tuning.js. Everything that does not need the network happens here: colours, opacity, weights, level, combination.
const menu = props.menu;
const FOR_IMAGE = "for-image"; // the preset that was tuned for what is shown
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
let maps = {}; // method → block → Float32Array, raw
let layers = {}; // method/level-free cache: "method/block/how" → Float32Array at the network's input size
// One for every CAM that the server computes on demand. What ends one of them ends all: they stand in one queue.
const onDemand = Object.fromEntries(
  menu.on_demand.map((name) => [
    name,
    geoexplainWork({
      name: "score-cam",
      ask: (question) => trigger("scorecam", { ...question, method: name }),
      stop: () => trigger("stop"),
      repaint: () => payload && paintOnDemand(name),
    }),
  ]),
);
const tuning = geoexplainTuning(find(".ge-tuning"), {
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

// What is explained, as the server is asked about it.
const asked = () => ({ model: payload.model, ...(payload.place || { cell: payload.target }) });

const blocksAt = (level) => (level === "block" ? payload.blocks.map((_, i) => i) : payload.stage_ends);

const wayOf = (how) => menu.combinations.find(({ name }) => name === how);

function layer(method, block, how) {
  const key = `${method}/${block}/${how}`;
  if (!layers[key]) {
    const { h, w } = payload.blocks[block];
    const [H, W] = payload.size;
    layers[key] = geoexplainBlend.upsample(geoexplainBlend.scale(maps[method][block], wayOf(how)), h, w, H, W);
  }
  return layers[key];
}

function paint(canvas, normalised, W, H) {
  const lut = luts[state.colormap];
  canvas.width = W;
  canvas.height = H;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(W, H);
  for (let i = 0; i < normalised.length; i++) {
    const level = 3 * Math.round(normalised[i] * 255);
    pixels.data[4 * i] = lut[level];
    pixels.data[4 * i + 1] = lut[level + 1];
    pixels.data[4 * i + 2] = lut[level + 2];
    pixels.data[4 * i + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
}

function paintPanel(name, values, note) {
  const figure = find(`[data-panel="${name}"]`);
  const [H, W] = payload.size;
  const flat = geoexplainBlend.isFlat(values);
  const canvas = figure.querySelector("canvas");
  canvas.hidden = flat;
  if (!flat) paint(canvas, geoexplainBlend.normalise(values), W, H);
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
  const weights = effectiveWeights();
  const blocks = blocksAt(state.level);
  const chosen = blocks.filter((_, i) => weights[i] > 0).length;
  const total = geoexplainBlend.fold(
    blocks.map((block) => layer(state.method, block, state.how)),
    weights,
    wayOf(state.how),
  );
  paintPanel("combi-cam", total, `${chosen} of ${blocks.length} ${state.level}s`);
  root.dataset.painted = String(Number(root.dataset.painted || 0) + 1);
}

function repaint() {
  if (!pendingFrame) pendingFrame = requestAnimationFrame(paintCombination);
}

function paintSingles() {
  const last = payload.stage_ends[payload.stage_ends.length - 1];
  const { h, w } = payload.blocks[last];
  for (const { name } of menu.methods) paintPanel(name, layer(name, last, menu.first_how), `last stage, ${h}×${w}`);
  menu.on_demand.forEach(paintOnDemand);
}

function paintOnDemand(name) {
  const figure = find(`[data-panel="${name}"]`);
  const work = onDemand[name];
  figure.querySelector(".ge-start").hidden = work.state !== "idle";
  geoexplainWorkControls(figure, work, "masks");
  if (work.state === "done") {
    const { h, w, values } = work.report;
    const [H, W] = payload.size;
    paintPanel(name, geoexplainBlend.upsample(geoexplainBlend.decode(values), h, w, H, W), `last stage, ${h}×${w}`);
  } else {
    figure.querySelector("canvas").hidden = true;
    figure.querySelector(".ge-flat").hidden = true;
    figure.querySelector(".ge-note").textContent = work.state === "idle" ? figure.dataset.note : "working";
  }
}

function paintTiles() {
  geoexplainTiles.paint(find(".ge-tiles"), (i, canvas) => {
    const block = blocksAt(state.level)[i];
    const { h, w } = payload.blocks[block];
    const values = maps[state.method][block];
    paint(canvas, geoexplainBlend.normalise(values), w, h);
    return geoexplainBlend.isFlat(values);
  });
}

function buildTiles() {
  const { level } = state;
  const entries = blocksAt(level).map((block, i) => {
    const { h, w, channels, stage } = payload.blocks[block];
    const size = `${h}×${w} · ${channels}\u00a0ch`;
    return level === "block"
      ? { title: `Block ${i + 1}`, size: `${size} · stage\u00a0${stage}` }
      : { title: `Stage ${i + 1}`, size };
  });
  geoexplainTiles.build(find(".ge-tiles"), find("template"), entries, state.weights[level], state.enabled[level], () => {
    markPreset(null);
    repaint();
  });
  paintTiles();
}

function markPreset(name) {
  state.preset = name;
  all("[data-preset]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.preset === name)));
  tuning.show(name === FOR_IMAGE, name === menu.tuned_preset ? payload.tuned.words : "");
}

// What only some models have, and what was tuned for the image, brings its weights along.
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
    pendingPreset = name; // the maps of the other score come from the server; then this preset is applied again
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
  paint(bar, Float32Array.from({ length: 256 }, (_, i) => i / 255), 256, 1);
}

// What the page is about, for the panels below; null for nothing.
function tellShown() {
  window.geoexplainShown = payload && {
    ...Object.fromEntries(["model", "target", "place", "label", "percent", "cell", "best", "image", "alt", "size"].map((key) => [key, payload[key]])),
    // Combi-CAM as it is set at the moment of asking.
    colormap: () => state.colormap,
    combi,
    asked,
  };
  document.dispatchEvent(new Event("geoexplain-shown"));
}

function showEverything() {
  const shown = payload;
  payload = props.value;
  root.dataset.state = payload ? "done" : "empty";
  root.dataset.model = payload ? payload.model : "";
  Object.values(onDemand).forEach((work) => work.forget()); // it belonged to what was shown before
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
  maps = {};
  layers = {};
  for (const [name, encoded] of Object.entries(payload.maps)) maps[name] = encoded.map(geoexplainBlend.decode);
  all(".ge-panel img").forEach((image) => {
    image.src = payload.image;
    image.alt = payload.alt;
  });
  root.style.setProperty("--ge-aspect", `${payload.size[1]} / ${payload.size[0]}`);
  say(payload.words);
  const known = state.weights.block.length === payload.blocks.length && state.weights.stage.length === payload.stage_ends.length;
  if (!known) {
    setWeights("stage", payload.stage_ends.map(() => 1));
    setWeights("block", payload.blocks.map(() => 1));
    pendingPreset = state.preset || menu.first_preset; // another network has other stages, and other weights
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

all("[data-preset]").forEach((button) => button.addEventListener("click", () => payload && applyPreset(button.dataset.preset)));
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
  geoexplainTiles.fill(opacity);
  find(".ge-opacity-value").textContent = geoexplainTiles.words(opacity);
};
opacity.addEventListener("input", showOpacity);
for (const [name, work] of Object.entries(onDemand)) {
  const figure = find(`[data-panel="${name}"]`);
  figure.querySelector(".ge-start").addEventListener("click", () => work.start({ score: payload.score, ...asked() }));
  figure.querySelector(".ge-cancel").addEventListener("click", work.stop);
}

watch("value", showEverything);
watch("score_cam", () => Object.values(onDemand).forEach((work) => work.hear(props.score_cam)));
watch("tuning", () => tuning.hear(props.tuning));
showOpacity();
paintLegend();
showEverything();
