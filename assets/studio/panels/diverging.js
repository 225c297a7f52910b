// Turns two maps into a signed one, and that into two colours, in the order of geoexplain/explainer/contrast.py and
// view/diverging.py.
// Arithmetic only: it runs without a page.
import { FLAT_SPREAD, isFlat, scale, upsample } from "../blend.js";

// Scales the maps of two cells for the same block before they are added up over blocks. Both get the same scale:
// otherwise the fainter one would look as strong.
export function pairLayer(here, there, way, { h, w }, [H, W]) {
  const both = new Float32Array(2 * h * w);
  both.set(here);
  both.set(there, h * w);
  const scaled = scale(both, way);
  return {
    here: upsample(scaled.subarray(0, h * w), h, w, H, W),
    there: upsample(scaled.subarray(h * w), h, w, H, W),
  };
}

// The difference of two maps over its largest magnitude: [-1, 1]; null if it has no structure.
export function signed(here, there) {
  const [plus, minus] = [here, there].map((side) => (isFlat(side) ? new Float32Array(side.length) : side));
  const values = new Float32Array(here.length);
  let low = Infinity;
  let high = -Infinity;
  let most = 0;
  for (let i = 0; i < values.length; i++) {
    values[i] = plus[i] - minus[i];
    low = Math.min(low, values[i]);
    high = Math.max(high, values[i]);
    most = Math.max(most, plus[i], minus[i]);
  }
  if (high - low <= FLAT_SPREAD * most) return null;
  const largest = Math.max(high, -low);
  return values.map((value) => value / largest);
}

// Draws a signed map, or null for zeros, in the two colours of `look`; returns `count` RGBA pixels. Where the map is 0,
// `ground` is the share of the image that shows through, and the grey `veil` is added to it.
export function divergingPixels(values, count, look, { ground, veil, opacity }) {
  const pixels = new Uint8ClampedArray(4 * count);
  for (let i = 0; i < count; i++) {
    const value = values ? values[i] : 0;
    const colour = value > 0 ? look.here : look.there;
    const share = opacity * Math.abs(value);
    const alpha = 1 - (1 - share) * ground;
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = Math.round(((1 - share) * veil + share * colour[c]) / alpha);
    pixels[4 * i + 3] = Math.round(255 * alpha);
  }
  return pixels;
}
