/* The answer of a call, drawn as its outputs ask: bars of classes, boxes on the picture, a table, text. */
"use strict";
mercato.controller("results", (box) => {
  const MOST_CLASSES = 12;
  const plans = new Map(JSON.parse(box.dataset.outputs).map((plan) => [plan.name, plan]));
  const form = box.closest("form");
  let seen = null;
  form.addEventListener("mercato:picture", ({ detail }) => (seen = detail));

  const { MOST_ROWS, make, short, percent, table, line, rowsOf, more, boxes } = mercato.drawing;
  const bars = (plan, values) => {
    const isShare = plan.is_probability || (values.every((value) => value >= 0 && value <= 1) && Math.abs(values.reduce((sum, value) => sum + value, 0) - 1) < 0.01);
    const top = isShare ? 1 : Math.max(...values.map(Math.abs)) || 1;
    const ranked = values.map((value, at) => [plan.classes[at] ?? `class ${at}`, value]).sort((a, b) => b[1] - a[1]);
    const rows = ranked.slice(0, MOST_CLASSES).map(([label, value]) => {
      const cell = make("td", isShare ? percent(value) : short(value), { className: "num try-bar" });
      cell.style.setProperty("--part", `${Math.max(0, (value / top) * 100)}%`);
      return line(label, [cell]);
    });
    const left = ranked.length - rows.length;
    return [table(plan.name, ["Class", isShare ? "Probability" : "Score"], rows), ...(left > 0 ? [make("p", `${left} classes below these are not shown.`, { className: "tiny soft" })] : [])];
  };
  const classes = (plan, tensor) => {
    const rows = rowsOf(tensor);
    if (rows.length === 1) return bars(plan, rows[0]);
    const best = rows.slice(0, MOST_ROWS).map((row, at) => {
      const place = row.indexOf(Math.max(...row));
      return line(`Row ${at + 1}`, [plan.classes[place] ?? String(place), plan.is_probability ? percent(row[place]) : short(row[place])]);
    });
    return [table(plan.name, ["", "Class", plan.is_probability ? "Probability" : "Score"], best), ...more(rows.length)];
  };
  const numbers = (plan, tensor) => {
    const rows = rowsOf(tensor);
    const width = rows[0]?.length ?? 0;
    const name = (at) => plan.columns[at] ?? (width > 1 ? `${tensor.name}[${at}]` : tensor.name);
    if (rows.length === 1) return [table(tensor.name, ["Output", "Value"], rows[0].slice(0, MOST_ROWS).map((value, at) => line(name(at), [short(value)])))];
    const heads = ["", ...Array.from({ length: Math.min(width, MOST_ROWS) }, (_, at) => name(at))];
    return [table(tensor.name, heads, rows.slice(0, MOST_ROWS).map((row, at) => line(`Row ${at + 1}`, row.slice(0, MOST_ROWS).map(short)))), ...more(rows.length)];
  };
  const texts = (tensor) => tensor.data.flat(Infinity).slice(0, MOST_ROWS).map((text) => make("blockquote", String(text), { className: "try-text" }));
  const labels = (plan, tensor) => {
    const found = tensor.data.flat(Infinity);
    const name = (value) => (typeof value === "number" ? (plan.classes[value] ?? String(value)) : value);
    if (found.length === 1) return [make("p", name(found[0]), { className: "try-label" })];
    return [table(tensor.name, ["", "Class"], found.slice(0, MOST_ROWS).map((value, at) => line(`Row ${at + 1}`, [name(value)]))), ...more(found.length)];
  };

  box.addEventListener("mercato:answer", ({ detail: answer }) => {
    const tensors = (answer.outputs ?? []).map((tensor) => [plans.get(tensor.name), tensor]);
    const isDetection = tensors.some(([plan]) => plan?.kind === "boxes");
    const drawn = isDetection ? boxes(tensors, seen) : [];
    for (const [plan = { kind: "table", columns: [], classes: [] }, tensor] of tensors) {
      if (isDetection && ["boxes", "scores", "labels"].includes(plan.kind)) continue;
      if (!Array.isArray(tensor.data)) continue;
      if (plan.kind === "classes") drawn.push(...classes(plan, tensor));
      else if (plan.kind === "label" || plan.kind === "labels") drawn.push(...labels(plan, tensor));
      else if (plan.kind === "text" || tensor.datatype === "BYTES") drawn.push(...texts(tensor));
      else if (tensor.shape.length <= 2) drawn.push(...numbers(plan, tensor));
      else drawn.push(make("p", `${tensor.name}: ${tensor.shape.join(" × ")} numbers; they stand in the whole answer below.`, { className: "small soft" }));
    }
    box.querySelector("[data-drawn]").replaceChildren(...drawn);
    box.querySelector("pre").textContent = JSON.stringify(answer, null, 2);
  });
});
