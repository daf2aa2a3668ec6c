/* Draws the list of relations as a graph from left to right; a node leads to its page. */
"use strict";
mercato.controller("lineage", (section) => {
  const READABLE = 0.8;
  const holder = section.querySelector(".lineage-graph");
  const nodes = new Map();
  for (const element of section.querySelectorAll("[data-node]")) {
    const { node, kind, title, url } = element.dataset;
    nodes.set(node, { data: { id: node, kind, title: title.length > 38 ? `${title.slice(0, 37)}…` : title, url }, classes: "self" in element.dataset ? "self" : "" });
  }
  const edges = [...section.querySelectorAll("[data-edge]")].map((edge) => ({ data: { source: edge.dataset.source, target: edge.dataset.target }, classes: "conflict" in edge.dataset ? "conflict" : "" }));
  if (!edges.length) return;
  // cytoscape would add a <style> element, which the content security policy refuses; its one rule is in our style sheet
  if (!document.getElementById("__________cytoscape_stylesheet")) {
    const marker = document.createElement("template");
    marker.id = "__________cytoscape_stylesheet";
    document.head.append(marker);
  }
  const colours = { dataset: "--series-3", model: "--series-1", version: "--series-1", build: "--series-1", job: "--series-2", endpoint: "--series-4", listing: "--series-4" };
  const style = () => [
    { selector: "node", style: {
      shape: "round-rectangle", width: (node) => node.data("title").length * 6.7 + 8, height: 26, padding: "9px", label: "data(title)", "font-size": 12, "font-family": "Inter Variable, sans-serif",
      color: mercato.colour("--ink"), "text-valign": "center", "background-color": mercato.colour("--paper"), "border-width": 1.5,
      "border-color": (node) => mercato.colour(colours[node.data("kind")] ?? "--line-strong") } },
    { selector: "node.self", style: { "background-color": mercato.colour("--accent-wash"), "border-width": 3, "font-weight": 600 } },
    { selector: "edge", style: { width: 1.5, "curve-style": "bezier", "line-color": mercato.colour("--line-strong"), "target-arrow-shape": "triangle",
      "target-arrow-color": mercato.colour("--line-strong"), "arrow-scale": 0.9 } },
    { selector: "edge.conflict", style: { width: 3, "line-style": "dashed", "line-color": mercato.colour("--danger"), "target-arrow-color": mercato.colour("--danger") } },
  ];
  holder.hidden = false;
  const graph = cytoscape({
    container: holder, elements: [...nodes.values(), ...edges], style: style(), maxZoom: 1.25, minZoom: 0.2,
    userZoomingEnabled: false, autoungrabify: true,
    layout: { name: "dagre", rankDir: holder.clientWidth < 600 ? "TB" : "LR", nodeSep: 18, rankSep: holder.clientWidth < 600 ? 28 : 56, padding: 24 },
  });
  graph.on("tap", "node", (event) => event.target.data("url") && location.assign(event.target.data("url")));
  graph.on("mouseover mouseout", "node[url]", (event) => { holder.style.cursor = event.type === "mouseover" ? "pointer" : ""; });
  // a graph too wide to be read as a whole is shown around the thing itself, and can be moved
  const frame = () => {
    const { w, h } = graph.elements().boundingBox();
    const zoom = Math.min(1.25, Math.max(READABLE, (holder.clientWidth - 48) / w));
    holder.style.height = `${Math.min(480, Math.max(160, h * zoom + 64))}px`;
    graph.resize().zoom(zoom);
    graph.center(w * zoom > holder.clientWidth ? graph.nodes(".self") : undefined);
  };
  graph.ready(frame);
  new ResizeObserver(frame).observe(holder);
  document.addEventListener("mercato:theme", () => holder.isConnected && graph.style(style()));
});
