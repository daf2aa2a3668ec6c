/* Streams an archive straight from the disk, and shows how far it is. Without this the form itself sends it. */
"use strict";
mercato.controller("archive", (form) => {
  const box = form.querySelector("[data-archive-status]");
  const words = form.querySelector("[data-archive-words]");
  const bar = box?.querySelector("progress");
  const button = form.querySelector("button");
  if (!box || !words || !bar || !button) return;
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;

  const fail = (text) => {
    words.textContent = text;
    bar.hidden = true;
    button.disabled = false;
  };

  const send = (href, file) => new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", href);
    request.setRequestHeader("X-CSRFToken", token);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => { bar.value = event.loaded / event.total; });
    request.addEventListener("load", () => (request.status < 300 ? resolve() : reject(new Error(request.response?.detail ?? ""))));
    request.addEventListener("error", () => reject(new Error("")));
    request.send(file);
  });

  form.addEventListener("submit", async (event) => {
    const file = form.elements.archive.files[0];
    if (!file) return;
    event.preventDefault();
    button.disabled = true;
    box.hidden = false;
    bar.hidden = false;
    bar.value = 0;
    words.textContent = "Sending the archive…";
    try {
      const answer = await fetch("/api/v1/imports", {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRFToken": token },
        body: JSON.stringify({ namespace: form.elements.namespace_name.value, name: form.elements.name.value.trim(), size_bytes: file.size }),
      });
      const body = await answer.json();
      if (!answer.ok) { fail(body.detail ?? "The site refused it."); return; }
      await send(new URL(body.href).pathname, file);
      window.location.assign(`/imports/${body.uuid}`);
    } catch (error) {
      fail(error.message || "The connection broke: try again.");
    }
  });
});
