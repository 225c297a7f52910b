// The gallery: one button per example.
element.querySelectorAll("button[data-example]").forEach((button) => {
  button.addEventListener("click", () => trigger("pick", { index: Number(button.dataset.example) }));
});
