import assert from "node:assert/strict";
import { test } from "node:test";
import { flatMap, given, standIns } from "./given.js";

standIns();
const { bestSpot, grown, overlap } = await import("../../assets/world/labels.js");
const { cellBuckets, View } = await import("../../assets/world/predictionscene.js");
const { Chart, same } = await import("../../assets/world/partitionscene.js");
globalThis.window = { geoexplainBasemap: { coasts: [], borders: [] } };

const SIZE = { x: 400, y: 300 };
const [WIDTH, HEIGHT] = [60, 20];
const inside = ({ left, right, top, bottom }) => left >= 3 && top >= 3 && right <= SIZE.x - 3 && bottom <= SIZE.y - 3;

test("rectangles overlap by their common area, and none where they only touch", () => {
  const one = { left: 0, right: 4, top: 0, bottom: 3 };
  assert.equal(overlap(one, { left: 3, right: 9, top: 1, bottom: 9 }), 2);
  assert.equal(overlap(one, { left: 4, right: 9, top: 0, bottom: 3 }), 0);
  assert.deepEqual(grown(one, 2), { left: -2, right: 6, top: -2, bottom: 5 });
});

test("a label with room stands as close to its cell as any, to the right", () => {
  // Twelve pixels beside the cell is the smallest gap there is; the first direction tried is east.
  assert.deepEqual(bestSpot({ x: 200, y: 150 }, WIDTH, HEIGHT, SIZE, [], []), {
    left: 212,
    right: 272,
    top: 140,
    bottom: 160,
  });
});

test("a label keeps off others and inside the map, and yields where there is no room", () => {
  const taken = [{ left: 205, right: 400, top: 0, bottom: 300 }];
  for (const anchor of [
    { x: 200, y: 150 },
    { x: 5, y: 5 },
    { x: 199, y: 295 },
  ]) {
    const spot = bestSpot(anchor, WIDTH, HEIGHT, SIZE, taken, []);
    assert.ok(inside(spot));
    assert.equal(overlap(grown(spot, 2), taken[0]), 0);
  }
  const everything = { left: 0, right: 400, top: 0, bottom: 300 };
  assert.equal(bestSpot({ x: 200, y: 150 }, WIDTH, HEIGHT, SIZE, [everything], []), null);
});

test("a label goes farther rather than over an outlined cell", () => {
  // To the west, 48 px off, it covers the cell by 2 × 20 of its 60 × 20 px: a cost of 48 + 150 / 30. Above, it would
  // cover 60 × 14 px at 36 px, and 60 × 2 at 48; beside its anchor, all of it.
  const cell = { left: 150, right: 400, top: 100, bottom: 200 };
  const spot = bestSpot({ x: 200, y: 150 }, WIDTH, HEIGHT, SIZE, [], [cell]);
  assert.deepEqual(Object.values(spot).map(Math.round), [92, 152, 140, 160]);
});

test("cells of similar probability share a bucket, and those of none have none", () => {
  const found = cellBuckets({ count: 5, levels: [0, 1, 255, 250, 128] });
  assert.equal(found.length, 48);
  // 48 buckets of levels from 0 to 255: 1 in the first, 250 and 255 in the last two, 128 in the middle.
  assert.deepEqual(
    found.flatMap((cells, bucket) => cells.map((cell) => [cell, bucket])),
    [
      [1, 0],
      [4, 24],
      [3, 46],
      [2, 47],
    ],
  );
});

test("the palette runs from its first colour to its last, for the page's theme", () => {
  const { data, palette } = given.scene;
  const view = new View(flatMap(given.cells.linear), data);
  assert.equal(view.color(0), palette.light[0]);
  assert.equal(view.color(255), palette.light[palette.light.length - 1]);
  view.data = { ...data, dark: true };
  assert.equal(view.color(255), palette.dark[palette.dark.length - 1]);
});

test("a cell says the probability that Python says", () => {
  const { data, percents } = given.scene;
  const view = new View(flatMap(given.cells.linear), data);
  assert.deepEqual(
    percents.map((_, i) => view.probabilityText(i)),
    percents,
  );
});

test("discs grow with the zoom, between 1.5 and 9 pixels", () => {
  const radius = View.prototype.radius;
  assert.deepEqual([0, 1.5, 2.5, 3.5, 8].map(radius), [1.5, 1.6, 3.2, 6.4, 9]);
});

test("a cell of a partitioning lies in those that Python says hold it", () => {
  const { levels, chains } = given.partitioning;
  const chart = new Chart(flatMap(given.cells.linear), { levels, dark: false, palette: {} });
  assert.equal(chart.level, levels.length - 1);
  for (const { cell, chain } of chains) {
    const found = chart.chain({ level: levels.length - 1, cell });
    assert.deepEqual(
      found.map((holder) => holder.cell),
      chain,
    );
    assert.deepEqual(
      found.map(({ level }) => level),
      levels.map((_, i) => levels.length - 1 - i),
    );
  }
  assert.ok(same({ level: 0, cell: 1 }, { level: 0, cell: 1 }) && !same({ level: 0, cell: 1 }, null));
});
