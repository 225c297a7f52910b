import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, fold, isFlat, normalise, scale, upsample } from "../../assets/studio/blend.js";
import { colorPixels, createHeatmaps } from "../../assets/studio/heatmaps.js";
import { floats, given, largestDifference } from "./given.js";

const { blends, upsampled, colours, tolerance, combinations } = given.blend;

for (const { name, maps, weights, how, way, size, flat, shown } of blends) {
  test(`${name}: blends as Python does`, () => {
    const blocks = maps.map(({ h, w }) => ({ h, w }));
    const stageEnds = blocks.map((_, i) => i);
    const sent = { maps: { cam: maps.map(({ values }) => values) }, blocks, stage_ends: stageEnds, size };
    for (const level of ["block", "stage"]) {
      const total = createHeatmaps(sent, [way]).combination({ method: "cam", level, how, weights });
      assert.equal(isFlat(total), flat);
      assert.ok(largestDifference(normalise(total), floats(shown)) <= tolerance);
    }
  });
}

for (const { name, values, h, w, size, expected } of upsampled) {
  test(`${name}: upsamples as PyTorch does`, () => {
    assert.ok(largestDifference(upsample(decode(values), h, w, ...size), floats(expected)) <= 1e-6);
  });
}

for (const { name, map, lut, expected } of colours) {
  test(`${name}: picks the colours that Python picks`, () => {
    const pixels = colorPixels(
      floats(map),
      Uint8Array.from(atob(lut), (c) => c.charCodeAt(0)),
    );
    assert.deepEqual([...pixels], expected);
  });
}

test("by hand", () => {
  // 1 × 2 maps to 1 × 3 pixels: the middle pixel is the mean of both.
  const maps = [Float32Array.of(0, 4), Float32Array.of(2, 0)];
  const blended = (how) => {
    const way = combinations.find(({ name }) => name === how);
    const layers = maps.map((values) => upsample(scale(values, way), 1, 2, 1, 3));
    return [...fold(layers, [1, 0.5], way)];
  };
  assert.deepEqual(blended("sum"), [1, 2.5, 4]);
  assert.deepEqual([...normalise(Float32Array.of(1, 2.5, 4))], [0, 0.5, 1]);
  assert.deepEqual(blended("max"), [0.5, 0.75, 1]);
  const most = Math.tanh(2);
  assert.ok(largestDifference(blended("tanh"), [most / 2, most / 2, most]) < 1e-6);
});

test("every way of combining was tried, and no other is taken for one", () => {
  const tried = new Set(blends.map(({ how }) => how));
  for (const { name } of combinations) assert.ok(tried.has(name), name);
  const unknown = { name: "sum", divide: "no such divisor", gamma: null, fold: "no such fold" };
  assert.throws(() => scale(Float32Array.of(0, 1), unknown));
  assert.throws(() => fold([Float32Array.of(0, 1)], [1], unknown));
});
