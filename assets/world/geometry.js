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

  // Pairs of differences in 1/100 degree → [first, second, first, second, …] in degrees.
  function decodePoints(text) {
    const steps = decodeIntegers(text);
    for (let i = 2; i < steps.length; i++) steps[i] += steps[i - 2];
    return steps.map((value) => value / 100);
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
    cells.halfSize = () => 0;
    cells.xy = new Float64Array(2 * count);
    cells.unit = new Float64Array(3 * count);
    for (let i = 0; i < count; i++) {
      const { x, y } = project(map, cells.lat(i), cells.lon(i));
      cells.xy.set([x, y], 2 * i);
      cells.unit.set(unitVector(cells.lat(i), cells.lon(i)), 3 * i);
    }
    if (data.corners) {
      const corners = decodeIntegers(data.corners);
      const ring = decodePoints(data.rings);
      cells.start = [0];
      for (const n of corners) cells.start.push(cells.start[cells.start.length - 1] + n);
      cells.halfSize = (i) => {
        const height = [Infinity, -Infinity];
        for (let j = cells.start[i]; j < cells.start[i + 1]; j++) {
          const { y } = project(map, ring[2 * j], ring[2 * j + 1]);
          [height[0], height[1]] = [Math.min(height[0], y), Math.max(height[1], y)];
        }
        return (height[1] - height[0]) / 2;
      };
      cells.trace = (i, path) =>
        trace(map, path, (j) => ring[2 * j], (j) => ring[2 * j + 1], cells.start[i], cells.start[i + 1]);
    }
    return cells;
  }

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

  Object.assign(world, { project, decodePoints, trace, basemapPaths, decodeCells, nearestCell });
})((window.geoexplainWorld ??= {}));
