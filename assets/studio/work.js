// Long computations of the server: started on demand, with progress, cancelled by the user, and dropped when the page
// shows something else. One object per component; `repaint` is called after every change. Reports are props of the form
// { run, state: "running", done, total, words } and { run, state: "done", … }; the browser chooses the number `run`, so
// that reports of cancelled or outdated runs are ignored.
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
  // Drops a result or a running computation that does not belong to what the page shows now.
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
  // Cancelled, failed, or refused by a full queue. Gradio reports it twice within milliseconds: a start in between
  // would be lost.
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

// Updates the progress bar, its text and the Cancel button; `unit` is what is counted.
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

// Sets up a panel with one such computation, whose result is shown until the page shows something else. The first
// argument holds what gr.HTML passes to scripts. `question()` returns the request without what the page shows,
// `show(report)` draws the answer, `result` selects the element that is hidden without one. The section's data-state is
// the state of the work. Returns a function that starts it again; its argument overrides parts of `question()`.
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
