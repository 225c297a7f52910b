// The sanity strip: one row per method, one column per part of the network that has become random.
const find = (selector) => element.querySelector(selector);
const section = find(".ge-sanity");
let result = null;

const work = geoexplainWork({
  name: "sanity",
  ask: (question) => trigger("ask", question),
  stop: () => trigger("stop"),
  repaint,
});

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

function showResult() {
  result = work.report;
  const { label, percent } = window.geoexplainShown;
  find(".ge-caption").textContent = `${label} (${percent}), ${result.draws} draws of the random weights.`;
  const heads = ["Explanation", "the map", ...result.steps.map((step, i) => (i ? `+ ${step}` : `${step} random`))];
  find("thead tr").replaceChildren(...heads.map((words) => Object.assign(cell("th", words), { scope: "col" })));
  find("tbody").replaceChildren(...result.rows.map(row));
}

function repaint() {
  const busy = work.state === "running" || work.state === "stopping";
  find(".ge-start").disabled = !window.geoexplainShown;
  find(".ge-start").hidden = busy;
  geoexplainWorkControls(section, work, "networks");
  if (work.state === "done" && result !== work.report) showResult();
  if (work.state === "idle") result = null;
  find(".ge-sanity-result").hidden = result === null;
  section.dataset.state = work.state;
}

find(".ge-start").addEventListener("click", () => {
  const { model, target, colormap } = window.geoexplainShown;
  work.start({ model, cell: target, colormap: colormap(), draws: Number(find("[data-choice=draws]").value) });
});
find(".ge-cancel").addEventListener("click", work.stop);
document.addEventListener("geoexplain-shown", () => {
  work.forget();
  repaint();
});
watch("report", () => work.hear(props.report));
repaint();
