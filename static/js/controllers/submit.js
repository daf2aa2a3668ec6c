/* Sends a form with Ctrl+Enter (or Cmd+Enter) from its text. */
"use strict";
mercato.controller("submit", (form) => {
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    form.requestSubmit();
  });
});
