// What both pages of maps do: read their data, set the projection, make elements and controls.

export const ROOMY_PX = 640;

// The Leaflet map of the page, and what is to be drawn on it.
export function readPage() {
  const data = JSON.parse(document.getElementById("geoexplain-data").textContent);
  return { map: window[data.map], data };
}

// Equidistant cylindrical, true to shape at one parallel: it shows the poles, which Web Mercator cannot.
function equidistant(parallelDeg) {
  const narrow = Math.cos((parallelDeg * Math.PI) / 180);
  return L.extend({}, L.CRS.EPSG4326, {
    transformation: new L.Transformation(narrow / 180, narrow, -1 / 180, 0.5),
  });
}

// Before anything is drawn: a map knows only the projections that Leaflet has when it is made.
export function setProjection(map, parallelDeg) {
  map.options.crs = equidistant(parallelDeg);
  map.setView(map.options.center, map.options.zoom, { reset: true, animate: false });
}

export function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

export function addControl(map, box, position) {
  L.DomEvent.disableClickPropagation(box);
  L.DomEvent.disableScrollPropagation(box);
  // Leaflet looks for the control around what was clicked, which may be gone from the page by then.
  box.addEventListener("click", (event) => event.stopPropagation());
  const control = L.control({ position });
  control.onAdd = () => box;
  control.addTo(map);
}

// Names the map for those who hear the page, and says where its ground is from.
export function introduce(map, what, tiles) {
  const container = map.getContainer();
  container.classList.add("geoexplain-map");
  container.setAttribute("role", "application");
  container.setAttribute("aria-label", `Map of the ${what}. Arrow keys move it, plus and minus zoom.`);
  map.attributionControl.setPrefix("Leaflet");
  if (!tiles) map.attributionControl.addAttribution("Natural Earth");
}

export function setTheme(map, dark) {
  map.getContainer().classList.toggle("geoexplain-dark", dark);
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
}

// Calls `fit` once the frame has a size, and again until somebody moves the map: a hidden tab has none yet. Returns
// what ends that.
export function keepFitted(map, fit) {
  let touched = false;
  const resized = () => {
    map.invalidateSize({ animate: false });
    const size = map.getSize();
    if (!size.x || !size.y) return;
    const whole = wholeEarth(map);
    map.setMinZoom(Math.max(0, Math.log2(Math.min(size.x / whole.x, size.y / whole.y))));
    if (!touched) fit(size);
  };
  const release = () => {
    touched = true;
  };
  for (const event of ["pointerdown", "wheel", "keydown"]) {
    map.getContainer().addEventListener(event, release, { passive: true });
  }
  new ResizeObserver(resized).observe(map.getContainer());
  resized();
  return release;
}

// Its size in pixels at zoom 0.
function wholeEarth(map) {
  const point = (lat, lng) => map.options.crs.latLngToPoint(L.latLng(lat, lng), 0);
  return point(-90, 180).subtract(point(90, -180));
}
