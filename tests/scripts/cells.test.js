import assert from "node:assert/strict";
import { test } from "node:test";
import { BUCKETS, decodeCells, decodeLevel, nearestCell } from "../../assets/world/cells.js";
import { flatMap, given, largestDifference, standIns } from "./given.js";

standIns();
const { partition, partitioning, linear } = given.cells;
const map = flatMap(linear);

test("cells are where Python has them, and each has its outline", () => {
  const cells = decodeCells(map, partition.data);
  assert.equal(cells.count, partition.centers.length);
  assert.ok(cells.complete);
  partition.centers.forEach(([lat, lon], i) => {
    assert.ok(Math.abs(cells.lat(i) - lat) <= 0.0051 && Math.abs(cells.lon(i) - lon) <= 0.0051);
    const path = new Path2D();
    cells.trace(i, path);
    const [south, north] = partition.latitudes[i];
    const ys = path.rings.flat().map(([, y]) => y);
    const half = (linear.y[0] * (south - north)) / 2;
    assert.ok(Math.abs(cells.halfSize(i) - half) < 0.05, `cell ${i}`);
    assert.ok(Math.min(...ys) >= linear.y[0] * 90 + linear.y[1] - 1e-9); // no farther than the pole
  });
});

test("the nearest centre is the nearest on the sphere, also across the antimeridian and at the poles", () => {
  const cells = decodeCells(map, partition.data);
  for (const { lat, lon, cell } of partition.nearest) assert.equal(nearestCell(cells, lat, lon), cell, `${lat} ${lon}`);
});

test("cells without outlines are discs", () => {
  const { centers, levels } = partition.data;
  const cells = decodeCells(map, { centers, levels });
  assert.ok(!cells.complete && !cells.has(0));
  assert.equal(cells.halfSize(0), 0);
});

partitioning.forEach(({ data, counts, centers, fewest, most, buckets, parents, boxes }, level) => {
  test(`level ${level} of a partitioning: counts, colours, boxes and what holds what`, () => {
    const found = decodeLevel(map, data);
    assert.deepEqual(found.counts, counts);
    assert.deepEqual(found.parents, parents);
    assert.deepEqual([found.fewest, found.most], [fewest, most]);
    assert.equal(found.buckets.length, BUCKETS);
    const rings = found.buckets.map((path) => (path ? path.rings.length : 0));
    assert.deepEqual(rings, buckets);
    boxes.forEach((box, i) => {
      const { left, top, right, bottom } = found.boxes[i];
      assert.ok(largestDifference([left, top, right, bottom], box) < 1e-3, `box of cell ${i}`);
      assert.ok(largestDifference(found.center(i), centers[i]) < 1e-4);
    });
  });
});
