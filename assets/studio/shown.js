// What the page is about, for everything that asks the server about it. Whoever wants to know when it changes listens
// to "geoexplain-shown".
let about = null;

// { model, target, place, label, percent, cell, best, image, alt, size }, and as functions what may have changed by the
// time they are called: colormap(), combi() as Combi-CAM is set, asked() as the server is to be asked. null for nothing.
export const shown = () => about;

export function show(next) {
  about = next;
  document.dispatchEvent(new Event("geoexplain-shown"));
}
