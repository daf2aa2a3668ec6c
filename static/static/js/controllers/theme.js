/* The theme form posts and reloads; here it changes at once. The cookie is what the server reads, so the next page does not flash. */
"use strict";
mercato.controller("theme", (form) => {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const order = ["auto", "light", "dark"];
    const root = document.documentElement;
    const next = order[(order.indexOf(root.dataset.theme ?? "auto") + 1) % 3];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `theme=${next}; path=/; max-age=31536000; samesite=lax${secure}`;
    form.querySelector("[data-theme-label]").textContent = `Theme: ${next}`;
    document.dispatchEvent(new CustomEvent("mercato:theme"));
  });
});
