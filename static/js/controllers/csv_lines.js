/* Text as lines of fields, with `mark` between them; quotes as in RFC 4180. */
"use strict";
mercato.csv = (text, mark) => {
  const lines = [[""]];
  let quoted = false;
  for (let place = 0; place < text.length; place += 1) {
    const sign = text[place];
    const line = lines.at(-1);
    if (sign === '"' && quoted && text[place + 1] === '"') (line[line.length - 1] += '"'), (place += 1);
    else if (sign === '"' && (quoted || line.at(-1) === "")) quoted = !quoted;
    else if (!quoted && sign === mark) line.push("");
    else if (!quoted && sign === "\n") lines.push([""]);
    else if (sign !== "\r" || quoted) line[line.length - 1] += sign;
  }
  return lines.filter((line) => line.some((cell) => cell.trim()));
};

/* Rows of a file in the order of `columns`: by their names when its first line has them, else as they stand. */
mercato.rowsOfFile = (text, columns) => {
  const plain = text.replace(/^\ufeff/, "");
  const head = plain.split("\n", 1)[0];
  const lines = mercato.csv(plain, ["\t", ";", ","].find((each) => head.includes(each)) ?? ",");
  if (!lines.length) throw new Error("The file has no rows.");
  const names = lines[0].map((cell) => cell.trim().toLowerCase());
  const places = columns.map((column) => names.indexOf(column.toLowerCase()));
  if (places.every((place) => place >= 0)) return lines.slice(1).map((line) => places.map((place) => line[place] ?? ""));
  const missing = columns.filter((_, at) => places[at] < 0);
  if (missing.length < columns.length) throw new Error(`The file has no column ${missing.slice(0, 5).join(", ")}. It needs ${columns.slice(0, 12).join(", ")}.`);
  return lines;
};
