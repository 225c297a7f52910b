// The sanity strip: one row per method, one column per part of the network that has become random.
const find = (selector) => element.querySelector(selector);
let result = null;

function cell(tag, ...content) {
  const made = document.createElement(tag);
  made.append(...content);
  return made;
}

function small(source, correlation, similarity, alt) {
  const box = cell("td");
  if (source) {
    const image = document.createElement("img");
    image.src = source;
    image.alt = alt;
    box.append(image);
  } else box.append(Object.assign(cell("span", "flat"), { className: "ge-strip-flat" }));
  const figure = cell("b", correlation === undefined ? "\u00a0" : correlation === null ? "–" : correlation.toFixed(2));
  if (similarity != null) figure.title = `SSIM ${similarity.toFixed(2)}`;
  box.append(figure);
  return box;
}

function row({ title, verdict, words, sentence, maps, correlations, similarities }) {
  const head = cell("th", cell("span", title), Object.assign(cell("em", words), { title: sentence }));
  head.scope = "row";
  head.dataset.verdict = verdict;
  return cell(
    "tr",
    head,
    small(maps[0], undefined, null, `${title}, the map`),
    ...result.steps.map((step, i) => small(maps[i + 1], correlations[i], similarities[i], `${title}, random down to ${step}`)),
  );
}

function showResult(report) {
  result = report;
  const { label, percent } = window.geoexplainShown;
  find(".ge-caption").textContent = `${label} (${percent}), ${result.draws} draws of the random weights.`;
  const heads = ["Explanation", "the map", ...result.steps.map((step, i) => (i ? `+ ${step}` : `${step} random`))];
  find("thead tr").replaceChildren(...heads.map((words) => Object.assign(cell("th", words), { scope: "col" })));
  find("tbody").replaceChildren(...result.rows.map(row));
}

geoexplainPanel(
  { element, props, trigger, watch },
  {
    name: "sanity",
    unit: "networks",
    result: ".ge-sanity-result",
    question: () => ({
      colormap: window.geoexplainShown.colormap(),
      draws: Number(find("[data-choice=draws]").value),
    }),
    show: showResult,
  },
);
