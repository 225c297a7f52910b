// Draws the probability within any distance, from the curve and the steps that the server sends.
import { percentWithin, probabilityWithin, within } from "./density.js";

const SVG = "http://www.w3.org/2000/svg";
const BOX = { left: 44, right: 392, top: 12, bottom: 122 };

const px = (length) => Math.round(10 * length) / 10;
const y = (share) => BOX.bottom - share * (BOX.bottom - BOX.top);

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

// `curve` begins at the cell's width. Left of it there is only one cell, and what the rule counts there lies in it.
export function drawCurve(svg, curve, counted, rule, localizable) {
  const { from_km: from, to_km: to, ticks, levels, cell } = curve;
  const x = (km) =>
    BOX.left + (Math.log(Math.min(Math.max(km, from), to) / from) / Math.log(to / from)) * (BOX.right - BOX.left);
  const edge = x(curve.km[0]);
  const scale = rule.scale_km < curve.km[0] ? (BOX.left + edge) / 2 : x(rule.scale_km);
  const reached = probabilityWithin(counted, rule.scale_km);
  const grid = levels.flatMap(({ share, text }) => [
    line("ge-curve-grid", BOX.left, y(share), BOX.right, y(share)),
    word("ge-curve-word", BOX.left - 6, y(share) + 3.5, "end", text),
  ]);
  const marks = ticks.flatMap(({ km, text }, i) => [
    line("ge-curve-grid", x(km), BOX.bottom, x(km), BOX.bottom + 4),
    word("ge-curve-word", x(km), BOX.bottom + 16, i && i === ticks.length - 1 ? "end" : "middle", text),
  ]);
  const points = curve.km.map((km, i) => `${px(x(km))} ${px(y(curve.share[i]))}`);
  let steps = `M${edge} ${y(probabilityWithin(counted, curve.km[0]))}`;
  counted.km.forEach((km, i) => {
    if (km > curve.km[0]) steps += `H${px(x(km))}V${px(y(counted.share[i]))}`;
  });
  svg.replaceChildren(
    shape("rect", "ge-curve-cell", { x: BOX.left, y: BOX.top, width: edge - BOX.left, height: BOX.bottom - BOX.top }),
    ...grid,
    ...marks,
    word(
      "ge-curve-word",
      (BOX.left + edge) / 2,
      cell.share < 0.3 ? BOX.top + 14 : BOX.bottom - 6,
      "middle",
      "one cell",
    ),
    line("ge-curve-line", BOX.left, y(cell.share), edge, y(cell.share)),
    shape("path", "ge-curve-area", { d: `M${points.join("L")}V${BOX.bottom}H${edge}Z` }),
    shape("path", "ge-curve-line", { d: `M${points.join("L")}` }),
    shape("path", "ge-curve-counted", { d: `${steps}H${BOX.right}` }),
    line("ge-curve-threshold", BOX.left, y(rule.threshold), BOX.right, y(rule.threshold)),
    line("ge-curve-scale", scale, BOX.top, scale, BOX.bottom),
    shape("circle", "ge-curve-dot", { cx: scale, cy: y(reached), r: 5, "data-sure": String(localizable) }),
  );
  svg.setAttribute(
    "aria-label",
    `Probability within a distance of the point, from the width of ${cell.words}, on; the rule counts ${percentWithin(counted, rule.scale_km)} ${within(rule)}`,
  );
}
