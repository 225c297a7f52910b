// What the rule for "localizable" counts within any distance, read off the steps that the server sends. Arithmetic and
// words only: it runs without a page.

export const FARTHEST_KM = 20100;

const format = (km) => Number(km).toLocaleString("en-US", { maximumFractionDigits: 3 });

// What the rule counts at a scale is that of the last step that is no farther than it.
export function probabilityWithin({ km, share }, scale) {
  let low = 0;
  let high = km.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (km[middle] <= scale) low = middle + 1;
    else high = middle;
  }
  return low ? share[low - 1] : 0;
}

export function percent(share) {
  return share > 0 && share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`;
}

// A scale in words: the rule counts cells by their centres, whatever their width.
export function within(scale) {
  return `in cells centred within ${format(scale)} km of the best one`;
}
