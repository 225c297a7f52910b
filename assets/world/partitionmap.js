// The map of a partitioning: cells by count, a switch between levels, a cell's label, count and coarser cells. Names
// come from untrusted files: they reach the page as text only.
import { BUCKETS } from "./cells.js";
import { addControl, element, introduce, keepFitted, ROOMY_PX, readPage, setProjection, setTheme } from "./page.js";
import { Chart, OPACITY, same } from "./partitionscene.js";

const CLOSEST_FITTED_ZOOM = 12;
const KINDS = { s2: "S2", semantic: "Semantic", kmeans: "k-means" };
const NAMES = { 1: ["cells"], 2: ["coarse", "fine"], 3: ["coarse", "middle", "fine"] };

// A count in the server's text: alone, with its noun, and with its share of all.
const wordsOf = (chart, { level, cell }) => chart.data.levels[level].words[chart.at(level).counts[cell]];

// The panel: what is shown, the switch between levels, and the picked cell.
function panel(chart, show) {
  const { data } = chart;
  const box = element("section", "geoexplain-panel");
  const head = element("div", "geoexplain-panel-head");
  const theme = element("button", "geoexplain-theme", "◐");
  theme.type = "button";
  theme.title = "Light or dark";
  theme.setAttribute("aria-label", "Light or dark");
  theme.addEventListener("click", () => show({ dark: !data.dark }));
  const kind = KINDS[data.kind] || data.kind;
  head.append(element("h1", "", data.title === data.kind ? `${kind} partitioning` : data.title), theme);
  const facts = element("p", "", data.title === data.kind ? "" : `${kind} partitioning of `);
  facts.append(data.coordinates);
  if (data.lost) facts.append(`, ${data.lost} of them in no cell`);
  const levels = element("div", "geoexplain-levels");
  levels.setAttribute("role", "group");
  levels.setAttribute("aria-label", "Level");
  const names = NAMES[data.levels.length] || data.levels.map((_, i) => `level ${i + 1}`);
  const buttons = data.levels.map((level, i) => {
    const button = element("button", "", names[i]);
    button.type = "button";
    button.append(element("small", "", level.cells));
    button.addEventListener("click", () => show({ level: i }));
    levels.append(button);
    return button;
  });
  const card = element("div", "geoexplain-cell");
  card.setAttribute("aria-live", "polite");
  box.append(head, facts, levels, card);
  addControl(chart.map, box, "topright");
  chart.panel = box;

  return () => {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === chart.level)));
    card.replaceChildren();
    if (!chart.picked) {
      card.append(element("p", "geoexplain-hint", "Click a cell to see what it is and what it lies in."));
      return;
    }
    const { level, cell } = chart.picked;
    const [, ...above] = chart.chain(chart.picked);
    const title = element("h2", "", chart.label(chart.picked));
    const close = element("button", "geoexplain-close", "×");
    close.type = "button";
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", () => show({ picked: null }));
    const row = element("div", "geoexplain-panel-head");
    row.append(title, close);
    const [lat, lon] = chart.at(level).center(cell);
    card.append(row, element("p", "", wordsOf(chart, chart.picked)[2]));
    card.append(
      element("p", "geoexplain-key", `${chart.data.levels[level].keys[cell]} · ${lat.toFixed(3)}, ${lon.toFixed(3)}`),
    );
    if (!above.length) return;
    const list = element("ol");
    for (const holder of above) {
      const item = element("li");
      const link = element("button", "geoexplain-link", chart.label(holder));
      link.type = "button";
      link.addEventListener("click", () => show({ level: holder.level, picked: holder, zoom: true }));
      item.append(element("small", "", names[holder.level]), link);
      item.append(element("small", "", wordsOf(chart, holder)[0]));
      list.append(item);
    }
    card.append(list);
  };
}

function legend(chart) {
  const box = element("details", "geoexplain-legend");
  const bar = element("div", "geoexplain-bar");
  const ticks = element("div", "geoexplain-ticks");
  const title = element("div", "geoexplain-legend-title", "Logarithmic. Without colour: none, or too few for a cell.");
  box.append(element("summary", "", "Coordinates in a cell"), bar, ticks, title);
  box.open = chart.map.getSize().x >= ROOMY_PX;
  addControl(chart.map, box, "bottomleft");
  return () => {
    const alpha = Math.round(255 * OPACITY)
      .toString(16)
      .padStart(2, "0");
    const stops = Array.from({ length: BUCKETS }, (_, i) => chart.color(i) + alpha);
    bar.style.background = `linear-gradient(to right, ${stops.join(",")}), ${chart.theme.land}`;
    ticks.replaceChildren(...chart.data.levels[chart.level].ticks.map((tick) => element("span", "", tick)));
  };
}

