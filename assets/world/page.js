// Shared by both map pages: reads their data, sets the projection, makes elements and controls.

export const ROOMY_PX = 640;

// The Leaflet map of the page, and the data to draw on it.
export function readPage() {
  const data = JSON.parse(document.getElementById("geoexplain-data").textContent);
  return { map: window[data.map], data };
}

// Equidistant cylindrical projection, true to shape at one parallel. Unlike Web Mercator it shows the poles.
function equidistant(parallelDeg) {
  const narrow = Math.cos((parallelDeg * Math.PI) / 180);
  return L.extend({}, L.CRS.EPSG4326, {
    transformation: new L.Transformation(narrow / 180, narrow, -1 / 180, 0.5),
  });
}

// To be called before anything is drawn: folium can create a map only with Leaflet's own projections.
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
  // Leaflet looks for the control among the ancestors of the clicked element, which may have been removed by then.
  box.addEventListener("click", (event) => event.stopPropagation());
  const control = L.control({ position });
  control.onAdd = () => box;
  control.addTo(map);
}

// Names the map for screen readers, and credits the source of the base map.
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

// Calls `fit` after every change of the frame's size until the user moves it; in a hidden tab the frame has no size
// yet. Returns a function that stops it.
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

// The size of the Earth in pixels at zoom 0.
function wholeEarth(map) {
  const point = (lat, lng) => map.options.crs.latLngToPoint(L.latLng(lat, lng), 0);
  return point(-90, 180).subtract(point(90, -180));
}
