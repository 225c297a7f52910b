// What stands in place of an answer where the image is not of the kind that the model knows: a sentence, and a button
// for those who want to see the answer all the same.

export function createGate(root) {
  const words = root.querySelector(".ge-gate-words");
  const purpose = root.querySelector(".ge-gate-purpose");
  const button = root.querySelector("button");
  let shown = null; // the gate's value that the page is about
  let opened = false;

  function repaint() {
    const closed = Boolean(shown?.words);
    root.hidden = !closed;
    document.body.classList.toggle("ge-gated", closed && !opened);
    document.body.classList.toggle("ge-for-study", closed && opened);
    button.hidden = opened;
  }

  button.addEventListener("click", () => {
    opened = true;
    repaint();
  });

  return {
    // Another cell of the same answer stays open.
    show(gate) {
      if (!shown || !gate || shown.answer !== gate.answer) opened = false;
      shown = gate || null;
      words.textContent = gate?.words || "";
      purpose.textContent = gate?.purpose || "";
      repaint();
      // On a phone the verdict would lie below what a person has just touched.
      if (!root.hidden && !opened && root.getBoundingClientRect().top > window.innerHeight - 80) {
        root.scrollIntoView({ block: "center" });
      }
    },
  };
}
