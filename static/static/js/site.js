/* Behaviour is attached by name: <div data-controller="copy sort">. A controller is a function of its element, run once for each
   element, also for those that arrive later with a fragment. Everything here is an addition: pages work without it. */
"use strict";
(() => {
  const controllers = new Map();
  const connected = new WeakMap();

  const connect = (root) => {
    const elements = root.matches?.("[data-controller]") ? [root] : [];
    elements.push(...(root.querySelectorAll?.("[data-controller]") ?? []));
    for (const element of elements) {
      const done = connected.get(element) ?? new Set();
      connected.set(element, done);
      for (const name of element.dataset.controller.split(/\s+/)) {
        if (done.has(name) || !controllers.has(name)) continue;
        done.add(name);
        controllers.get(name)(element);
      }
    }
  };

  window.mercato = {
    controller(name, start) {
      controllers.set(name, start);
      connect(document.documentElement);
    },
    /** The value of a colour token as a canvas understands it. */
    colour(token) {
      const probe = document.createElement("span");
      probe.style.color = `var(${token})`;
      document.body.append(probe);
      const value = getComputedStyle(probe).color;
      probe.remove();
      return value;
    },
  };

  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes) if (node.nodeType === 1) connect(node);
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
