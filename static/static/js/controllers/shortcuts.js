/* `/` goes to the search field, `?` shows the list of keys. Never while somebody types. */
"use strict";
mercato.controller("shortcuts", (body) => {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, [contenteditable]")) return;
    if (event.key === "/") {
      event.preventDefault();
      body.querySelector("[data-search]")?.focus();
    } else if (event.key === "?") {
      const dialog = document.getElementById("shortcuts");
      if (dialog && !dialog.open) dialog.showModal();
    }
  });
  for (const opener of body.querySelectorAll("[data-dialog-open]")) {
    opener.addEventListener("click", () => document.getElementById(opener.dataset.dialogOpen)?.showModal());
  }
});
