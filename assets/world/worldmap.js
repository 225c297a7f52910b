// The map of one prediction: legend, hover, clicks. Names come from untrusted models and files: they reach the page
// through textContent only.
import { Labels } from "./labels.js";
import { addControl, element, introduce, keepFitted, ROOMY_PX, readPage, setProjection, setTheme } from "./page.js";
import { View } from "./predictionscene.js";

const CLOSEST_FITTED_ZOOM = 11;

function legend(view) {
  const box = element("details", "geoexplain-legend");
  const rows = element("div");
  const row = (symbol, text) => {
    const line = element("div", "geoexplain-legend-row");
    line.append(element("span", `geoexplain-symbol geoexplain-symbol-${symbol}`), element("span", "", text));
    rows.appendChild(line);
  };
  box.appendChild(element("summary", "", "Legend"));
  const title = element("div", "geoexplain-legend-title", "Probability of a cell");
  const bar = element("div", "geoexplain-bar");
  const ticks = element("div", "geoexplain-ticks");
  for (const tick of view.data.ticks) ticks.appendChild(element("span", "", tick));
  box.append(title, bar, ticks, rows);
  view.explainMarks = () => {
    const { marks, search } = view;
    rows.replaceChildren();
    row("point", "predicted point");
    if (search) {
      row("chosen", "photos of the chosen cluster");
      if (search.chosen.includes(false)) row("found", "other photos that look alike");
      row("way", `from the centre of the cell, ${search.text}`);
    }
    if (view.target !== null) row("target", "cell being explained");
    if (view.places.explained) row("target", `${view.places.explained.name}, being explained`);
    if (marks.circle) row("circle", marks.circle.text);
    if (marks.truth) row("truth", `true point, ${marks.truth.text} away`);
  };
  view.explainMarks();
  box.open = view.map.getSize().x >= ROOMY_PX;
  addControl(view.map, box, "bottomleft");
  if (view.data.doubt) {
    const doubt = L.control({ position: "topright" });
    doubt.onAdd = () => element("p", "geoexplain-doubt", view.data.doubt);
    doubt.addTo(view.map);
  }
  return bar;
}

function hover(view) {
  const tip = element("div", "geoexplain-tip");
  tip.hidden = true;
  view.map.getContainer().appendChild(tip);
  view.map.on("mousemove", ({ latlng, containerPoint, originalEvent }) => {
    const onControl = originalEvent.target.closest?.(".leaflet-control");
    const index = onControl || Math.abs(latlng.lat) > 90 ? -1 : view.cellAt(latlng.lat, latlng.lng);
    tip.hidden = index < 0;
    if (index < 0) return;
    const name = view.data.names[index];
    tip.textContent = name ? `${name}: ${view.probabilityText(index)}` : view.probabilityText(index);
    const size = view.map.getSize();
    const left = Math.min(containerPoint.x + 14, size.x - tip.offsetWidth - 4);
    const above = containerPoint.y + 18 + tip.offsetHeight > size.y;
    const top = above ? containerPoint.y - tip.offsetHeight - 8 : containerPoint.y + 18;
    tip.style.transform = `translate(${Math.max(4, left)}px, ${top}px)`;
  });
  view.map.on("mouseout zoomstart movestart", () => (tip.hidden = true));
}

// Fits the map to the first view until the user moves it. Returns a function that fits it to other bounds instead.
function fitTo({ map, data }, box) {
  const show = (bounds, options) => {
    const aside = map.getSize().x >= ROOMY_PX ? box.offsetWidth : 0;
    map.fitBounds(bounds, {
      paddingTopLeft: [18 + aside, 18],
      paddingBottomRight: [18, 18],
      animate: false,
      ...options,
    });
  };
  const release = keepFitted(map, () => show(data.fit));
  return (bounds) => {
    release();
    show(bounds, { maxZoom: CLOSEST_FITTED_ZOOM });
  };
}

// Posts clicks to the page around the map, whose messages change target and theme without a reload: pan and zoom stay.
function talk(view, labels, show, applyTheme) {
  view.map.on("click", ({ latlng }) => {
    const { lat, lng } = latlng.wrap();
    if (window.parent === window || Math.abs(lat) > 90) return;
    // any origin: inside srcdoc the parent's is unknown, and the message holds only a point on Earth
    window.parent.postMessage({ source: "geoexplain-map", lat, lng }, "*");
  });
  window.addEventListener("message", ({ source, data }) => {
    if (source !== window.parent || !data || data.source !== "geoexplain-studio") return;
    const known = Number.isInteger(data.target) && data.target >= 0 && data.target < view.cells.count;
    if (known || data.target === null) view.target = data.target;
    if ("place" in data) view.places.explained = view.places.read(data.place);
    if ("pointed" in data) view.places.pointed = view.places.read(data.pointed);
    if (typeof data.dark === "boolean") view.data.dark = data.dark;
    if (typeof data.searching === "boolean") view.searching = data.searching;
    view.explainMarks();
    if (data.show === "search" && view.search) {
      show(view.search.fit);
    }
    applyTheme();
    view.scene.redraw();
    labels.place();
  });
}

function drawWorldMap({ map, data }) {
  if (!data.tiles) setProjection(map, data.parallelDeg);
  const view = new View(map, data);
  const bar = legend(view);
  const applyTheme = () => {
    setTheme(map, data.dark);
    bar.style.background = view.legendGradient();
  };
  introduce(map, "prediction", data.tiles);
  applyTheme();
  view.scene.addTo(map);
  const labels = new Labels(view);
  hover(view);
  const show = fitTo(view, bar.parentNode);
  labels.place();
  talk(view, labels, show, applyTheme);
}

drawWorldMap(readPage());
