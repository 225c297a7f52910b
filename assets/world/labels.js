// Places names next to the likeliest cells, where there is room. Names come from untrusted models and files: they reach
// the page through textContent only.
import { element } from "./page.js";

// Labels of the likeliest cells, most likely first. A label without room shrinks to its percentage, or is left out.
export class Labels {
  constructor(view) {
    this.view = view;
    this.box = element("div", "geoexplain-labels");
    view.map.getPane("markerPane").appendChild(this.box);
    view.map.on("zoomstart", () => (this.box.style.visibility = "hidden"));
    view.map.on("moveend zoomend viewreset", () => this.place());
  }

  shown() {
    const { top } = this.view.data;
    const { target } = this.view;
    return target === null || top.includes(target) ? top : [...top, target];
  }

  place() {
    const { map } = this.view;
    this.box.style.visibility = "";
    this.box.replaceChildren();
    const frame = map.getContainer().getBoundingClientRect();
    const taken = [...map.getContainer().querySelectorAll(".leaflet-control")].map((node) => {
      const r = node.getBoundingClientRect();
      const [x, y] = [r.left - frame.left, r.top - frame.top];
      return { left: x, top: y, right: x + r.width, bottom: y + r.height };
    });
    const { point, truth } = this.view.marks;
    const marks = [point, truth?.point, ...(this.view.search ? this.view.search.points : [])].filter(Boolean);
    for (const mark of marks) {
      const p = this.inView(...mark);
      taken.push({ left: p.x - 8, top: p.y - 8, right: p.x + 8, bottom: p.y + 8 });
    }
    const cells = this.shown().map((index) => this.cellBox(index));
    for (const index of this.shown()) this.placeOne(index, taken, cells);
  }

  cellBox(index) {
    const { cells, map } = this.view;
    const middle = this.inView(cells.lat(index), cells.lon(index));
    const scale = map.options.crs.scale(map.getZoom()) / map.options.crs.scale(0);
    const half = scale * cells.halfSize(index) || 6;
    return grown({ left: middle.x, right: middle.x, top: middle.y, bottom: middle.y }, half);
  }

  // The position of a point, in the copy of the Earth nearest to the middle of the map.
  inView(lat, lon) {
    const turns = Math.round((this.view.map.getCenter().lng - lon) / 360);
    return this.view.map.latLngToContainerPoint([lat, lon + 360 * turns]);
  }

  placeOne(index, taken, cells) {
    const { view, box } = this;
    const size = view.map.getSize();
    const anchor = this.inView(view.cells.lat(index), view.cells.lon(index));
    if (anchor.x < 0 || anchor.y < 0 || anchor.x > size.x || anchor.y > size.y) return;
    const node = element("div", "geoexplain-label");
    node.classList.toggle("geoexplain-label-target", index === view.target);
    const name = element("span", "geoexplain-label-name", view.data.names[index] || `cell ${index}`);
    node.append(name, element("span", "geoexplain-label-percent", view.probabilityText(index)));
    box.appendChild(node);
    for (const full of [true, false]) {
      if (!full) name.remove();
      const spot = bestSpot(anchor, node.offsetWidth, node.offsetHeight, size, taken, cells);
      if (!spot) continue;
      taken.push(spot);
      L.DomUtil.setPosition(node, view.map.containerPointToLayerPoint([spot.left, spot.top]).round());
      this.lead(anchor, spot);
      return;
    }
    node.remove();
  }

  // A dot on the cell and a line from it to its label.
  lead(anchor, spot) {
    const x = Math.max(spot.left, Math.min(anchor.x, spot.right)) - anchor.x;
    const y = Math.max(spot.top, Math.min(anchor.y, spot.bottom)) - anchor.y;
    const from = this.view.map.containerPointToLayerPoint(anchor);
    const line = element("div", "geoexplain-leader");
    line.style.width = `${Math.hypot(x, y)}px`;
    line.style.transform = `translate(${from.x}px, ${from.y}px) rotate(${Math.atan2(y, x)}rad)`;
    const dot = element("div", "geoexplain-dot");
    dot.style.transform = `translate(${from.x}px, ${from.y}px)`;
    this.box.prepend(line, dot);
  }
}

export const overlap = (a, b) =>
  Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left)) *
  Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));

// The best spot for a label: close to its cell, off the outlined cells, never over another label; null without room.
export function bestSpot(anchor, width, height, size, taken, cells) {
  let best = null;
  let lowest = Infinity;
  for (let turn = 0; turn < 16; turn++) {
    const [dx, dy] = [Math.cos((turn * Math.PI) / 8), Math.sin((turn * Math.PI) / 8)];
    for (let gap = 12; gap <= 150; gap += 12) {
      // the distance is that of the label's near edge, not of its middle
      const [x, y] = [anchor.x + dx * (gap + width / 2), anchor.y + dy * (gap + height / 2)];
      const spot = { left: x - width / 2, right: x + width / 2, top: y - height / 2, bottom: y + height / 2 };
      if (spot.left < 3 || spot.top < 3 || spot.right > size.x - 3 || spot.bottom > size.y - 3) continue;
      if (taken.some((other) => overlap(grown(spot, 2), other))) continue;
      const cost = gap + 150 * cells.reduce((sum, cell) => sum + overlap(spot, cell) / (width * height), 0);
      if (cost < lowest) [best, lowest] = [spot, cost];
    }
  }
  return best;
}

export const grown = (r, by) => ({ left: r.left - by, right: r.right + by, top: r.top - by, bottom: r.bottom + by });
