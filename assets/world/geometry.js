// Coordinates → paths on a Leaflet map: projection, encoded polylines, base map and cells.
((world) => {
  "use strict";

  // Equidistant cylindrical, true to shape at one parallel: it shows the poles, which Web Mercator cannot.
  L.CRS.geoexplain = (parallelDeg) => {
    const narrow = Math.cos((parallelDeg * Math.PI) / 180);
    return L.extend({}, L.CRS.EPSG4326, {
      transformation: new L.Transformation(narrow / 180, narrow, -1 / 180, 0.5),
    });
  };

  // Google's encoded polyline algorithm: differences, zigzag, groups of five bits.
  function decodeIntegers(text) {
    const values = [];
    for (let i = 0, value = 0, shift = 0; i < text.length; i++) {
      const group = text.charCodeAt(i) - 63;
      value |= (group & 31) << shift;
      shift += 5;
      if (group < 32) {
        values.push((value >>> 1) ^ -(value & 1));
        value = shift = 0;
      }
    }
    return values;
  }

  // Pairs of differences in steps, 1/100 degree unless said otherwise → [first, second, first, second, …] in degrees.
  function decodePoints(text, perDegree = 100) {
    const steps = decodeIntegers(text);
    for (let i = 2; i < steps.length; i++) steps[i] += steps[i - 2];
    return steps.map((value) => value / perDegree);
  }

  // All coordinates below are pixels at zoom 0; a zoom level is one scale factor away, so paths are built once.
  function project(map, lat, lon) {
    return map.options.crs.latLngToPoint(L.latLng(lat, lon), 0);
  }

  // Adds a ring to a path. One that runs once around the Earth encloses a pole and is closed along it.
  function trace(map, path, lat, lon, from, to, { close = true } = {}) {
    for (let i = from; i < to; i++) {
      const { x, y } = project(map, lat(i), lon(i));
      if (i === from) path.moveTo(x, y);
      else path.lineTo(x, y);
    }
    if (!close) return;
    if (Math.abs(lon(to - 1) - lon(from)) > 180) {
      const pole = lat(from) < 0 ? -90 : 90;
      for (const end of [lon(to - 1), lon(from)]) {
        const { x, y } = project(map, pole, end);
        path.lineTo(x, y);
      }
    }
    path.closePath();
  }

  function basemapPaths(map, basemap) {
    const paths = { land: new Path2D(), coast: new Path2D(), border: new Path2D(), grid: new Path2D() };
    const add = (text, path, options) => {
      const points = decodePoints(text);
      trace(map, path, (i) => points[2 * i + 1], (i) => points[2 * i], 0, points.length / 2, options);
    };
    for (const text of basemap.coasts) {
      add(text, paths.land);
      add(text, paths.coast, { close: false });
    }
    for (const text of basemap.borders) add(text, paths.border, { close: false });
    for (let lon = -180; lon < 180; lon += 30) {
      trace(map, paths.grid, (i) => (i ? 90 : -90), () => lon, 0, 2, { close: false });
    }
    for (let lat = -60; lat <= 60; lat += 30) {
      trace(map, paths.grid, () => lat, (i) => (i ? 180 : -180), 0, 2, { close: false });
    }
    return paths;
  }

  function decodeCells(map, data) {
    const centers = decodePoints(data.centers);
    const levels = decodeIntegers(data.levels);
    const count = levels.length;
    const cells = { count, levels, lat: (i) => centers[2 * i], lon: (i) => centers[2 * i + 1] };
    cells.has = () => false; // whether a cell has rings; others are discs
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
        const guessed = new Set(decodeIntegers(data.guessed)); // no border is known: these reach as far as the nearest
        const boxes = Array.from({ length: count }, (_, i) => rings.box(first[i], first[i + 1]));
        const area = ({ left, right, top, bottom }) => (right - left) * (bottom - top);
        cells.box = (i) => boxes[i];
        cells.bordered = boxes.map((_, i) => i).filter((i) => cells.has(i) && !guessed.has(i))
          .sort((i, j) => area(boxes[i]) - area(boxes[j]));
      }
    }
    return cells;
  }

  // Rings by their number: `trace` adds some to a path, `box` is what some take up.
  function decodeRings(map, { corners, rings, perDegree }) {
    const points = decodePoints(rings, perDegree);
    const start = sums(decodeIntegers(corners));
    return {
      count: start.length - 1,
      trace: (path, from, to) => {
        for (let ring = from; ring < to; ring++) {
          trace(map, path, (j) => points[2 * j], (j) => points[2 * j + 1], start[ring], start[ring + 1]);
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

  const sums = (numbers) => numbers.reduce((all, n) => (all.push(all[all.length - 1] + n), all), [0]);

  function unitVector(lat, lon) {
    const [phi, lambda] = [(lat * Math.PI) / 180, (lon * Math.PI) / 180];
    return [Math.cos(phi) * Math.cos(lambda), Math.cos(phi) * Math.sin(lambda), Math.sin(phi)];
  }

  function nearestCell(cells, lat, lon) {
    const [x, y, z] = unitVector(lat, lon);
    let best = 0;
    let cosine = -2;
    for (let i = 0; i < cells.count; i++) {
      const c = x * cells.unit[3 * i] + y * cells.unit[3 * i + 1] + z * cells.unit[3 * i + 2];
      if (c > cosine) [best, cosine] = [i, c];
    }
    return best;
  }

  Object.assign(world, { project, decodeIntegers, decodePoints, trace, basemapPaths, decodeCells, decodeRings, nearestCell });
})((window.geoexplainWorld ??= {}));
