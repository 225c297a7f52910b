// The panels of CAMs that need many passes of the network: computed only on demand.
import { createWork, showWork } from "./work.js";

// `question()` returns the request, `paint(report)` draws the result. Returns functions that clear the result, read a
// report, and repaint the panel for another image. What ends the work of one such panel ends that of all: they share a
// queue.
export function createOnDemand(figure, { ask, stop, question, paint }) {
  const find = (selector) => figure.querySelector(selector);
  const work = createWork({ name: "score-cam", ask, stop, repaint });
  function repaint() {
    find(".ge-start").hidden = work.state !== "idle";
    showWork(figure, work, "masks");
    if (work.state === "done") {
      paint(work.report);
      return;
    }
    find("canvas").hidden = true;
    find(".ge-flat").hidden = true;
    find(".ge-note").textContent = work.state === "idle" ? figure.dataset.note : "working";
  }
  find(".ge-start").addEventListener("click", () => work.start(question()));
  find(".ge-cancel").addEventListener("click", work.stop);
  return { forget: work.forget, hear: work.hear, repaint };
}
