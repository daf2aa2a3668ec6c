/* Copies the text of data-copy-source; the tick says so, and the label for those who do not see it. */
"use strict";
mercato.controller("copy", (box) => {
  const button = box.querySelector("[data-copy]");
  const source = box.querySelector("[data-copy-source]");
  if (!navigator.clipboard || !button || !source) return;
  button.hidden = false;
  const label = button.getAttribute("aria-label");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(source.dataset.copySource || source.textContent);
    button.classList.add("is-done");
    button.setAttribute("aria-label", "Copied");
    setTimeout(() => {
      button.classList.remove("is-done");
      button.setAttribute("aria-label", label);
    }, 1600);
  });
});
