/* What drawings of answers are made of: tables, numbers in words, rows of a tensor. */
"use strict";
mercato.drawing = (() => {
  const MOST_ROWS = 50;
  const make = (tag, text = "", more = {}) => Object.assign(document.createElement(tag), { textContent: text, ...more });
  const short = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value));
  const percent = (value) => `${(value * 100).toFixed(1)} %`;
  const table = (title, heads, rows) => {
    const scroll = make("div", "", { className: "table-scroll", tabIndex: 0 });
    const found = make("table", "", { className: "table" });
    found.append(make("caption", title));
    const head = make("tr");
    head.append(...heads.map((text, at) => make("th", text, { scope: "col", className: at ? "num" : "" })));
    found.append(make("thead"), make("tbody"));
    found.tHead.append(head);
    found.tBodies[0].append(...rows);
    scroll.append(found);
    return scroll;
  };
  const line = (label, cells) => {
    const row = make("tr");
    row.append(make("th", label, { scope: "row" }), ...cells.map((cell) => (cell instanceof Node ? cell : make("td", cell, { className: "num" }))));
    return row;
  };
  const rowsOf = ({ shape, data }) => {
    const flat = data.flat(Infinity);
    const width = shape.length > 1 ? shape.at(-1) : 1;
    return Array.from({ length: width ? flat.length / width : 0 }, (_, at) => flat.slice(at * width, (at + 1) * width));
  };
  const more = (count) => (count > MOST_ROWS ? [make("p", `The first ${MOST_ROWS} of ${count} rows; the whole answer stands below.`, { className: "tiny soft" })] : []);
  return { MOST_ROWS, make, short, percent, table, line, rowsOf, more };
})();
