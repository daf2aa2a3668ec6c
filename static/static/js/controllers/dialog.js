/* Turns the disclosure of a confirmation into a modal dialog. The form itself stays the same. */
"use strict";
mercato.controller("dialog", (details) => {
  const form = details.querySelector("form");
  details.querySelector("summary").addEventListener("click", (event) => {
    event.preventDefault();
    const dialog = document.createElement("dialog");
    dialog.className = "dialog";
    dialog.setAttribute("aria-label", form.dataset.dialogTitle);
    const cancel = document.createElement("button");
    cancel.type = "button";
    cancel.className = "button button-quiet";
    cancel.textContent = "Cancel";
    cancel.addEventListener("click", () => dialog.close());
    form.className = "dialog-body";
    form.querySelector(".actions").prepend(cancel);
    dialog.append(form);
    dialog.addEventListener("close", () => {
      cancel.remove();
      form.className = "confirm-body";
      details.append(form);
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
});
mercato.controller("toast", (toast) => {
  const close = toast.querySelector("[data-toast-close]");
  close.hidden = false;
  close.addEventListener("click", () => toast.remove());
  if (!toast.classList.contains("toast-danger")) setTimeout(() => toast.remove(), 8000);
});
