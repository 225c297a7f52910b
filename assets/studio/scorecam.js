// The panel of Score-CAM: one pass of the network per channel, only when asked for.
import { createWork, showWork } from "./work.js";

// `question()` is what to ask and how many passes that takes; `paint(report)` draws what came back. Returns what
// forgets it, hears of it, and paints the panel anew for another image.
export function createScoreCam(figure, { ask, stop, question, paint }) {
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
    find(".ge-note").textContent = work.state === "idle" ? "one pass per channel, on demand" : "working";
  }
  find(".ge-start").addEventListener("click", () => work.start(...question()));
  find(".ge-cancel").addEventListener("click", work.stop);
  return { forget: work.forget, hear: work.hear, repaint };
}
