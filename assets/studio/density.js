// The prediction density that the rule for "localizable" uses, read from the steps that the server sends. Arithmetic
// only: it runs without a page.

// The index of the last step not beyond a scale, whose density the rule uses. The first step is at 0 km.
function step({ km }, scale) {
  let low = 0;
  let high = km.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (km[middle] <= scale) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

export const probabilityWithin = (counted, scale) => counted.share[step(counted, scale)];

// The same density as text.
export const percentWithin = (counted, scale) => counted.percent[step(counted, scale)];

// A scale as text: the rule counts cells by their centres, whatever their width.
export const within = ({ scale_text }) => `in cells centred within ${scale_text} of the best one`;
