// The map of one prediction: labels, legend, hover, clicks. Needs Leaflet, geometry.js, places.js and scene.js, nothing
// else.
// Names come from models and files of unknown origin: they reach the page through textContent only.
((world) => {
  "use strict";

  const { View, project } = world;

  const ROOMY_PX = 640;
  const CLOSEST_FITTED_ZOOM = 11;

  function element(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  // Names beside the likeliest cells, most likely first; one that finds no room shrinks to its percentage, or yields.
  class Labels {
    constructor(view) {
      this.view = view;
      this.box = element("div", "geoexplain-labels");
      view.map.getPane("markerPane").appendChild(this.box);
      view.map.on("zoomstart", () => (this.box.style.visibility = "hidden"));
      view.map.on("moveend zoomend viewreset", () => this.place());
    }

    shown() {
      const { top } = this.view.data;
      const { target } = this.view;
      return target === null || top.includes(target) ? top : [...top, target];
    }

    place() {
      const { map } = this.view;
      this.box.style.visibility = "";
      this.box.replaceChildren();
      const frame = map.getContainer().getBoundingClientRect();
      const taken = [...map.getContainer().querySelectorAll(".leaflet-control")].map((node) => {
        const r = node.getBoundingClientRect();
        const [x, y] = [r.left - frame.left, r.top - frame.top];
        return { left: x, top: y, right: x + r.width, bottom: y + r.height };
      });
      const { point, truth } = this.view.marks;
      const marks = [point, truth && truth.point, ...(this.view.search ? this.view.search.points : [])].filter(Boolean);
      for (const mark of marks) {
        const p = this.inView(...mark);
        taken.push({ left: p.x - 8, top: p.y - 8, right: p.x + 8, bottom: p.y + 8 });
      }
      const cells = this.shown().map((index) => this.cellBox(index));
      for (const index of this.shown()) this.placeOne(index, taken, cells);
    }

    cellBox(index) {
      const { cells, map } = this.view;
      const middle = this.inView(cells.lat(index), cells.lon(index));
      const scale = map.options.crs.scale(map.getZoom()) / map.options.crs.scale(0);
      const half = scale * cells.halfSize(index) || 6;
      return grown({ left: middle.x, right: middle.x, top: middle.y, bottom: middle.y }, half);
    }

    // Of all turns of the Earth the one next to the middle of the map.
    inView(lat, lon) {
      const turns = Math.round((this.view.map.getCenter().lng - lon) / 360);
      return this.view.map.latLngToContainerPoint([lat, lon + 360 * turns]);
    }

    placeOne(index, taken, cells) {
      const { view, box } = this;
      const size = view.map.getSize();
      const anchor = this.inView(view.cells.lat(index), view.cells.lon(index));
      if (anchor.x < 0 || anchor.y < 0 || anchor.x > size.x || anchor.y > size.y) return;
      const node = element("div", "geoexplain-label");
      node.classList.toggle("geoexplain-label-target", index === view.target);
      const name = element("span", "geoexplain-label-name", view.data.names[index] || `cell ${index}`);
      node.append(name, element("span", "geoexplain-label-percent", view.probabilityText(index)));
      box.appendChild(node);
      for (const full of [true, false]) {
        if (!full) name.remove();
        const spot = bestSpot(anchor, node.offsetWidth, node.offsetHeight, size, taken, cells);
        if (!spot) continue;
        taken.push(spot);
        L.DomUtil.setPosition(node, view.map.containerPointToLayerPoint([spot.left, spot.top]).round());
        this.lead(anchor, spot);
        return;
      }
      node.remove();
    }

    // A dot on the cell and a line from it to its label.
    lead(anchor, spot) {
      const x = Math.max(spot.left, Math.min(anchor.x, spot.right)) - anchor.x;
      const y = Math.max(spot.top, Math.min(anchor.y, spot.bottom)) - anchor.y;
      const from = this.view.map.containerPointToLayerPoint(anchor);
      const line = element("div", "geoexplain-leader");
      line.style.width = `${Math.hypot(x, y)}px`;
      line.style.transform = `translate(${from.x}px, ${from.y}px) rotate(${Math.atan2(y, x)}rad)`;
      const dot = element("div", "geoexplain-dot");
      dot.style.transform = `translate(${from.x}px, ${from.y}px)`;
      this.box.prepend(line, dot);
    }
  }

  const overlap = (a, b) => Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left))
    * Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));

  // Close to its cell, off the outlined cells, never over another label; null where there is no room.
  function bestSpot(anchor, width, height, size, taken, cells) {
    let best = null;
    let lowest = Infinity;
    for (let turn = 0; turn < 16; turn++) {
      const [dx, dy] = [Math.cos((turn * Math.PI) / 8), Math.sin((turn * Math.PI) / 8)];
      for (let gap = 12; gap <= 150; gap += 12) {
        // the near edge of the label, not its middle, keeps the distance
        const [x, y] = [anchor.x + dx * (gap + width / 2), anchor.y + dy * (gap + height / 2)];
        const spot = { left: x - width / 2, right: x + width / 2, top: y - height / 2, bottom: y + height / 2 };
        if (spot.left < 3 || spot.top < 3 || spot.right > size.x - 3 || spot.bottom > size.y - 3) continue;
        if (taken.some((other) => overlap(grown(spot, 2), other))) continue;
        const cost = gap + 150 * cells.reduce((sum, cell) => sum + overlap(spot, cell) / (width * height), 0);
        if (cost < lowest) [best, lowest] = [spot, cost];
      }
    }
    return best;
  }

  const grown = (r, by) => ({ left: r.left - by, right: r.right + by, top: r.top - by, bottom: r.bottom + by });

  function legend(view) {
    const box = element("details", "geoexplain-legend");
    const rows = element("div");
    const row = (symbol, text) => {
      const line = element("div", "geoexplain-legend-row");
      line.append(element("span", `geoexplain-symbol geoexplain-symbol-${symbol}`), element("span", "", text));
      rows.appendChild(line);
    };
    box.appendChild(element("summary", "", "Legend"));
    const title = element("div", "geoexplain-legend-title", "Probability of a cell");
    const bar = element("div", "geoexplain-bar");
    const ticks = element("div", "geoexplain-ticks");
    for (const tick of view.data.ticks) ticks.appendChild(element("span", "", tick));
    box.append(title, bar, ticks, rows);
    view.explainMarks = () => {
      const { marks, search } = view;
      rows.replaceChildren();
      row("point", "predicted point");
      if (search) {
        row("chosen", "photos of the chosen cluster");
        if (search.chosen.includes(false)) row("found", "other photos that look alike");
        row("way", `from the centre of the cell, ${search.text}`);
      }
      if (view.target !== null) row("target", "cell being explained");
      if (view.places.explained) row("target", `${view.places.explained.name}, being explained`);
      if (marks.circle) row("circle", marks.circle.text);
      if (marks.truth) row("truth", `true point, ${marks.truth.text} away`);
    };
    view.explainMarks();
    box.open = view.map.getSize().x >= ROOMY_PX;
    L.DomEvent.disableClickPropagation(box);
    const control = L.control({ position: "bottomleft" });
    control.onAdd = () => box;
    control.addTo(view.map);
    if (view.data.doubt) {
      const doubt = L.control({ position: "topright" });
      doubt.onAdd = () => element("p", "geoexplain-doubt", view.data.doubt);
      doubt.addTo(view.map);
    }
    return bar;
  }

  function hover(view) {
    const tip = element("div", "geoexplain-tip");
    tip.hidden = true;
    view.map.getContainer().appendChild(tip);
    view.map.on("mousemove", ({ latlng, containerPoint, originalEvent }) => {
      const onControl = originalEvent.target.closest && originalEvent.target.closest(".leaflet-control");
      const index = onControl || Math.abs(latlng.lat) > 90 ? -1 : view.cellAt(latlng.lat, latlng.lng);
      tip.hidden = index < 0;
      if (index < 0) return;
      const name = view.data.names[index];
      tip.textContent = name ? `${name}: ${view.probabilityText(index)}` : view.probabilityText(index);
      const size = view.map.getSize();
      const left = Math.min(containerPoint.x + 14, size.x - tip.offsetWidth - 4);
      const above = containerPoint.y + 18 + tip.offsetHeight > size.y;
      const top = above ? containerPoint.y - tip.offsetHeight - 8 : containerPoint.y + 18;
      tip.style.transform = `translate(${Math.max(4, left)}px, ${top}px)`;
    });
    view.map.on("mouseout zoomstart movestart", () => (tip.hidden = true));
  }

  // Fits once the frame has a size, and again while nobody has moved the map: a hidden tab has none yet.
  function keepFitted(view, box) {
    const { map, data } = view;
    let touched = false;
    const show = (bounds, options) => {
      const aside = map.getSize().x >= ROOMY_PX ? box.offsetWidth : 0;
      map.fitBounds(bounds, { paddingTopLeft: [18 + aside, 18], paddingBottomRight: [18, 18], animate: false, ...options });
    };
    const fit = () => {
      map.invalidateSize({ animate: false });
      const size = map.getSize();
      if (!size.x || !size.y) return;
      const whole = project(map, -90, 180).subtract(project(map, 90, -180));
      map.setMinZoom(Math.max(0, Math.log2(Math.min(size.x / whole.x, size.y / whole.y))));
      if (!touched) show(data.fit);
    };
    for (const event of ["pointerdown", "wheel", "keydown"]) {
      map.getContainer().addEventListener(event, () => (touched = true), { passive: true });
    }
    new ResizeObserver(fit).observe(map.getContainer());
    fit();
    return (bounds) => {
      touched = true;
      show(bounds, { maxZoom: CLOSEST_FITTED_ZOOM });
    };
  }

  // The page around the map hears of clicks, and may change target and theme without reloading, keeping pan and zoom.
  function talk(view, labels, show, applyTheme) {
    view.map.on("click", ({ latlng }) => {
      const { lat, lng } = latlng.wrap();
      if (window.parent === window || Math.abs(lat) > 90) return;
      // any origin: inside srcdoc the parent's is not known, and the message holds nothing but a point on Earth
      window.parent.postMessage({ source: "geoexplain-map", lat, lng }, "*");
    });
    window.addEventListener("message", ({ source, data }) => {
      if (source !== window.parent || !data || data.source !== "geoexplain-studio") return;
      const known = Number.isInteger(data.target) && data.target >= 0 && data.target < view.cells.count;
      if (known || data.target === null) view.target = data.target;
      if ("place" in data) view.places.explained = view.places.read(data.place);
      if ("pointed" in data) view.places.pointed = view.places.read(data.pointed);
      if (typeof data.dark === "boolean") view.data.dark = data.dark;
      if (typeof data.searching === "boolean") view.searching = data.searching;
      view.explainMarks();
      if (data.show === "search" && view.search) {
        show(view.search.fit);
      }
      applyTheme();
      view.scene.redraw();
      labels.place();
    });
  }

  window.geoexplainMap = (map, data) => {
    const view = new View(map, data);
    const container = map.getContainer();
    const bar = legend(view);
    const applyTheme = () => {
      container.classList.toggle("geoexplain-dark", data.dark);
      document.documentElement.style.colorScheme = data.dark ? "dark" : "light";
      bar.style.background = view.legendGradient();
    };
    container.classList.add("geoexplain-map");
    container.setAttribute("role", "application");
    container.setAttribute("aria-label", "Map of the prediction. Arrow keys move it, plus and minus zoom.");
    map.attributionControl.setPrefix("Leaflet");
    if (!data.tiles) map.attributionControl.addAttribution("Natural Earth");
    applyTheme();
    view.scene.addTo(map);
    const labels = new Labels(view);
    hover(view);
    const show = keepFitted(view, bar.parentNode);
    labels.place();
    talk(view, labels, show, applyTheme);
  };
})((window.geoexplainWorld ??= {}));
