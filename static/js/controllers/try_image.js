/* A picture as pixels, decoded by the browser and written as the model takes them. */
"use strict";
mercato.controller("try-image", (box) => {
  const { name, datatype, image } = JSON.parse(box.dataset.plan);
  const { width, height, channels, layout, scale, mean, std } = image;
  const send = (detail) => box.dispatchEvent(new CustomEvent("mercato:tensors", { bubbles: true, detail: { source: name, ...detail } }));
  const example = () => {
    try {
      const body = JSON.parse(box.closest("form").querySelector("[data-body]").value);
      return body.inputs.find((each) => each.name === name)?.data.flat(Infinity) ?? [];
    } catch {
      return [];
    }
  };
  const preview = box.querySelector("canvas");
  const isFloat = datatype.startsWith("FP");
  const toNumber = (byte, c) => {
    const value = (byte * scale - (mean[c] ?? 0)) / (std[c] ?? 1);
    return isFloat ? Number(value.toPrecision(7)) : Math.round(value);
  };
  const toByte = (value, c) => (value * (std[c] ?? 1) + (mean[c] ?? 0)) / scale;
  const place = (pixel, c) => (layout === "NCHW" ? c * width * height + pixel : pixel * channels + c);

  /** What the model is given, drawn small: what is seen is what is sent. */
  const show = (data) => {
    const shown = new ImageData(width, height);
    for (let pixel = 0; pixel < width * height; pixel += 1) {
      const bytes = Array.from({ length: channels }, (_, c) => toByte(data[place(pixel, c)], c));
      shown.data.set(channels === 1 ? [bytes[0], bytes[0], bytes[0], 255] : [...bytes.slice(0, 3), bytes[3] ?? 255], pixel * 4);
    }
    [preview.width, preview.height] = [width, height];
    preview.getContext("2d").putImageData(shown, 0, 0);
    preview.hidden = false;
  };
  const pixels = (picture) => {
    const canvas = new OffscreenCanvas(width, height).getContext("2d");
    canvas.imageSmoothingQuality = "high";
    canvas.drawImage(picture, 0, 0, width, height);
    const found = canvas.getImageData(0, 0, width, height).data;
    const data = new Array(width * height * channels);
    for (let pixel = 0; pixel < width * height; pixel += 1) {
      const [r, g, b, a] = found.subarray(pixel * 4, pixel * 4 + 4);
      const bytes = channels === 1 ? [Math.round(0.299 * r + 0.587 * g + 0.114 * b)] : [r, g, b, a];
      for (let c = 0; c < channels; c += 1) data[place(pixel, c)] = toNumber(bytes[c], c);
    }
    return data;
  };
  const given = (picture) => box.closest("form").dispatchEvent(new CustomEvent("mercato:picture", { detail: { picture, width, height } }));

  const first = example();
  if (first.length === width * height * channels) {
    show(first);
    given(preview);
  }
  box.querySelector("input").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    if (!file) return;
    try {
      const picture = await createImageBitmap(file);
      const data = pixels(picture);
      show(data);
      given(picture);
      send({ tensors: [{ name, datatype, shape: layout === "NCHW" ? [1, channels, height, width] : [1, height, width, channels], data }] });
    } catch {
      send({ problem: "This file is not a picture that the browser can read. Choose a PNG or a JPEG." });
    }
  });
});
