// The answer in words and figures, and the table of the best cells. Texts reach the page as text only.
const find = (selector) => element.querySelector(selector);
const root = find(".ge-answer");

function text(tag, content, className) {
  const node = document.createElement(tag);
  node.textContent = content;
  if (className) node.className = className;
  return node;
}

function row(cell, index, target, highest) {
  const line = document.createElement("tr");
  line.tabIndex = 0;
  line.dataset.cell = cell.cell;
  line.setAttribute("aria-selected", String(cell.cell === target));
  line.title = "Explain this cell";
  const share = text("td", "", "ge-share");
  const bar = document.createElement("span");
  bar.style.width = `${Math.max(2, 100 * (cell.share / highest))}%`;
  share.append(bar, text("b", cell.percent));
  const name = text("td", cell.label, "ge-name");
  if (cell.cell === target) name.append(text("span", "explained", "ge-badge"));
  line.append(text("td", index), name, text("td", cell.position, "ge-position"), share);
  const choose = () => {
    if (root.ariaBusy === "true") return; // these are the rows of another image
    props.status = { state: "explaining", words: `Explaining ${cell.label} …` };
    trigger("choose", { cell: cell.cell });
  };
  line.addEventListener("click", choose);
  line.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose();
  });
  return line;
}

function show() {
  const value = props.value;
  root.dataset.state = value && value.rows ? "done" : "empty";
  find(".ge-words").textContent = value.words;
  if (!value.rows) return;
  find(".ge-place").textContent = value.place;
  find(".ge-facts").replaceChildren(...value.facts.map((fact) => text("li", fact)));
  const verdict = find(".ge-verdict");
  verdict.textContent = value.verdict;
  find(".ge-why").textContent = value.why;
  verdict.dataset.sure = String(value.localizable);
  find(".ge-density").replaceChildren(
    ...value.density.map(({ label, share, percent }) => {
      const item = document.createElement("div");
      const bar = text("span", "", "ge-bar");
      bar.style.setProperty("--share", share);
      item.append(text("span", label), bar, text("b", percent));
      return item;
    }),
  );
  const highest = Math.max(...value.rows.map((cell) => cell.share), 1e-9);
  const focused = element.contains(document.activeElement) && document.activeElement.dataset.cell;
  find("tbody").replaceChildren(
    ...value.rows.map((cell, i) => row(cell, cell.rank || i + 1, value.target, highest)),
  );
  if (focused !== undefined && focused !== false) find(`tr[data-cell="${focused}"]`)?.focus();
}

function showStatus() {
  const { state, words } = props.status;
  find(".ge-status").textContent = words;
  root.ariaBusy = String(state === "locating");
  document.body.classList.toggle("ge-locating", state === "locating");
}

watch("value", show);
watch("status", showStatus);
show();
showStatus();
