// The gallery: one button per example.
export function start({ element, trigger }) {
  element.querySelectorAll("button[data-example]").forEach((button) => {
    button.addEventListener("click", () => trigger("pick", { index: Number(button.dataset.example) }));
    button.disabled = false;
  });
}
