// What Python has handed over, and what stands in for the page where a module needs a little of it.
import { readFileSync } from "node:fs";

export const given = JSON.parse(readFileSync(process.env.GEOEXPLAIN_GIVEN, "utf-8"));

export const floats = (text) => new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);

export function largestDifference(found, expected) {
  if (found.length !== expected.length) throw new Error(`expected ${expected.length} values, got ${found.length}`);
  let largest = 0;
  for (let i = 0; i < found.length; i++) largest = Math.max(largest, Math.abs(found[i] - expected[i]));
  return largest;
}

// A Path2D that remembers the corners of its rings.
export class RecordedPath {
  rings = [];
  closed = 0;
  moveTo(x, y) {
    this.rings.push([[x, y]]);
  }
  lineTo(x, y) {
    this.rings[this.rings.length - 1].push([x, y]);
  }
  closePath() {
    this.closed += 1;
  }
}

// A map of which only the projection is asked: x and y of the studio's are linear in longitude and latitude.
export function flatMap({ x: [perLon, west], y: [perLat, north] }) {
  const latLngToPoint = ({ lat, lng }) => ({ x: perLon * lng + west, y: perLat * lat + north });
  return { options: { crs: { latLngToPoint } } };
}

// What Leaflet's class of renderers is to a module that only derives from it.
export function standIns() {
  globalThis.Path2D = RecordedPath;
  globalThis.L = {
    Renderer: {
      extend: () =>
        class {
          constructor(view) {
            this._view = view;
          }
        },
    },
  };
}
