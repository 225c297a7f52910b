// The most probable places: for each tree a path from coarse to fine, and below it the siblings of the place under the
// pointer. `choose({ tree, place, label })` has a place explained; the map marks the one under the pointer.
// Arrow keys move along a path, Tab moves on to the siblings. Names are untrusted: they reach the page as text only.
import { make } from "./dom.js";

export function createPlaces(root, choose) {
  const REST_MS = 140; // a pointer on its way to the siblings crosses other levels
  const nodes = (tree, selector) => [...tree.querySelectorAll(selector)];
  let waiting = 0;

  function point(shape) {
    document.dispatchEvent(new CustomEvent("geoexplain-pointed", { detail: shape }));
  }

  function button(tree, place) {
    const node = make("button", "ge-place-button");
    node.type = "button";
    node.dataset.place = place.place;
    node.style.setProperty("--share", Math.max(0, Math.min(1, place.share)));
    node.title = `Explain ${place.label}: ${place.kind}, ${place.cells}`;
    node.append(make("span", "", place.label), " ", make("b", "", place.percent));
    if (place.place === tree.explained) node.setAttribute("aria-current", "true");
    node.addEventListener("click", () => choose({ tree: tree.tree, place: place.place, label: place.label }));
    for (const event of ["mouseenter", "focus"]) node.addEventListener(event, () => point(place.shape));
    for (const event of ["mouseleave", "blur"]) node.addEventListener(event, () => point(null));
    return node;
  }

  // The siblings of a level's place: one line, however many there are.
  function showBeside(tree, box, index) {
    const level = tree.levels[index];
    nodes(box, ".ge-levels button").forEach((node, i) => {
      node.tabIndex = i === index ? 0 : -1;
      node.classList.toggle("ge-open", i === index);
    });
    const line = box.querySelector(".ge-beside");
    if (line.dataset.of === String(level.place)) return;
    line.dataset.of = level.place;
    line.setAttribute("aria-label", `Instead of ${level.label}`);
    line.replaceChildren(make("span", "", `${level.instead} `), ...level.beside.map((place) => button(tree, place)));
    if (level.rest) line.append(make("span", "", level.rest));
    line.scrollLeft = 0;
    fade(line);
  }

  // Marks whether the line can be scrolled further to the right.
  function fade(line) {
    line.classList.toggle("ge-more", line.scrollWidth - line.clientWidth - line.scrollLeft > 2);
  }

  function build(tree, several) {
    const box = make("div", "ge-tree");
    box.dataset.tree = tree.tree;
    const nav = make("nav");
    nav.setAttribute("aria-label", `Places by probability: ${tree.title}`);
    if (several) nav.append(make("span", "ge-tree-title", tree.title));
    const list = make("ol", "ge-levels");
    tree.levels.forEach((level, index) => {
      const item = make("li");
      const node = button(tree, level);
      node.addEventListener("mouseenter", () => {
        clearTimeout(waiting);
        waiting = setTimeout(() => showBeside(tree, box, index), REST_MS);
      });
      node.addEventListener("mouseleave", () => clearTimeout(waiting));
      node.addEventListener("focus", () => showBeside(tree, box, index));
      item.append(node);
      list.append(item);
    });
    list.addEventListener("keydown", (event) => {
      const all = nodes(list, "button");
      const at = all.indexOf(document.activeElement);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
      if (at < 0 || to === undefined || !all[to]) return;
      event.preventDefault();
      all[to].focus();
    });
    nav.append(list);
    const beside = make("div", "ge-beside");
    beside.setAttribute("role", "group");
    beside.addEventListener("scroll", () => fade(beside));
    new ResizeObserver(() => fade(beside)).observe(beside);
    box.append(nav, beside);
    if (tree.elsewhere) {
      const line = make("p", "ge-elsewhere", "The best cell lies elsewhere: ");
      line.append(button(tree, tree.elsewhere));
      box.append(line);
    }
    return box;
  }

  // The level whose siblings are shown at first: the explained one, or the one with the most probable siblings.
  function opened(tree) {
    const explained = tree.levels.findIndex(({ place }) => place === tree.explained);
    if (explained >= 0) return explained;
    const beside = tree.levels.map(({ beside }) => (beside.length ? beside[0].share : 0));
    return beside.indexOf(Math.max(...beside));
  }

  return {
    show(trees) {
      const told = (trees || []).filter(({ levels }) => levels.length);
      const focused = root.contains(document.activeElement) && document.activeElement.closest("[data-place]");
      const was = focused && { tree: focused.closest(".ge-tree").dataset.tree, place: focused.dataset.place };
      clearTimeout(waiting);
      point(null);
      root.replaceChildren(...told.map((tree) => build(tree, told.length > 1)));
      told.forEach((tree, i) => showBeside(tree, root.children[i], opened(tree)));
      if (was) root.querySelector(`[data-tree="${was.tree}"] [data-place="${was.place}"]`)?.focus();
    },
  };
}
