// Cells: their centres and outlines, and which cell lies under a point. Like geometry.js, this runs without a page.
import { decodeIntegers, decodePoints, project, trace } from "./geometry.js";

export function decodeCells(map, data) {
  const centers = decodePoints(data.centers);
  const levels = decodeIntegers(data.levels);
  const count = levels.length;
  const cells = { count, levels, lat: (i) => centers[2 * i], lon: (i) => centers[2 * i + 1] };
  cells.has = () => false; // whether a cell has rings; cells without are discs
  cells.halfSize = () => 0;
  cells.xy = new Float64Array(2 * count);
  cells.unit = new Float64Array(3 * count);
  for (let i = 0; i < count; i++) {
    const { x, y } = project(map, cells.lat(i), cells.lon(i));
    cells.xy.set([x, y], 2 * i);
    cells.unit.set(unitVector(cells.lat(i), cells.lon(i)), 3 * i);
  }
  if (data.corners) {
    const rings = decodeRings(map, data);
    const first = sums(data.parts ? decodeIntegers(data.parts) : Array(count).fill(1)); // ring of each cell
    cells.has = (i) => first[i] < first[i + 1];
    cells.complete = first.every((n, i) => !i || n > first[i - 1]);
    cells.halfSize = (i) => {
      const { top, bottom } = rings.box(first[i], first[i + 1]);
      return Math.max(0, bottom - top) / 2;
    };
    cells.trace = (i, path) => rings.trace(path, first[i], first[i + 1]);
    if (data.parts) {
      const guessed = new Set(decodeIntegers(data.guessed)); // cells without a known border
      const boxes = Array.from({ length: count }, (_, i) => rings.box(first[i], first[i + 1]));
      const area = ({ left, right, top, bottom }) => (right - left) * (bottom - top);
      cells.box = (i) => boxes[i];
      cells.bordered = boxes
        .map((_, i) => i)
        .filter((i) => cells.has(i) && !guessed.has(i))
        .sort((i, j) => area(boxes[i]) - area(boxes[j]));
    }
  }
  return cells;
}

export const BUCKETS = 32;

// One level: the positions of its cells, and their numbers of coordinates for colours on a logarithmic scale.
export function decodeLevel(map, data) {
  const rings = decodeRings(map, data);
  const first = sums(decodeIntegers(data.parts));
  const counts = decodeIntegers(data.counts);
  const centers = decodePoints(data.centers, data.perDegree);
  const boxes = counts.map((_, i) => rings.box(first[i], first[i + 1]));
  const known = counts.filter((count) => count > 0);
  const fewest = known.reduce((a, b) => Math.min(a, b), Infinity);
  const most = known.reduce((a, b) => Math.max(a, b), 0);
  const share = (count) => (most > fewest ? Math.log(Math.max(count, fewest) / fewest) / Math.log(most / fewest) : 0.5);
  const trace = (i, path) => rings.trace(path, first[i], first[i + 1]);
  const buckets = Array.from({ length: BUCKETS }, () => null);
  counts.forEach((count, i) => trace(i, (buckets[Math.round(share(count) * (BUCKETS - 1))] ??= new Path2D())));
  const path = (i) => {
    const one = new Path2D();
    trace(i, one);
    return one;
  };
  const parents = data.parents ? decodeIntegers(data.parents) : null;
  return {
    ...data,
    counts,
    parents,
    boxes,
    buckets,
    path,
    fewest,
    most,
    center: (i) => centers.slice(2 * i, 2 * i + 2),
  };
}

// Rings by their index: `trace` adds a range of them to a path, `box` returns the bounding box of a range.
export function decodeRings(map, { corners, rings, perDegree }) {
  const points = decodePoints(rings, perDegree);
  const start = sums(decodeIntegers(corners));
  return {
    count: start.length - 1,
    trace: (path, from, to) => {
      for (let ring = from; ring < to; ring++) {
        trace(
          map,
          path,
          (j) => points[2 * j],
          (j) => points[2 * j + 1],
          start[ring],
          start[ring + 1],
        );
      }
    },
    box: (from, to) => {
      const box = { left: Infinity, right: -Infinity, top: Infinity, bottom: -Infinity };
      for (let j = start[from]; j < start[to]; j++) {
        const { x, y } = project(map, points[2 * j], points[2 * j + 1]);
        [box.left, box.right] = [Math.min(box.left, x), Math.max(box.right, x)];
        [box.top, box.bottom] = [Math.min(box.top, y), Math.max(box.bottom, y)];
      }
      return box;
    },
  };
}

// The cumulative sums of lengths, from 0: where each run begins, and where the last ends.
function sums(lengths) {
  const starts = [0];
  for (const length of lengths) starts.push(starts[starts.length - 1] + length);
  return starts;
}

function unitVector(lat, lon) {
  const [phi, lambda] = [(lat * Math.PI) / 180, (lon * Math.PI) / 180];
  return [Math.cos(phi) * Math.cos(lambda), Math.cos(phi) * Math.sin(lambda), Math.sin(phi)];
}

export function nearestCell(cells, lat, lon) {
  const [x, y, z] = unitVector(lat, lon);
  let best = 0;
  let cosine = -2;
  for (let i = 0; i < cells.count; i++) {
    const c = x * cells.unit[3 * i] + y * cells.unit[3 * i + 1] + z * cells.unit[3 * i + 2];
    if (c > cosine) [best, cosine] = [i, c];
  }
  return best;
}
