// Turns encoded polylines into paths. A `map` only needs its projection, so this also runs without a page.

// Decodes Google's encoded polyline format: differences, zigzag, groups of five bits.
export function decodeIntegers(text) {
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

// Decodes pairs of differences in steps, by default 1/100 degree, to [first, second, first, second, …] in degrees.
export function decodePoints(text, perDegree = 100) {
  const steps = decodeIntegers(text);
  for (let i = 2; i < steps.length; i++) steps[i] += steps[i - 2];
  return steps.map((value) => value / perDegree);
}

// All coordinates below are pixels at zoom 0. Other zoom levels differ by a scale factor, so paths are built once.
export function project(map, lat, lon) {
  return map.options.crs.latLngToPoint({ lat, lng: lon }, 0);
}

// Adds a ring to a path. A ring that runs once around the Earth encloses a pole and is closed along it.
export function trace(map, path, lat, lon, from, to, { close = true } = {}) {
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

export function basemapPaths(map, basemap) {
  const paths = { land: new Path2D(), coast: new Path2D(), border: new Path2D(), grid: new Path2D() };
  const add = (text, path, options) => {
    const points = decodePoints(text);
    trace(
      map,
      path,
      (i) => points[2 * i + 1],
      (i) => points[2 * i],
      0,
      points.length / 2,
      options,
    );
  };
  for (const text of basemap.coasts) {
    add(text, paths.land);
    add(text, paths.coast, { close: false });
  }
  for (const text of basemap.borders) add(text, paths.border, { close: false });
  for (let lon = -180; lon < 180; lon += 30) {
    trace(
      map,
      paths.grid,
      (i) => (i ? 90 : -90),
      () => lon,
      0,
      2,
      { close: false },
    );
  }
  for (let lat = -60; lat <= 60; lat += 30) {
    trace(
      map,
      paths.grid,
      () => lat,
      (i) => (i ? 180 : -180),
      0,
      2,
      { close: false },
    );
  }
  return paths;
}
