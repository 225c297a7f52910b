import assert from "node:assert/strict";
import { test } from "node:test";
import { fold } from "../../assets/studio/blend.js";
import { divergingPixels, pairLayer, signed } from "../../assets/studio/panels/diverging.js";
import { floats, given, largestDifference } from "./given.js";

const { pairs, picture, combinations } = given.diverging;

for (const { name, here, there, weights, how, size, expected } of pairs) {
  test(`${name}: one cell's maps less the other's, as Python subtracts them`, () => {
    const way = combinations.find((row) => row.name === how);
    const layers = here.map(({ values, h, w }, i) =>
      pairLayer(floats(values), floats(there[i].values), way, { h, w }, size),
    );
    const folded = (side) =>
      fold(
        layers.map((both) => both[side]),
        weights,
        way,
      );
    const values = signed(folded("here"), folded("there"));
    const turned = signed(folded("there"), folded("here"));
    if (expected === null) {
      assert.equal(values, null);
      assert.equal(turned, null);
      return;
    }
    assert.ok(largestDifference(values, floats(expected)) <= 1e-4);
    assert.ok(
      largestDifference(
        turned,
        values.map((value) => -value),
      ) <= 1e-6,
    );
  });
}

test("laid over the image, the colours are those of the picture that Python makes", () => {
  const { values, greys, look, opacity, expected } = picture;
  const ground = (look.lightest - look.darkest) / 255;
  const pixels = divergingPixels(floats(values), greys.length, look, { ground, veil: look.darkest, opacity });
  greys.forEach((grey, i) => {
    const alpha = pixels[4 * i + 3] / 255;
    for (let c = 0; c < 3; c++) {
      const laid = alpha * pixels[4 * i + c] + (1 - alpha) * grey;
      assert.ok(Math.abs(laid - expected[3 * i + c]) <= 2, `pixel ${i}: ${laid} for ${expected[3 * i + c]}`);
    }
  });
});

test("without a map there is only the veil", () => {
  const look = { here: [1, 2, 3], there: [4, 5, 6] };
  assert.deepEqual([...divergingPixels(null, 1, look, { ground: 0, veil: 140, opacity: 1 })], [140, 140, 140, 255]);
});
