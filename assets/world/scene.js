// The canvas of a map, painted once for each copy of the Earth in view, and the ground: ocean, land, coasts.
import { basemapPaths, project } from "./geometry.js";

export const THEMES = {
  light: {
    ocean: "#dfe8ee",
    land: "#f6f5f1",
    coast: "rgba(70,90,105,.6)",
    border: "rgba(70,90,105,.28)",
    grid: "rgba(70,90,105,.12)",
    edge: "rgba(60,60,80,.13)",
    top: "#1d2733",
    halo: "rgba(255,255,255,.85)",
    target: "#0b6bcb",
    truth: "#0a7f4f",
    found: "#0e7490",
    point: "#ffffff",
    ink: "#1d2733",
  },
  dark: {
    ocean: "#131a22",
    land: "#232c36",
    coast: "rgba(170,190,205,.5)",
    border: "rgba(170,190,205,.22)",
    grid: "rgba(170,190,205,.09)",
    edge: "rgba(200,200,220,.10)",
    top: "#f2f5f8",
    halo: "rgba(10,14,19,.85)",
    target: "#5ab0ff",
    truth: "#4fd39a",
    found: "#3fd0e6",
    point: "#131a22",
    ink: "#f2f5f8",
  },
};

export const Scene = L.Renderer.extend({
  options: { padding: 0.4, pane: "overlayPane" },

  initialize(view) {
    L.Renderer.prototype.initialize.call(this);
    this._view = view;
  },
  _initContainer() {
    this._container = document.createElement("canvas");
    this._container.setAttribute("aria-hidden", "true");
    this._context = this._container.getContext("2d");
  },
  _destroyContainer() {
    this._container.remove();
  },
  _update() {
    if (this._map._animatingZoom && this._bounds) return;
    L.Renderer.prototype._update.call(this);
    const size = this._bounds.getSize();
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    L.DomUtil.setPosition(this._container, this._bounds.min);
    this._container.width = Math.round(size.x * ratio);
    this._container.height = Math.round(size.y * ratio);
    this._container.style.width = `${size.x}px`;
    this._container.style.height = `${size.y}px`;
    this.draw(ratio);
  },
  redraw() {
    if (this._bounds) this._update();
  },
  draw(ratio) {
    const { _map: map, _context: context, _bounds: bounds, _view: view } = this;
    const scale = map.options.crs.scale(map.getZoom()) / map.options.crs.scale(0);
    const origin = map.getPixelOrigin().add(bounds.min);
    const west = project(map, 0, -180).x;
    const world = project(map, 0, 180).x - west;
    const first = Math.floor((origin.x / scale - west) / world);
    const last = Math.floor(((origin.x + bounds.getSize().x) / scale - west) / world);
    const turn = (k) =>
      context.setTransform(
        ratio * scale,
        0,
        0,
        ratio * scale,
        ratio * (k * world * scale - origin.x),
        -ratio * origin.y,
      );
    // one more copy on each side, since shapes of a neighbouring copy may extend into the view
    const copies = Array.from({ length: last - first + 3 }, (_, i) => first - 1 + i);
    const paint = { context, scale, px: 1 / scale, zoom: map.getZoom(), west, world, map };
    if (!view.data.tiles) {
      for (const k of copies) {
        turn(k);
        view.paintOcean(paint);
      }
      // after all oceans, since land that extends past 180° lies over the ocean of the next copy
      for (const k of copies) {
        turn(k);
        view.paintLand(paint);
      }
    }
    for (const k of copies) {
      turn(k);
      view.paintCells(paint);
    }
    if (!view.data.tiles) {
      for (const k of copies) {
        turn(k);
        view.paintLines(paint);
      }
    }
    for (const k of copies) {
      turn(k);
      view.paintMarks(paint);
    }
  },
});

// The base map below the cells. `data.tiles`: whether online tiles replace it; `data.dark`: colours for a dark page.
export class Ground {
  constructor(map, data) {
    this.map = map;
    this.data = data;
    if (!data.tiles) this.base = basemapPaths(map, window.geoexplainBasemap);
  }

  get theme() {
    return THEMES[this.data.dark ? "dark" : "light"];
  }

  // The colour of the palette, from lowest to highest, at `share` from 0 to 1.
  paletteColor(share) {
    const palette = this.data.palette[this.data.dark ? "dark" : "light"];
    return palette[Math.min(palette.length - 1, Math.round(share * (palette.length - 1)))];
  }

  paintOcean({ context, px, west, world, map }) {
    const north = project(map, 90, 0).y;
    const south = project(map, -90, 0).y;
    context.fillStyle = this.theme.ocean;
    context.fillRect(west - px, north, world + 2 * px, south - north);
    context.lineWidth = px;
    context.strokeStyle = this.theme.grid;
    context.stroke(this.base.grid);
  }

  paintLand({ context }) {
    context.fillStyle = this.theme.land;
    context.fill(this.base.land, "evenodd");
  }

  paintLines({ context, px, zoom }) {
    context.lineJoin = "round";
    context.lineWidth = (zoom < 2 ? 0.6 : 0.9) * px;
    context.strokeStyle = this.theme.coast;
    context.stroke(this.base.coast);
    context.strokeStyle = this.theme.border;
    context.stroke(this.base.border);
  }
}
