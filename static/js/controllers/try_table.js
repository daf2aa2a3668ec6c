/* Rows of a table as inputs of a model: typed, pasted from a spreadsheet, or read from a CSV file. */
"use strict";
mercato.controller("try-table", (box) => {
  const MOST_ROWS = 500;
  const columns = JSON.parse(box.dataset.columns);
  const tensors = JSON.parse(box.dataset.tensors);
  const rows = box.querySelector("tbody");
  const pattern = rows.rows[0].cloneNode(true);
  const send = (detail) => box.dispatchEvent(new CustomEvent("mercato:tensors", { bubbles: true, detail: { source: "table", ...detail } }));
  const cells = (row) => [...row.querySelectorAll("input")];

  const number = () => {
    [...rows.rows].forEach((row, place) => {
      cells(row).forEach((cell, column) => cell.setAttribute("aria-label", `${columns[column]}, row ${place + 1}`));
      row.querySelector("[data-remove]").disabled = rows.rows.length === 1;
      row.querySelector("[data-remove]").setAttribute("aria-label", `Remove row ${place + 1}`);
    });
  };
  const write = () => {
    const all = [...rows.rows].map(cells);
    for (const cell of all.flat()) {
      const isBad = cell.dataset.kind === "number" && (cell.value.trim() === "" || !Number.isFinite(Number(cell.value)));
      if (isBad) cell.setAttribute("aria-invalid", "true");
      else cell.removeAttribute("aria-invalid");
      if (isBad) return send({ problem: `Fill in ${cell.getAttribute("aria-label")}: a number is missing.` });
    }
    let first = 0;
    const made = tensors.map(({ name, datatype, width, rank }) => {
      const start = first;
      first += width;
      const data = all.flatMap((row) => row.slice(start, start + width).map((cell) => (cell.dataset.kind === "number" ? Number(cell.value) : cell.value)));
      return { name, datatype, shape: rank === 1 ? [all.length] : [all.length, width], data };
    });
    send({ tensors: made });
  };
  const add = () => {
    const row = pattern.cloneNode(true);
    rows.append(row);
    return row;
  };

  /** Cells of text from this row and column on; rows are added as needed. */
  const fill = (found, row, column) => {
    if (row + found.length > MOST_ROWS) return send({ problem: `At most ${MOST_ROWS} rows fit in here; these are ${row + found.length}. Send larger tables from a program.` });
    const wide = found.find((line) => column + line.length > columns.length);
    if (wide) return send({ problem: `A row has ${wide.length} cells, but from here on there are ${columns.length - column} columns.` });
    found.forEach((line, down) => {
      const fields = cells(rows.rows[row + down] ?? add());
      line.forEach((text, right) => (fields[column + right].value = text.trim()));
    });
    number();
    write();
  };
  box.addEventListener("input", (event) => event.target.type !== "file" && write());
  box.addEventListener("paste", (event) => {
    const text = event.clipboardData.getData("text/plain");
    const row = event.target.closest("tr");
    if (!row || !/[\t\n]/.test(text.trim())) return;
    event.preventDefault();
    const lines = mercato.csv(text, "\t");
    const isHead = lines.length > 1 && lines[0].every((cell) => columns.some((column) => column.toLowerCase() === cell.trim().toLowerCase()));
    fill(isHead ? lines.slice(1) : lines, row.sectionRowIndex, cells(row).indexOf(event.target));
  });
  box.querySelector("[data-csv]").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    if (!file) return;
    try {
      const found = mercato.rowsOfFile(await file.text(), columns);
      if (!found.length) throw new Error("The file has names of columns and no rows.");
      while (rows.rows.length > Math.min(found.length, MOST_ROWS)) rows.lastElementChild.remove();
      fill(found, 0, 0);
    } catch (error) {
      send({ problem: error.message });
    }
  });
  box.querySelector("[data-add]").addEventListener("click", () => {
    if (rows.rows.length >= MOST_ROWS) return;
    const above = cells(rows.lastElementChild);
    cells(add()).forEach((cell, place) => (cell.value = above[place].value));
    number();
    write();
    cells(rows.lastElementChild)[0].focus();
  });
  rows.addEventListener("click", (event) => {
    if (!event.target.closest("[data-remove]") || rows.rows.length === 1) return;
    event.target.closest("tr").remove();
    number();
    write();
    cells(rows.lastElementChild)[0].focus();
  });
  number();
});
