// The menu of models. Its value is the name of the chosen model; titles and notes reach the page as text only.
import { make } from "./dom.js";

export function start({ element, props, trigger, watch }) {
  const find = (selector) => element.querySelector(selector);
  const select = find(".ge-model-choice");

  function show() {
    const ready = props.rows.filter((row) => row.ready);
    const missing = props.rows.filter((row) => !row.ready);
    const chosen = ready.find((row) => row.name === props.value) || ready[0];
    find(".ge-model-title").textContent = chosen.title;
    find(".ge-model-title").hidden = ready.length > 1;
    find(".ge-model label").hidden = ready.length < 2;
    select.replaceChildren(
      ...ready.map((row) => {
        const option = make("option", "", row.title);
        option.value = row.name;
        return option;
      }),
    );
    select.value = chosen.name;
    find(".ge-purpose").textContent = chosen.purpose;
    find(".ge-missing").hidden = !missing.length;
    find(".ge-missing summary").textContent =
      `${missing.length} more ${missing.length > 1 ? "models" : "model"}, not there yet`;
    find(".ge-missing dl").replaceChildren(
      ...missing.flatMap((row) => [make("dt", "", row.title), make("dd", "", row.note)]),
    );
  }

  select.addEventListener("change", () => {
    props.value = select.value;
    show();
    trigger("switch", {});
  });
  watch("value", show);
  watch("rows", show);
  show();
}
