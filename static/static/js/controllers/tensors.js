/* The fields of the try-it form: what is typed, and the picture that is chosen, are written into the body of the call. */
"use strict";
mercato.controller("tensors", (form) => {
  const raw = form.querySelector("[data-body]");
  const tell = (problem) => form.dispatchEvent(new CustomEvent("mercato:problem", { detail: problem }));

  const write = (name, datatype, data, shape) => {
    let body;
    try {
      body = JSON.parse(raw.value);
    } catch {
      return tell("The request below is not JSON any more. Load the page again to begin from the example.");
    }
    body.inputs ??= [];
    let input = body.inputs.find((each) => each.name === name);
    if (!input) body.inputs.push((input = { name, datatype }));
    Object.assign(input, { shape, data });
    raw.value = JSON.stringify(body);
    tell("");
  };

  const pixels = async (file, { width, height, channels, scale }) => {
    const [w, h, depth] = [width, height, channels].map(Number);
    const canvas = new OffscreenCanvas(w, h).getContext("2d");
    canvas.drawImage(await createImageBitmap(file), 0, 0, w, h);
    const found = canvas.getImageData(0, 0, w, h).data;
    const plane = (c) => Array.from({ length: w * h }, (_, i) => {
      const [r, g, b] = found.subarray(i * 4, i * 4 + 3);
      return (depth === 1 ? Math.round(0.299 * r + 0.587 * g + 0.114 * b) : [r, g, b][c]) * Number(scale);
    });
    return [Array.from({ length: depth }, (_, c) => plane(c)).flat(), [1, depth, h, w]];
  };

  for (const group of form.querySelectorAll("[data-input]")) {
    const { input: name, form: kind, datatype } = group.dataset;
    if (kind === "columns") {
      group.addEventListener("input", () => {
        const fields = [...group.querySelectorAll("input")];
        const empty = fields.find((field) => field.type === "number" && !field.value);
        if (empty) return tell(`Fill in ${empty.labels[0].textContent}: a number is missing.`);
        write(name, datatype, fields.map((field) => (field.type === "number" ? Number(field.value) : field.value)), [1, fields.length]);
      });
    } else if (kind === "image") {
      group.querySelector("input").addEventListener("change", async (event) => {
        const [file] = event.target.files;
        if (!file) return;
        try {
          write(name, datatype, ...(await pixels(file, group.dataset)));
        } catch {
          tell("This file is not a picture that the browser can read. Choose a PNG or a JPEG.");
        }
      });
    }
  }
});
