/* What a model has found in a picture: boxes on it, and a list of them. */
"use strict";
mercato.drawing.boxes = (() => {
  const LEAST_SCORE = 0.25;
  const { MOST_ROWS, make, short, percent, table, line } = mercato.drawing;
  /* left, top, right, bottom as parts of the picture */
  const cornersOf = (plan, [a, b, c, d], seen) => {
    const corners = { xyxy: [a, b, c, d], xywh: [a, b, a + c, b + d], cxcywh: [a - c / 2, b - d / 2, a + c / 2, b + d / 2] }[plan.box_format];
    return plan.is_relative ? corners : corners.map((value, at) => value / (at % 2 ? (seen?.height ?? 1) : (seen?.width ?? 1)));
  };
  return (tensors, seen) => {
    const of = (kind) => tensors.find(([plan]) => plan?.kind === kind);
    const [plan, tensor] = of("boxes");
    const scores = of("scores")?.[1].data.flat(Infinity);
    const [labelPlan, labelTensor] = of("labels") ?? [];
    const kinds = labelTensor?.data.flat(Infinity) ?? [];
    const flat = tensor.data.flat(Infinity);
    const all = Array.from({ length: flat.length / 4 }, (_, at) => ({ raw: flat.slice(at * 4, at * 4 + 4), score: scores?.[at], label: labelPlan?.classes[kinds[at]] ?? (kinds[at] === undefined ? "" : String(kinds[at])) }));
    const shown = all.filter(({ score }) => score === undefined || score >= LEAST_SCORE).sort((a, b) => (b.score ?? 0) - (a.score ?? 0)).slice(0, 100);
    const drawn = [];
    if (seen) {
      const canvas = make("canvas", "", { className: "try-picture", width: 640, height: Math.round((640 * seen.picture.height) / seen.picture.width) });
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `The picture with ${shown.length} boxes, listed below`);
      const pen = canvas.getContext("2d");
      pen.imageSmoothingEnabled = seen.picture.width > 64;
      pen.drawImage(seen.picture, 0, 0, canvas.width, canvas.height);
      [pen.lineWidth, pen.font, pen.textBaseline] = [3, "600 16px sans-serif", "top"];
      for (const { raw, score, label } of shown) {
        const [left, top, right, bottom] = cornersOf(plan, raw, seen).map((part, at) => part * (at % 2 ? canvas.height : canvas.width));
        const text = [label, score === undefined ? "" : percent(score)].filter(Boolean).join(" ");
        pen.strokeStyle = mercato.colour("--accent-fill");
        pen.strokeRect(left, top, right - left, bottom - top);
        if (!text) continue;
        const y = top >= 22 ? top - 22 : top;
        pen.fillStyle = mercato.colour("--accent-fill");
        pen.fillRect(left - 1.5, y, pen.measureText(text).width + 10, 22);
        pen.fillStyle = mercato.colour("--on-accent");
        pen.fillText(text, left + 4, y + 3);
      }
      drawn.push(canvas);
    }
    if (!shown.length) drawn.push(make("p", "Nothing was found in the picture.", { className: "soft" }));
    else drawn.push(table(tensor.name, ["Found", "Score", "Box"], shown.slice(0, MOST_ROWS).map(({ raw, score, label }, at) => line(label || `Box ${at + 1}`, [score === undefined ? "–" : percent(score), raw.map(short).join(", ")]))));
    if (all.length > shown.length) drawn.push(make("p", `Not drawn: ${all.length - shown.length} with a score below ${LEAST_SCORE * 100} %.`, { className: "tiny soft" }));
    return drawn;
  };
})();
