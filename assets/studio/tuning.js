// Weights tuned by the server for the image on the page: the button that starts it, the progress bar, and the result.
// `question()` returns what is shown and the setting of Combi-CAM; `found(preset)` is called with the best setting.
import { createWork, showWork } from "./work.js";

export function createTuning(root, { ask, stop, question, found }) {
  const tuning = { preset: null };
  const words = root.querySelector(".ge-tuned-words");
  const start = root.querySelector(".ge-start");
  const work = createWork({ name: "tuning", ask, stop, repaint });
  function repaint() {
    start.hidden = work.state === "running" || work.state === "stopping";
    showWork(root, work, "trials");
    if (work.state !== "done") return;
    tuning.preset = work.report.preset;
    found(tuning.preset);
  }
  tuning.forget = () => {
    tuning.preset = null;
    words.textContent = "";
    work.forget();
    repaint();
  };
  // Shows the text of the tuned setting while it is the current preset; else `others`, the text of another preset.
  tuning.show = (shown, others) => {
    if (work.state === "done" && shown) words.textContent = work.report.words;
    else words.textContent = others;
  };
  tuning.hear = work.hear;
  start.addEventListener("click", () => work.start(question()));
  root.querySelector(".ge-cancel").addEventListener("click", work.stop);
  return tuning;
}
