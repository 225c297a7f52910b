// Shows the answer in text and numbers and the table of the best cells. Whether the image counts as localizable is read
// from the curve of density.js, without a request. Names are untrusted: they reach the page as text only.
import { drawCurve } from "./curve.js";
import { percentWithin, probabilityWithin, within } from "./density.js";
import { make } from "./dom.js";
import { createGate } from "./gate.js";
import { createPlaces } from "./places.js";
import { sliderWords } from "./tiles.js";

export function start({ element, props, trigger, watch }) {
  const find = (selector) => element.querySelector(selector);
  const all = (selector) => [...element.querySelectorAll(selector)];
  const root = find(".ge-answer");
  let searching = true; // whether the answer is the one with Search within Cell
  let rule = null; // the rule for localizable that the user has set; null: the model's own
  let model = null; // the model of the last answer

  // While an image is located, the cells and places on the page still belong to the last one.
  function ask(what, label) {
    if (root.ariaBusy === "true") return;
    props.status = { state: "explaining", words: `Explaining ${label} …` };
    trigger("choose", { ...what, model });
  }

  const gate = createGate(find(".ge-gate"));
  const places = createPlaces(find(".ge-trees"), ({ tree, place, label }) => ask({ tree, place }, label));

  function bar(share) {
    const node = make("span", "ge-bar", "");
    node.style.setProperty("--share", Math.max(0, Math.min(1, share)));
    return node;
  }

  function row(cell, index, target, highest) {
    const line = document.createElement("tr");
    line.tabIndex = 0;
    line.dataset.cell = cell.cell;
    line.setAttribute("aria-selected", String(cell.cell === target));
    line.title = "Explain this cell";
    const share = make("td", "ge-share", "");
    const width = document.createElement("span");
    width.style.width = `${Math.max(2, 100 * (cell.share / highest))}%`;
    share.append(width, make("b", "", cell.percent));
    const name = make("td", "ge-name", cell.label);
    if (cell.cell === target) name.append(make("span", "ge-badge", "explained"));
    line.append(make("td", "", index), name, make("td", "ge-position", cell.position), share);
    const choose = () => ask({ cell: cell.cell }, cell.label);
    line.addEventListener("click", choose);
    line.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose();
    });
    return line;
  }

  function show() {
    const value = props.value;
    root.dataset.state = value?.rows ? "done" : "empty";
    find(".ge-words").textContent = value.words;
    gate.show(value.gate);
    if (!value.rows) return;
    if (value.model !== model) rule = null;
    model = value.model;
    showPoint();
    places.show(value.places);
    showVerdict();
    showSearch();
    const highest = Math.max(...value.rows.map((cell) => cell.share), 1e-9);
    const focused = element.contains(document.activeElement) && document.activeElement.dataset.cell;
    find("tbody").replaceChildren(...value.rows.map((cell, i) => row(cell, cell.rank || i + 1, value.target, highest)));
    if (focused !== undefined && focused !== false) find(`tr[data-cell="${focused}"]`)?.focus();
  }

  // The part of the answer that depends on the predicted point, with or without the search.
  function shown() {
    const { search } = props.value;
    return search?.without && !searching ? search.without : props.value;
  }

  function showPoint() {
    const { place, facts, density } = shown();
    find(".ge-place").textContent = place;
    find(".ge-facts").replaceChildren(...facts.map((fact) => make("li", "", fact)));
    find(".ge-density").replaceChildren(
      ...density.map(({ label, share, percent }) => {
        const item = document.createElement("div");
        item.append(make("span", "", label), bar(share), make("b", "", percent));
        return item;
      }),
    );
  }

  // ---- localizable when …
  const scale = find(".ge-scale input");
  const threshold = find(".ge-threshold input");

  function showVerdict() {
    const { counted, rule: own, localizable, gate: known } = props.value;
    const { curve } = shown();
    const { scale_km, threshold: above, threshold_text } = rule || own;
    const reached = probabilityWithin(counted, scale_km);
    const sure = rule ? reached > above && !known.words : localizable;
    const verdict = find(".ge-verdict");
    verdict.textContent = sure ? "Localizable" : "Not localizable";
    verdict.dataset.sure = String(sure);
    find(".ge-why").textContent = known.words
      ? "It is not the kind of image that the model knows."
      : `${percentWithin(counted, scale_km)} of the probability ${within(rule || own)}; ` +
        `more than ${threshold_text} is needed`;
    if (document.activeElement !== scale) scale.value = scale_km;
    threshold.value = above;
    threshold.style.setProperty("--ge-fill", `${100 * above}%`);
    find(".ge-threshold output").textContent = threshold_text;
    all("[data-scale]").forEach((button) => {
      const km = Number(button.dataset.scale);
      button.setAttribute("aria-pressed", String(km === scale_km));
      button.hidden = km < curve.cell.width_km && km !== own.scale_km; // smaller than the cell
    });
    find(".ge-reset").hidden = !rule;
    drawCurve(find(".ge-curve"), curve, counted, rule || own, sure);
  }

  function changeRule(change) {
    if (!props.value.rule) return;
    rule = { ...props.value.rule, ...rule, ...change };
    showVerdict();
  }

  all("[data-scale]").forEach((button) =>
    button.addEventListener("click", () =>
      changeRule({ scale_km: Number(button.dataset.scale), scale_text: button.dataset.words }),
    ),
  );
  scale.addEventListener("input", () => {
    const km = scale.valueAsNumber;
    const fits = km >= 0 && km <= Number(scale.max);
    scale.setAttribute("aria-invalid", String(!fits));
    if (fits) changeRule({ scale_km: km, scale_text: `${km.toLocaleString("en", { maximumFractionDigits: 3 })} km` });
  });
  scale.addEventListener("blur", () => {
    scale.setAttribute("aria-invalid", "false");
    if (props.value.rule) showVerdict();
  });
  threshold.addEventListener("input", () =>
    changeRule({ threshold: threshold.valueAsNumber, threshold_text: sliderWords(threshold) }),
  );
  find(".ge-reset").addEventListener("click", () => {
    rule = null;
    showVerdict();
  });

  // ---- Search within Cell
  const searchSwitch = find(".ge-switch input");

  function showSearch() {
    const { search } = props.value;
    find(".ge-search").hidden = !search;
    if (!search) return;
    const found = search.rows.length > 0;
    find(".ge-search").dataset.on = String(searching && found);
    find(".ge-search-words").textContent =
      searching || !found ? search.words : "Switched off: the answer is that of the cells alone.";
    find(".ge-switch").hidden = find(".ge-show").hidden = find(".ge-search-key").hidden = !found;
    find(".ge-switch span").textContent = searching ? "on" : "off";
    find(".ge-show").disabled = !searching;
    find(".ge-neighbours").replaceChildren(
      ...search.rows.map(({ position, similarity, figure, chosen }) => {
        const item = document.createElement("li");
        item.dataset.chosen = String(chosen);
        item.title = chosen ? "of the cluster that is the answer" : "";
        item.append(make("i", "", ""), make("span", "ge-where", position), bar(similarity), make("b", "", figure));
        return item;
      }),
    );
  }

  function tellMap(detail) {
    document.dispatchEvent(new CustomEvent("geoexplain-search", { detail }));
  }

  searchSwitch.addEventListener("change", () => {
    searching = searchSwitch.checked;
    showPoint();
    showVerdict();
    showSearch();
    tellMap({ searching });
  });
  find(".ge-show").addEventListener("click", () => tellMap({ show: "search" }));

  function showStatus() {
    const { state, words } = props.status;
    find(".ge-status").textContent = words;
    root.ariaBusy = String(state === "locating");
    document.body.classList.toggle("ge-locating", state === "locating");
  }

  watch("value", show);
  watch("status", showStatus);
  show();
  showStatus();
}
