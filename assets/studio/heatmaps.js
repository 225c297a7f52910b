// The maps of one answer as numbers, and the heatmaps that are computed from them. Arithmetic only: it runs without a
// page.
import { decode, fold, scale, upsample } from "./blend.js";

// `payload` is the server's data for an image and a cell, `combinations` lists the combinations.
export function createHeatmaps({ maps, blocks, stage_ends: stageEnds, size: [H, W] }, combinations) {
  const raw = {}; // method → block → Float32Array
  for (const [method, encoded] of Object.entries(maps)) raw[method] = encoded.map(decode);
  const layers = {}; // "method/block/how" → Float32Array at the network's input size

  const wayOf = (how) => combinations.find(({ name }) => name === how);

  function layer(method, block, how) {
    const { h, w } = blocks[block];
    return (layers[`${method}/${block}/${how}`] ??= upsample(scale(raw[method][block], wayOf(how)), h, w, H, W));
  }

  // The map of a stage is that of its last block.
  const blocksAt = (level) => (level === "block" ? blocks.map((_, i) => i) : stageEnds);

  return {
    blocksAt,
    layer,
    raw: (method, block) => raw[method][block],
    combination: ({ method, level, how, weights }) =>
      fold(
        blocksAt(level).map((block) => layer(method, block, how)),
        weights,
        wayOf(how),
      ),
  };
}

// Colours a map from 0 to 1 with the 256 colours of a colormap; returns RGBA pixels.
export function colorPixels(normalised, lut) {
  const pixels = new Uint8ClampedArray(4 * normalised.length);
  for (let i = 0; i < normalised.length; i++) {
    const level = 3 * Math.round(normalised[i] * 255);
    pixels[4 * i] = lut[level];
    pixels[4 * i + 1] = lut[level + 1];
    pixels[4 * i + 2] = lut[level + 2];
    pixels[4 * i + 3] = 255;
  }
  return pixels;
}
