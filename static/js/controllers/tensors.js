/* What the fields of the try-it form give is written into the body of the call; what is wrong with them is told. */
"use strict";
mercato.controller("tensors", (form) => {
  const raw = form.querySelector("[data-body]");
  const problems = new Map();
  const tell = () => form.dispatchEvent(new CustomEvent("mercato:problem", { detail: [...problems.values()][0] ?? "" }));
  const changed = () => document.dispatchEvent(new CustomEvent("mercato:body", { detail: raw.value }));

  const parsed = () => {
    try {
      return JSON.parse(raw.value);
    } catch {
      return null;
    }
  };
  /* detail: source, and problem, or body (the whole request), or tensors (name, datatype, shape, data) */
  form.addEventListener("mercato:tensors", ({ detail: { source, problem, body: whole, tensors } }) => {
    problems.delete(source);
    const body = whole ?? parsed();
    if (problem) problems.set(source, problem);
    else if (!body || typeof body !== "object") problems.set("body", "The request below is not JSON any more. Load the page again to begin from the example.");
    else {
      problems.delete("body");
      body.inputs ??= [];
      for (const tensor of tensors ?? []) {
        const present = body.inputs.find((each) => each.name === tensor.name);
        if (present) Object.assign(present, tensor);
        else body.inputs.push(tensor);
      }
      raw.value = JSON.stringify(body);
      changed();
    }
    tell();
  });
  raw.addEventListener("input", () => {
    problems.delete("body");
    tell();
    changed();
  });
});
