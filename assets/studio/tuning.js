// Weights for the image that is shown, searched for by the server: the button that asks, the bar, and what came back.
// `question()` says what is shown and how Combi-CAM is set; `found(preset)` hears of the setting that explains best.
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
  // What was found is said for as long as it is what is shown; `others` is what to say of another preset.
  tuning.show = (shown, others) => {
    if (work.state === "done" && shown) words.textContent = work.report.words;
    else words.textContent = others;
  };
  tuning.hear = work.hear;
  start.addEventListener("click", () => work.start(question()));
  root.querySelector(".ge-cancel").addEventListener("click", work.stop);
  return tuning;
}
