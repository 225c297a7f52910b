import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeIntegers, decodePoints, project, trace } from "../../assets/world/geometry.js";
import { flatMap, given, largestDifference, RecordedPath } from "./given.js";

const { integers, points, projections, rings } = given.geometry;

test("integers come back as they were", () => {
  assert.deepEqual(decodeIntegers(integers.text), integers.values);
});

test("Google's own example of an encoded polyline", () => {
  const found = decodePoints("_p~iF~ps|U_ulLnnqC_mqNvxq`@", 1e5);
  assert.ok(largestDifference(found, [38.5, -120.2, 40.7, -120.95, 43.252, -126.453]) < 1e-9);
});

for (const { name, text, perDegree, degrees } of points) {
  test(`${name}: points come back to within half a step`, () => {
    assert.ok(largestDifference(decodePoints(text, perDegree), degrees) <= 0.5 / perDegree + 1e-9);
  });
}

for (const { parallel, linear, places } of projections) {
  test(`true to shape at ${parallel}°: places fall where they should`, () => {
    for (const { lat, lon, x, y } of places) {
      const found = project(flatMap(linear), lat, lon);
      assert.ok(Math.hypot(found.x - x, found.y - y) < 1e-9);
    }
  });
}

for (const { name, text, linear, corners } of rings) {
  test(`${name}: the outline runs through its corners`, () => {
    const degrees = decodePoints(text);
    const path = new RecordedPath();
    trace(
      flatMap(linear),
      path,
      (i) => degrees[2 * i],
      (i) => degrees[2 * i + 1],
      0,
      degrees.length / 2,
    );
    assert.equal(path.rings.length, 1);
    assert.equal(path.closed, 1);
    assert.ok(largestDifference(path.rings[0].flat(), corners.flat()) < 0.02);
  });
}

test("a line is left open", () => {
  const path = new RecordedPath();
  const linear = { x: [1, 0], y: [1, 0] };
  trace(
    flatMap(linear),
    path,
    () => 5,
    (i) => 200 * i,
    0,
    3,
    { close: false },
  );
  assert.equal(path.closed, 0);
  assert.deepEqual(path.rings, [
    [
      [0, 5],
      [200, 5],
      [400, 5],
    ],
  ]);
});
