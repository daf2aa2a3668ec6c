/* Draws the table of a figure with uPlot and folds the table away. A new table (a fragment has come) draws a new chart. */
"use strict";
mercato.controller("chart", (figure) => {
  const plot = figure.querySelector(".chart-plot");
  const isTime = "chartTime" in figure.dataset;
  const read = () => {
    const rows = [...figure.querySelectorAll("tbody tr")];
    const x = rows.map((row) => (isTime ? Date.parse(row.cells[0].textContent) / 1000 : Number(row.cells[0].textContent)));
    const names = [...figure.querySelectorAll("thead th")].slice(1).map((cell) => cell.textContent);
    const values = names.map((_, i) => rows.map((row) => {
      const raw = row.cells[i + 1].dataset.value;
      return raw === "" ? null : Number(raw);
    }));
    return { names, data: [x, ...values] };
  };
  let chart = null;
  const draw = () => {
    const { names, data } = read();
    chart?.destroy();
    if (data[0].length < 2) return;
    const ink = mercato.colour("--ink-soft");
    const grid = { stroke: mercato.colour("--line"), width: 1 };
    const font = "11px 'Inter Variable', sans-serif";
    const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
    const dates = isTime ? { values: (_, ticks) => ticks.map((tick) => day.format(tick * 1000)), space: 64 } : {};
    const axis = { stroke: ink, grid, ticks: grid, font, labelFont: font, labelSize: 18 };
    chart = new uPlot({
      width: plot.clientWidth,
      height: 220,
      padding: [8, 12, 0, 0],
      legend: { show: names.length > 1 },
      cursor: { points: { size: 6 } },
      scales: { x: { time: isTime } },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      axes: [{ ...axis, ...dates, label: isTime ? undefined : figure.dataset.chartX, incrs: isTime ? undefined : [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 1e4, 1e5, 1e6] }, { ...axis, size: 56 }],
      series: [{ label: figure.dataset.chartX }, ...names.map((label, i) => ({
        label,
        stroke: mercato.colour(`--series-${(i % 5) + 1}`),
        width: 2,
        dash: i > 4 ? [6, 4] : undefined,
        spanGaps: true,
        points: { show: data[0].length < 40, size: 5 },
      }))],
    }, data, plot);
  };
  figure.querySelector("details").open = false;
  draw();
  new ResizeObserver(() => chart?.setSize({ width: plot.clientWidth, height: 220 })).observe(figure);
  document.addEventListener("mercato:theme", () => figure.isConnected && draw());
});
