import assert from "node:assert/strict";
import { test } from "node:test";
import { percentWithin, probabilityWithin, within } from "../../assets/studio/density.js";
import { given } from "./given.js";

for (const { name, curve, scales } of given.density) {
  test(`${name}: the rule counts what lies within a distance`, () => {
    for (const { km, share, percent } of scales) {
      assert.ok(Math.abs(probabilityWithin(curve, km) - share) < 1e-9, `within ${km} km`);
      assert.equal(percentWithin(curve, km), percent);
    }
  });
}

test("by hand: a step counts from its distance on", () => {
  const steps = { km: [0, 10, 20], share: [0.5, 0.7, 1] };
  assert.deepEqual(
    [0, 9.999, 10, 10.001, 20, 9000].map((km) => probabilityWithin(steps, km)),
    [0.5, 0.5, 0.7, 0.7, 1, 1],
  );
  assert.equal(within({ scale_km: 1200, scale_text: "1,200 km" }), "in cells centred within 1,200 km of the best one");
});
