// The panels of CAMs that take many passes of the network: computed only when asked for.
import { createWork, showWork } from "./work.js";

// `question()` is what to ask, `paint(report)` draws what came back. Returns what forgets it, hears of it, and paints the
// panel anew for another image. What ends one such panel's work ends all: they stand in one queue.
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
