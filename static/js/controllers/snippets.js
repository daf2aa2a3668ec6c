/* The same call in other languages, with the request as it stands in the form; a long one is read from a file that can be saved. */
"use strict";
mercato.controller("snippets", (box) => {
  const LONGEST = 1500;
  const save = box.querySelector("[data-save]");
  let body = "";

  const python = (value) => {
    if (value === null) return "None";
    if (typeof value === "boolean") return value ? "True" : "False";
    if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
    if (typeof value === "object") return `{${Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${python(each)}`).join(", ")}}`;
    return JSON.stringify(value);
  };
  const written = { shell: (value) => JSON.stringify(value).replaceAll("'", "'\\''"), python, javascript: (value) => JSON.stringify(value) };

  document.addEventListener("mercato:body", ({ detail }) => {
    let value;
    try {
      value = JSON.parse(detail);
    } catch {
      return; // what cannot be sent has no sample: the last one stays
    }
    body = JSON.stringify(value);
    const isLong = body.length > LONGEST;
    save.hidden = !isLong;
    for (const sample of box.querySelectorAll("[data-sample]")) {
      const { sample: syntax, inline, fromFile } = sample.dataset;
      sample.querySelector("[data-copy-source]").textContent = isLong ? fromFile : inline.replace("%BODY%", () => written[syntax](value));
    }
  });
  save.querySelector("button").addEventListener("click", () => {
    const href = URL.createObjectURL(new Blob([body], { type: "application/json" }));
    Object.assign(document.createElement("a"), { href, download: "request.json" }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10_000);
  });
});
