// The matrix of agreement: a table of correlations, coloured by their value.
import { shown } from "../shown.js";
import { createPanel } from "../work.js";

export function start({ element, props, trigger, watch }) {
  const find = (selector) => element.querySelector(selector);
  let result = null;

  function heading(scope, number, title) {
    const head = document.createElement("th");
    head.scope = scope;
    const place = document.createElement("b");
    place.textContent = number;
    head.append(place);
    if (scope === "row") head.append(title);
    else {
      head.title = title;
      head.setAttribute("aria-label", title);
    }
    return head;
  }

  function figure(value, i, j) {
    const cell = document.createElement("td");
    cell.textContent = result.figures[i][j];
    cell.dataset.self = i === j;
    cell.dataset.sign = value < 0 ? -1 : 1;
    const told = result.told[i][j];
    cell.dataset.told = told;
    cell.style.setProperty("--share", told ? Math.abs(value) : 0);
    const limit = result.limits[i][j];
    const pair = `${result.titles[i]} and ${result.titles[j]}`;
    cell.title = !limit
      ? pair
      : `${pair}: unrelated maps as coarse stay within ${limit}${told ? "" : ", and so do these"}`;
    return cell;
  }

  function showResult(report) {
    result = report;
    const { label, percent } = shown();
    find("caption").textContent =
      `${label} (${percent}): Spearman’s rank correlation of the heatmaps, over all pixels.`;
    find("thead tr").replaceChildren(
      document.createElement("td"),
      ...result.titles.map((title, i) => heading("col", i + 1, title)),
    );
    find("thead td").dataset.self = true;
    find("tbody").replaceChildren(
      ...result.rows.map((row, i) => {
        const line = document.createElement("tr");
        line.append(heading("row", i + 1, result.titles[i]), ...row.map((value, j) => figure(value, i, j)));
        return line;
      }),
    );
  }

  createPanel(
    { element, props, trigger, watch },
    {
      name: "agreement",
      unit: "passes",
      result: ".ge-agree-result",
      question: () => ({ slow: [...element.querySelectorAll("[data-slow]:checked")].map((box) => box.dataset.slow) }),
      show: showResult,
    },
  );
}
