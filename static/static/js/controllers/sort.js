/* Sorts the rows of a table by a click on a header; arrows move between rows. A cell may carry data-value to sort by. */
"use strict";
mercato.controller("sort", (table) => {
  const body = table.tBodies[0];
  const key = (row, index) => {
    const cell = row.cells[index];
    const raw = cell?.dataset.value ?? cell?.querySelector("time")?.dateTime ?? cell?.textContent.trim() ?? "";
    const number = Number(raw.replace(/[\s,%]/g, ""));
    return raw !== "" && Number.isFinite(number) ? number : raw.toLowerCase();
  };
  [...table.tHead.rows[0].cells].forEach((header, index) => {
    const label = header.textContent.trim();
    if (!label || "unsorted" in header.dataset) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const descending = header.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [key(row, index), row]);
      rows.sort(([a], [b]) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1));
      if (descending) rows.reverse();
      body.append(...rows.map(([, row]) => row));
    });
  });
  body?.addEventListener("keydown", (event) => {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const link = step && event.target.closest("tr")?.[step]?.querySelector("a, button");
    if (!link) return;
    event.preventDefault();
    link.focus();
  });
});
