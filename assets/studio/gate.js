// Replaces the answer if the image is not of the kind that the model knows: by a sentence, and a button that shows the
// answer anyway.

export function createGate(root) {
  const words = root.querySelector(".ge-gate-words");
  const purpose = root.querySelector(".ge-gate-purpose");
  const button = root.querySelector("button");
  let shown = null; // the gate's value of the current answer
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
    // If only the explained cell changes, the answer stays open.
    show(gate) {
      if (!shown || !gate || shown.answer !== gate.answer) opened = false;
      shown = gate || null;
      words.textContent = gate?.words || "";
      purpose.textContent = gate?.purpose || "";
      repaint();
      // On a phone the verdict would lie below the button that was just tapped.
      if (!root.hidden && !opened && root.getBoundingClientRect().top > window.innerHeight - 80) {
        root.scrollIntoView({ block: "center" });
      }
    },
  };
}
