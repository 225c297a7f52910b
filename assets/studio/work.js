// Work that the server does on demand and that takes long: started, counted, cancelled, and forgotten when the page
// moves on. One such object per component; `repaint` is called whenever it has changed. Reports are props of the form
// { run, state: "running", done, total, words } and { run, state: "done", … }; the run is a number that the browser
// chooses, so that a report of a run that was cancelled or outdated is none.
import { shown as whatIsShown } from "./shown.js";

export function createWork({ name, ask, stop, repaint }) {
  const idle = { state: "idle", done: 0, total: 0, words: "", report: null };
  const work = { ...idle };
  let run = null;
  const change = (to) => {
    Object.assign(work, to);
    repaint();
  };
  work.start = (question, total = 0) => {
    run = crypto.getRandomValues(new Uint32Array(1))[0];
    change({ ...idle, state: "running", total });
    ask({ ...question, run });
  };
  work.stop = () => {
    if (work.state !== "running") return;
    change({ state: "stopping" });
    stop();
  };
  // What was computed, or is being computed, is not about what the page shows now.
  work.forget = () => {
    run = null;
    Object.assign(work, idle);
  };
  work.hear = (report) => {
    if (!report || report.run !== run) return;
    if (report.state === "done") change({ state: "done", report });
    else change({ done: report.done, total: report.total, words: report.words });
  };
  document.addEventListener("geoexplain-asks", work.stop);
  // Cancelled, failed, or refused by a full queue. Gradio says so twice within milliseconds: a start in between would
  // be lost.
  document.addEventListener("geoexplain-ended", ({ detail }) => {
    const ended = run;
    if (detail !== name || ended === null) return;
    setTimeout(() => {
      if (run !== ended) return;
      run = null;
      change(idle);
    }, 100);
  });
  return work;
}

// The button that starts it, the bar, and the button that cancels; `unit` is what is counted.
export function showWork(root, work, unit) {
  const find = (selector) => root.querySelector(selector);
  const busy = work.state === "running" || work.state === "stopping";
  find(".ge-running").hidden = !busy;
  if (!busy) return;
  const bar = find("progress");
  if (work.total) {
    bar.max = work.total;
    bar.value = work.done;
  } else bar.removeAttribute("value");
  find(".ge-cancel").disabled = work.state === "stopping";
  const counted = work.words ? `${work.words} ${unit}` : "Waiting …";
  find(".ge-count").textContent = work.state === "stopping" ? "Stopping …" : counted;
}

// A panel that does one such thing and shows what came back until the page is about something else. `parts` are what
// gr.HTML gives to its script: { element, props, trigger, watch }. `question()` says what to ask besides what is shown,
// `show(report)` draws the answer; `result` is hidden while there is none, and the section's data-state says how it is.
// Returns what asks once more, with what is given in place of what `question()` says.
export function createPanel({ element, props, trigger, watch }, { name, unit, result, question, show }) {
  const section = element.querySelector(".ge-panel-body");
  const find = (selector) => section.querySelector(selector);
  let shown = null;
  const work = createWork({ name, ask: (asked) => trigger("ask", asked), stop: () => trigger("stop"), repaint });
  function repaint() {
    find(".ge-start").disabled = !whatIsShown();
    find(".ge-start").hidden = work.state === "running" || work.state === "stopping";
    showWork(section, work, unit);
    if (work.state === "idle") shown = null;
    if (work.state === "done" && shown !== work.report) show((shown = work.report));
    find(result).hidden = shown === null;
    section.dataset.state = work.state;
  }
  const start = (more) => work.start({ ...whatIsShown().asked(), ...question(), ...more });
  find(".ge-start").addEventListener("click", () => start({}));
  find(".ge-cancel").addEventListener("click", work.stop);
  document.addEventListener("geoexplain-shown", () => {
    work.forget();
    repaint();
  });
  watch("report", () => work.hear(props.report));
  repaint();
  return start;
}
