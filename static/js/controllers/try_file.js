/* An input from a file: an array as NumPy stores it (.npy), or JSON; and an input that is lines of text. */
"use strict";
(() => {
  const inWords = (shape) => shape.map((size) => (size === -1 ? "any" : size)).join(" × ") || "one value";
  const half = (bits) => {
    const [sign, power, rest] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    if (power === 31) return rest ? NaN : sign * Infinity;
    return sign * (power ? 2 ** (power - 15) * (1 + rest / 1024) : 2 ** -14 * (rest / 1024));
  };
  const READ = {
    f2: [2, (view, at) => half(view.getUint16(at, true))], f4: [4, (view, at) => view.getFloat32(at, true)], f8: [8, (view, at) => view.getFloat64(at, true)],
    i1: [1, (view, at) => view.getInt8(at)], i2: [2, (view, at) => view.getInt16(at, true)], i4: [4, (view, at) => view.getInt32(at, true)], i8: [8, (view, at) => Number(view.getBigInt64(at, true))],
    u1: [1, (view, at) => view.getUint8(at)], u2: [2, (view, at) => view.getUint16(at, true)], u4: [4, (view, at) => view.getUint32(at, true)], u8: [8, (view, at) => Number(view.getBigUint64(at, true))],
    b1: [1, (view, at) => view.getUint8(at) !== 0],
  };
  const npy = (buffer) => {
    const view = new DataView(buffer);
    const isOld = view.getUint8(6) === 1;
    const start = isOld ? 10 : 12;
    const length = isOld ? view.getUint16(8, true) : view.getUint32(8, true);
    const head = new TextDecoder("latin1").decode(new Uint8Array(buffer, start, length));
    const [, order, type] = head.match(/'descr':\s*'([<>|=])(\w+)'/) ?? [];
    if (!READ[type] || order === ">") throw new Error("The array is of a type that is not read here. Store it as float32 or int64.");
    if (/'fortran_order':\s*True/.test(head)) throw new Error("The array is stored column by column. Store it with numpy.ascontiguousarray.");
    const shape = head.match(/'shape':\s*\(([^)]*)\)/)[1].split(",").filter((size) => size.trim()).map(Number);
    const [width, read] = READ[type];
    const count = shape.reduce((product, size) => product * size, 1);
    if (start + length + count * width > buffer.byteLength) throw new Error("The file is cut short: the array in it is not whole.");
    const data = Array.from({ length: count }, (_, at) => read(view, start + length + at * width));
    if (data.some((value) => typeof value === "number" && !Number.isFinite(value))) throw new Error("The array holds NaN or infinity, which a call in JSON cannot carry.");
    return { shape, data: type.startsWith("f") && width < 8 ? data.map((value) => Number(value.toPrecision(7))) : data };
  };
  const nested = (value) => {
    const shape = [];
    for (let level = value; Array.isArray(level); level = level[0]) shape.push(level.length);
    const data = value.flat(Infinity);
    if (data.length !== shape.reduce((product, size) => product * size, 1)) throw new Error("The lists in the file are not of one length.");
    return { shape, data };
  };
  const fitted = ({ shape, data }, wanted) => {
    const whole = shape.length === wanted.length - 1 && wanted[0] === -1 ? [1, ...shape] : shape;
    const fits = whole.length === wanted.length && whole.every((size, at) => size > 0 && [-1, size].includes(wanted[at]));
    if (!fits) throw new Error(`The file has the shape ${inWords(shape)}, but the model takes ${inWords(wanted)}.`);
    return { shape: whole, data };
  };

  mercato.controller("try-file", (box) => {
    const { name, datatype, shape } = JSON.parse(box.dataset.plan);
    const send = (detail) => box.dispatchEvent(new CustomEvent("mercato:tensors", { bubbles: true, detail: { source: name, ...detail } }));
    box.querySelector("input").addEventListener("change", async ({ target }) => {
      const [file] = target.files;
      if (!file) return;
      try {
        const buffer = await file.arrayBuffer();
        const isArray = new TextDecoder("latin1").decode(buffer.slice(0, 6)) === "\u0093NUMPY" || new Uint8Array(buffer)[0] === 0x93;
        if (isArray) return send({ tensors: [{ name, datatype, ...fitted(npy(buffer), shape) }] });
        const value = JSON.parse(new TextDecoder().decode(buffer));
        if (Array.isArray(value?.inputs)) return send({ body: value });
        if (!Array.isArray(value)) throw new Error("The file holds neither an array nor a request with inputs.");
        send({ tensors: [{ name, datatype, ...fitted(nested(value), shape) }] });
      } catch (error) {
        send({ problem: error instanceof SyntaxError || error instanceof RangeError ? "This file is neither a NumPy array (.npy) nor JSON." : error.message });
      }
    });
  });

  mercato.controller("try-text", (box) => {
    const { name, datatype, shape } = JSON.parse(box.dataset.plan);
    box.querySelector("textarea").addEventListener("input", ({ target }) => {
      const data = shape[0] === -1 && shape.length === 1 ? target.value.split("\n") : [target.value];
      box.dispatchEvent(new CustomEvent("mercato:tensors", { bubbles: true, detail: { source: name, tensors: [{ name, datatype, shape: shape.length === 1 ? [data.length] : [1, 1], data }] } }));
    });
  });
})();
