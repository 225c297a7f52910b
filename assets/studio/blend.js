// Combi-CAM in the browser: the arithmetic of geoexplain/explainer/combine.py and view/overlay.py, in the same order.
// Those functions are the reference; a test compares both. A combination is a row of COMBINATIONS as data:
// { name, divide: "nothing", "maximum" or "range", gamma: a number or null, fold: "sum" or "maximum" }.

export const FLAT_SPREAD = 1e-6;

export function decode(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

function range(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return [low, high];
}

export function isFlat(values) {
  const [low, high] = range(values);
  return high - low <= FLAT_SPREAD * high;
}

// The minimum and the length of the range that is scaled to 0 … 1; null: the map is not scaled.
const DIVISORS = { nothing: () => null, maximum: (_, high) => [0, high], range: (low, high) => [low, high - low] };
const FOLDS = { sum: (total, value) => total + value, maximum: Math.max };

// Scales a map at its own resolution before it is weighted, as Combination.scale does.
export function scale(values, { divide, gamma }) {
  const span = DIVISORS[divide](...range(values));
  if (span === null && gamma === null) return values;
  const out = new Float32Array(values.length);
  if (span !== null && isFlat(values)) return out;
  const [low, length] = span || [0, 1];
  for (let i = 0; i < values.length; i++) {
    const divided = (values[i] - low) / length;
    out[i] = gamma === null ? divided : Math.tanh(gamma * divided);
  }
  return out;
}

// Bilinear interpolation with aligned corners.
export function upsample(values, h, w, H, W) {
  const out = new Float32Array(H * W);
  const sy = H > 1 ? (h - 1) / (H - 1) : 0;
  const sx = W > 1 ? (w - 1) / (W - 1) : 0;
  for (let y = 0; y < H; y++) {
    const fy = y * sy;
    const y0 = Math.min(Math.floor(fy), h - 1);
    const y1 = Math.min(y0 + 1, h - 1);
    const ty = fy - y0;
    for (let x = 0; x < W; x++) {
      const fx = x * sx;
      const x0 = Math.min(Math.floor(fx), w - 1);
      const x1 = Math.min(x0 + 1, w - 1);
      const tx = fx - x0;
      const top = values[y0 * w + x0] * (1 - tx) + values[y0 * w + x1] * tx;
      const bottom = values[y1 * w + x0] * (1 - tx) + values[y1 * w + x1] * tx;
      out[y * W + x] = top * (1 - ty) + bottom * ty;
    }
  }
  return out;
}

// Combines layers, already scaled and upsampled, with their weights into one heatmap.
export function fold(layers, weights, way) {
  const add = FOLDS[way.fold];
  const total = new Float32Array(layers[0].length);
  layers.forEach((layer, k) => {
    const weight = weights[k];
    if (!(weight > 0)) return;
    for (let i = 0; i < total.length; i++) total[i] = add(total[i], weight * layer[i]);
  });
  return total;
}

// Scales a heatmap to [0, 1] for display; zeros if it is flat.
export function normalise(values) {
  const out = new Float32Array(values.length);
  if (isFlat(values)) return out;
  const [low, high] = range(values);
  for (let i = 0; i < values.length; i++) out[i] = (values[i] - low) / (high - low);
  return out;
}
