// What the rule for "localizable" counts within any distance, read off the steps that the server sends. Arithmetic only:
// it runs without a page.

// The last step that is no farther than a scale: what the rule counts there. The first step is at 0 km.
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

// The same in words.
export const percentWithin = (counted, scale) => counted.percent[step(counted, scale)];

// A scale in words: the rule counts cells by their centres, whatever their width.
export const within = ({ scale_text }) => `in cells centred within ${scale_text} of the best one`;