function tooltip(chart) {
  const tip = element("div", "geoexplain-tip");
  tip.hidden = true;
  chart.map.getContainer().appendChild(tip);
  const point = (cell) => {
    if (same(cell, chart.pointed)) return;
    chart.pointed = cell;
    chart.marks.redraw();
  };
  const hide = () => {
    tip.hidden = true;
    point(null);
  };
  chart.map.on("mousemove", ({ latlng, containerPoint, originalEvent }) => {
    const onControl = originalEvent.target.closest?.(".leaflet-control");
    const cell = onControl || Math.abs(latlng.lat) > 90 ? null : chart.cellAt(latlng.lat, latlng.lng);
    if (!cell) return hide();
    point(cell);
    tip.hidden = false;
    const names = chart.chain(cell).map((holder) => chart.label(holder));
    tip.replaceChildren(element("b", "", names[0]), element("div", "", wordsOf(chart, cell)[1]));
    const path = names.filter((name, i) => i && name !== names[i - 1]);
    if (path.length) tip.append(element("div", "geoexplain-path", `in ${path.join(" · in ")}`));
    const size = chart.map.getSize();
    const left = Math.max(4, Math.min(containerPoint.x + 14, size.x - tip.offsetWidth - 4));
    const below = containerPoint.y + 18;
    const top = below + tip.offsetHeight > size.y ? containerPoint.y - tip.offsetHeight - 8 : below;
    tip.style.transform = `translate(${left}px, ${top}px)`;
  });
  chart.map.on("mouseout zoomstart movestart click", hide);
}

// On a wide screen the map fits next to the panel. On a narrow one the Earth fills the free height and extends past the
// sides.
function fitTo({ map, data }, box) {
  keepFitted(map, (size) => {
    const [[south, west], [north, east]] = data.fit;
    if (size.x >= ROOMY_PX) {
      map.fitBounds(data.fit, {
        animate: false,
        paddingTopLeft: [8, 8],
        paddingBottomRight: [box.offsetWidth + 18, 8],
      });
      return;
    }
    const middle = (west + east) / 2;
    const free = { paddingTopLeft: [8, box.offsetHeight + 18], paddingBottomRight: [8, 40] };
    const slice =
      east - west > 90
        ? [
            [south, middle],
            [north, middle],
          ]
        : data.fit;
    map.fitBounds(slice, { animate: false, maxZoom: CLOSEST_FITTED_ZOOM, ...free });
  });
}

function drawPartitionMap({ map, data }) {
  setProjection(map, data.parallelDeg);
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const chosen = typeof data.dark === "boolean";
  data.dark = chosen ? data.dark : system.matches;
  const chart = new Chart(map, data);
  const container = map.getContainer();
  introduce(map, "partitioning", false);
  const updates = [];
  const show = ({ level, picked, dark, zoom }) => {
    if (level !== undefined && level !== chart.level) {
      chart.level = level;
      chart.pointed = null;
      // On a coarser level the cell that holds the picked one becomes the picked cell.
      if (picked === undefined && chart.picked) {
        picked = chart.chain(chart.picked).find((holder) => holder.level === level) || null;
      }
    }
    if (picked !== undefined) chart.picked = picked;
    const repainted = dark !== undefined || level !== undefined;
    if (dark !== undefined) data.dark = dark;
    if (zoom && chart.picked) {
      const { left, right, top, bottom } = chart.at(chart.picked.level).boxes[chart.picked.cell];
      const corners = [
        [left, bottom],
        [right, top],
      ].map(([x, y]) => map.options.crs.pointToLatLng(L.point(x, y), 0));
      map.fitBounds(corners, { maxZoom: CLOSEST_FITTED_ZOOM, padding: [30, 30] });
    }
    setTheme(map, data.dark);
    for (const update of updates) update();
    if (repainted) chart.scene.redraw();
    chart.marks.redraw();
  };
  updates.push(panel(chart, show), legend(chart));
  show({});
  chart.scene.addTo(map);
  chart.marks.addTo(map);
  tooltip(chart);
  fitTo(chart, chart.panel);
  map.on("click", ({ latlng }) => {
    if (Math.abs(latlng.lat) <= 90) show({ picked: chart.cellAt(latlng.lat, latlng.lng) });
  });
  container.addEventListener("keydown", ({ key }) => key === "Escape" && show({ picked: null }));
  if (!chosen) system.addEventListener("change", ({ matches }) => show({ dark: matches }));
}

drawPartitionMap(readPage());
