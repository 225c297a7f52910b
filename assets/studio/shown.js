// What the page shows, for all scripts that send requests about it. The event "geoexplain-shown" reports changes.
let about = null;

// { model, target, place, label, percent, cell, best, image, alt, size }, and functions for what may change meanwhile:
// colormap(), combi() for the setting of Combi-CAM, asked() for what a request holds. null for nothing.
export const shown = () => about;

export function show(next) {
  about = next;
  document.dispatchEvent(new Event("geoexplain-shown"));
}
