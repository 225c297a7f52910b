// The sanity check: one row per method, one column per part of the network that has become random.
import { shown } from "../shown.js";
import { createPanel } from "../work.js";

export function start({ element, props, trigger, watch }) {
  const find = (selector) => element.querySelector(selector);
  let result = null;

  function cell(tag, ...content) {
    const made = document.createElement(tag);
    made.append(...content);
    return made;
  }

  function small(source, resemblance, similarity, alt) {
    const box = cell("td");
    if (source) {
      const image = document.createElement("img");
      image.src = source;
      image.alt = alt;
      box.append(image);
    } else box.append(Object.assign(cell("span", "flat"), { className: "ge-strip-flat" }));
    const figure = cell("b", resemblance ?? "\u00a0");
    if (similarity !== undefined) figure.title = `SSIM ${similarity}`;
    box.append(figure);
    return box;
  }

  function row({ title, verdict, words, interval, sentence, maps, resemblances, similarities }) {
    const head = cell("th", cell("span", title), cell("em", words), cell("i", interval));
    head.scope = "row";
    head.title = sentence;
    head.dataset.verdict = verdict;
    return cell(
      "tr",
      head,
      small(maps[0], undefined, undefined, `${title}, the map`),
      ...result.steps.map((step, i) =>
        small(maps[i + 1], resemblances[i], similarities[i], `${title}, random down to ${step}`),
      ),
    );
  }

  function showMore(more) {
    find(".ge-more-draws").hidden = more === null;
    if (more === null) return;
    find(".ge-more-draws span").textContent = more.words;
    find(".ge-more-draws button").textContent = more.label;
    find(".ge-more-draws button").hidden = more.draws === null;
  }

  function showResult(report) {
    result = report;
    const { label, percent } = shown();
    find(".ge-caption").textContent = `${label} (${percent}), ${result.draws} draws of the random weights.`;
    const heads = ["Explanation", "the map", ...result.steps.map((step, i) => (i ? `+ ${step}` : `${step} random`))];
    find("thead tr").replaceChildren(...heads.map((words) => Object.assign(cell("th", words), { scope: "col" })));
    find("tbody").replaceChildren(...result.rows.map(row));
    showMore(result.more);
  }

  const start = createPanel(
    { element, props, trigger, watch },
    {
      name: "sanity",
      unit: "networks",
      result: ".ge-sanity-result",
      question: () => ({
        colormap: shown().colormap(),
        draws: Number(find("[data-choice=draws]").value),
      }),
      show: showResult,
    },
  );

  find(".ge-more-draws button").addEventListener("click", () => {
    find(".ge-more-draws").hidden = true;
    start({ draws: result.more.draws });
  });
}
