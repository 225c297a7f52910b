// The prediction density at any scale, read off the curve that the server sends, and a drawing of it.
const geoexplainDensity = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const FARTHEST_KM = 20100;
  const TICKS_KM = [1, 25, 200, 750, 2500, 20000];
  const BOX = { left: 44, right: 392, top: 12, bottom: 122 };

  const x = (km) => BOX.left + (Math.log10(Math.min(Math.max(km, 1), FARTHEST_KM)) / Math.log10(FARTHEST_KM)) * (BOX.right - BOX.left);
  const y = (share) => BOX.bottom - share * (BOX.bottom - BOX.top);
  const format = (km) => Number(km).toLocaleString("en-US", { maximumFractionDigits: 3 });

  // The density at a scale is that of the last step that is no farther than it.
  function at({ km, share }, scale) {
    let low = 0;
    let high = km.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (km[middle] <= scale) low = middle + 1;
      else high = middle;
    }
    return low ? share[low - 1] : 0;
  }

  function percent(share) {
    return share > 0 && share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`;
  }

  function shape(tag, className, attributes, content) {
    const node = document.createElementNS(SVG, tag);
    node.setAttribute("class", className);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (content !== undefined) node.textContent = content;
    return node;
  }

  const line = (className, x1, y1, x2, y2) => shape("line", className, { x1, y1, x2, y2 });
  const word = (className, at, across, anchor, content) =>
    shape("text", className, { x: at, y: across, "text-anchor": anchor }, content);

  function steps({ km, share }) {
    let path = `M${x(0)} ${y(at({ km, share }, 1))}`;
    km.forEach((far, i) => {
      if (far > 1) path += `H${x(far).toFixed(1)}V${y(share[i]).toFixed(1)}`;
    });
    return `${path}H${BOX.right}`;
  }

  function draw(svg, curve, rule, localizable) {
    const reached = at(curve, rule.scale_km);
    const grid = [0, 0.5, 1].flatMap((share) => [
      line("ge-curve-grid", BOX.left, y(share), BOX.right, y(share)),
      word("ge-curve-word", BOX.left - 6, y(share) + 3.5, "end", `${100 * share} %`),
    ]);
    const ticks = TICKS_KM.flatMap((km, i) => [
      line("ge-curve-grid", x(km), BOX.bottom, x(km), BOX.bottom + 4),
      word("ge-curve-word", x(km), BOX.bottom + 16, i === TICKS_KM.length - 1 ? "end" : "middle", format(km) + (i ? "" : " km")),
    ]);
    const path = steps(curve);
    svg.replaceChildren(
      ...grid,
      ...ticks,
      shape("path", "ge-curve-area", { d: `${path}V${BOX.bottom}H${BOX.left}Z` }),
      shape("path", "ge-curve-line", { d: path }),
      line("ge-curve-threshold", BOX.left, y(rule.threshold), BOX.right, y(rule.threshold)),
      line("ge-curve-scale", x(rule.scale_km), BOX.top, x(rule.scale_km), BOX.bottom),
      shape("circle", "ge-curve-dot", { cx: x(rule.scale_km), cy: y(reached), r: 5, "data-sure": String(localizable) }),
    );
    svg.setAttribute("aria-label", `Probability within a distance of the best cell: ${percent(reached)} within ${format(rule.scale_km)} km`);
  }

  return { at, draw, format, percent, FARTHEST_KM };
})();
