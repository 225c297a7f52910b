// Places on the map: the explained one, and the one under the pointer in the page around the map.
import { decodeRings } from "./cells.js";
import { decodeIntegers } from "./geometry.js";

// A place is { name, corners, rings, perDegree } with a border, { name, cells } with none, or null.
export class Places {
  constructor(view) {
    this.view = view;
    this.explained = this.pointed = null;
  }

  // Reads a place from an untrusted message of the page around the map; null if it is not valid.
  read(place) {
    if (!place || typeof place !== "object") return null;
    const { count } = this.view.cells;
    const name = String(place.name ?? "");
    if (typeof place.rings === "string" && typeof place.corners === "string") {
      const rings = decodeRings(this.view.map, place);
      const path = new Path2D();
      rings.trace(path, 0, rings.count);
      return { name, key: place.rings, path: () => path };
    }
    const cells = typeof place.cells === "string" ? decodeIntegers(place.cells).filter((i) => i >= 0 && i < count) : [];
    return cells.length ? { name, key: place.cells, path: (radius) => this.view.cellsPath(cells, radius) } : null;
  }

  // The place under the pointer gets a thinner outline; it is not marked twice if it is the explained one.
  marked() {
    const { explained, pointed } = this;
    return [
      [explained, 2.4, 0.14],
      [pointed?.key === explained?.key ? null : pointed, 1.6, 0.2],
    ].filter(([place]) => place);
  }

  // Painted below the cells, so that their colours do not change.
  paintFill(context, color, radius) {
    context.fillStyle = color;
    for (const [place, , opacity] of this.marked()) {
      context.globalAlpha = opacity;
      context.fill(place.path(radius));
    }
    context.globalAlpha = 1;
  }

  paintOutline(outline, color, radius) {
    for (const [place, width] of this.marked()) outline(place.path(radius), color, width);
  }
}
